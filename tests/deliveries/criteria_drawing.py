"""Drawn criteria, and people about whom they say different things."""

from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from profiles.channels import Channel
from profiles.models import CustomField, FieldKind, Profile, Service, Subscription
from tests.factories import ProfileFactory, add_address

DATES = [date(2008, 2, 29), date(1990, 11, 27), date(2008, 11, 28), date(2026, 11, 20)]
OWN = {"city": FieldKind.TEXT, "points": FieldKind.NUMBER, "met-on": FieldKind.DATE, "member": FieldKind.YES_NO}

KNOWN = st.fixed_dictionaries(
    {
        "language": st.sampled_from(["", "fr", "en"]),
        "country": st.sampled_from(["", "FR", "BE"]),
        "birth_date": st.sampled_from([None, *DATES]),
        "external_id": st.sampled_from([None, "a", "A-1", "ab"]),
        "last_name": st.sampled_from(["Martin", "Élan", "MARTIN"]),
        "attributes": st.fixed_dictionaries(
            {},
            optional={
                "city": st.sampled_from(["Lyon", "lyon", "Lille", "", 5, None]),
                "points": st.sampled_from([0, 3, 3.5, -2, "3", True, None]),
                "met-on": st.sampled_from(["2026-11-20", "2026-11-27", "2020-01-01", "soon", "next month"]),
                "member": st.sampled_from([True, False, "true", 1]),
            },
        ),
    }
)


def _list(*values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


DAY = st.sampled_from([day.isoformat() for day in DATES])
PAIR = st.sampled_from([["2000-01-01", "2026-11-20"], ["2008-02-29", "2008-02-29"]])
NOTHING = st.none()
SHAPES: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("search", "contains"): st.sampled_from(["martin", "elan", "example zoe", "Élan"]),
    ("language", "in"): _list("fr", "en"),
    ("language", "not_in"): _list("fr", "en"),
    ("language", "is_set"): NOTHING,
    ("country", "not_set"): NOTHING,
    ("country", "in"): _list("FR", "DE"),
    ("age", "gte"): st.sampled_from([0, 18, 36, 36.5]),
    ("age", "lte"): st.sampled_from([0, 17, 18, 36]),
    ("age", "between"): st.sampled_from([[18, 36], [0, 17], [18, 18]]),
    ("birth_date", "before"): DAY,
    ("birth_date", "since"): DAY,
    ("birth_date", "between"): PAIR,
    ("birth_date", "not_set"): NOTHING,
    ("birth_month", "in"): _list(2, 11),
    ("external_id", "is"): st.sampled_from(["a", "A"]),
    ("external_id", "in"): _list("a", "ab"),
    ("external_id", "starts"): st.sampled_from(["a", "A"]),
    ("external_id", "is_set"): NOTHING,
    ("channel", "in"): _list(int(Channel.EMAIL), int(Channel.SMS)),
    ("channel", "not_in"): _list(int(Channel.SMS), int(Channel.PHONE)),
    ("email_domain", "in"): _list("example.org", "Example.NET"),
    ("email_domain", "not_in"): _list("example.net"),
    ("created", "last_days"): st.sampled_from([1, 30]),
    ("created", "before"): DAY,
    ("subscribed", "last_days"): st.sampled_from([5, 400]),
    ("received", "last_days"): st.sampled_from([7]),
    ("received", "not_last_days"): st.sampled_from([7]),
    ("attributes.city", "is"): st.sampled_from(["Lyon", "5"]),
    ("attributes.city", "in"): _list("Lyon", "Lille"),
    ("attributes.city", "not_in"): _list("Lyon"),
    ("attributes.city", "starts"): st.sampled_from(["L", "l"]),
    ("attributes.city", "not_set"): NOTHING,
    ("attributes.points", "eq"): st.sampled_from([3, 3.5]),
    ("attributes.points", "gte"): st.sampled_from([0, 3]),
    ("attributes.points", "lte"): st.sampled_from([0, 3]),
    ("attributes.points", "between"): st.sampled_from([[-5, 3]]),
    ("attributes.points", "is_set"): NOTHING,
    ("attributes.met-on", "last_days"): st.sampled_from([7, 8, 4000]),
    ("attributes.met-on", "since"): st.sampled_from(["2026-11-20"]),
    ("attributes.member", "yes"): NOTHING,
    ("attributes.member", "no"): NOTHING,
    ("attributes.member", "not_set"): NOTHING,
}


def condition(services: list[int], deliveries: list[int] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for one condition."""
    shapes = dict(SHAPES)
    for operator in ("in", "not_in"):
        shapes["subscription", operator] = _list(*services)
        for name in ("sent", "left_out", "targeted") if deliveries else ():
            shapes[name, operator] = _list(*(deliveries or ()))
    return st.sampled_from(sorted(shapes)).flatmap(
        lambda key: shapes[key].map(lambda value: {"field": key[0], "op": key[1], "value": value})
    )


def criteria(services: list[int], deliveries: list[int] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for a tree of criteria."""
    return st.recursive(
        condition(services, deliveries),
        lambda part: st.one_of(
            st.lists(part, max_size=3).map(lambda parts: {"all": parts}),
            st.lists(part, max_size=3).map(lambda parts: {"any": parts}),
            part.map(lambda one: {"not": one}),
        ),
        max_leaves=5,
    )


def declare() -> None:
    """Declare the own fields that drawn criteria name."""
    for name, kind in OWN.items():
        CustomField.objects.get_or_create(name=name, defaults={"kind": kind})


def make(number: int, known: dict[str, Any], *, services: list[Service], at: datetime) -> Profile:
    """Make a person of whom this is known; what else differs follows from their number."""
    identifier = known["external_id"] and (known["external_id"] if number == 0 else f"{known['external_id']}{number}")
    person = ProfileFactory.create(
        **{**known, "external_id": identifier}, email=["", "a@example.org", "b@sub.example.net"][number % 3]
    )
    if number % 2:
        add_address(person, Channel.SMS, f"+3363998{number:04}")
    for place, service in enumerate(services):
        if (number >> place) % 2:
            expires = [None, at + timedelta(days=1), at - timedelta(days=1)][(number + place) % 3]
            row = Subscription.objects.create(service=service, profile=person, source="import", expires_at=expires)
            Subscription.objects.filter(pk=row.pk).update(created_at=at - timedelta(days=3 * number))
    Profile.objects.filter(pk=person.pk).update(created_at=at - timedelta(days=20 * number))
    person.refresh_from_db()
    return person
