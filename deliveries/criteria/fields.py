"""The closed, typed list of what criteria may look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models import Value as Literal
from django.db.models.functions import ExtractMonth, Left, Right, StrIndex
from django.db.models.lookups import Exact, GreaterThan
from django.utils.dates import MONTHS
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from deliveries.exclusions import IdRange
from deliveries.models import Delivery, DeliveryLog, LogStatus
from profiles import countries
from profiles.addresses import search_text
from profiles.channels import Channel
from profiles.models import Address, CustomField, Service, Subscription

from . import days, own, values
from .values import Kind, Operator, Value

Op = Operator
Choices = Callable[[], Sequence[tuple[str | int, str]]]
Builder = Callable[[Operator, Any, datetime, IdRange | None], Q]

PERSON, SUBSCRIPTIONS, DELIVERIES, OWN = _("Person"), _("Subscriptions"), _("Past deliveries"), _("Own fields")
LATEST_DELIVERIES = 100


@dataclass(frozen=True, slots=True)
class Field:
    """Something that is known about people, with the comparisons that make sense for it.

    `choices` is what a screen offers; `closed` says that nothing else is taken.
    """

    name: str
    label: str | Promise
    group: str | Promise
    kind: Kind
    operators: tuple[Operator, ...]
    build: Builder = field(compare=False)
    choices: Choices | None = field(default=None, compare=False)
    closed: bool = False

    def read(self, operator: Operator, value: object) -> Value:
        """Return a value that fits; raise ValueRefused."""
        codes = [code for code, _label in self.choices()] if self.closed and self.choices else None
        return values.read(self.kind, operator, value, codes=codes)

    def stored(self, value: Value) -> Any:
        return values.stored(value)

    def condition(self, operator: Operator, value: Value, at: datetime, within: IdRange | None) -> Q:
        return self.build(operator, value, at, within)


def fields() -> Mapping[str, Field]:
    """Return name → field, in the order in which they are offered: the built-in ones, then the own ones. One query."""
    declared = [own_field(one) for one in CustomField.objects.order_by("name")]
    return {one.name: one for one in (*BUILT_IN, *declared)}


def own_field(declared: CustomField) -> Field:
    """Return what criteria know of a declared key of `Profile.attributes`."""
    name, kind = declared.name, Kind(declared.kind)
    return Field(
        f"attributes.{name}", str(declared), OWN, kind, own.OPERATORS[kind],
        lambda operator, value, at, within: own.condition(name, kind, operator, value, at),
    )  # fmt: skip


# -- what is known of the person ----------------------------------------------------------------------------


def _column(name: str) -> Builder:
    def build(operator: Operator, value: Any, at: datetime, within: IdRange | None) -> Q:
        match operator:
            case Op.IN:
                return Q(**{f"{name}__in": value})
            case Op.NOT_IN:
                return ~Q(**{f"{name}__in": value})
            case Op.IS_SET | Op.NOT_SET:
                unknown = Q(**{name: ""}) | Q(**{f"{name}__isnull": True})
                return unknown if operator == Op.NOT_SET else ~unknown
            case Op.IS:
                return Q(**{name: value})
            case Op.STARTS:
                # LIKE folds letters on one engine and not on the other.
                return Q(**{f"{name}__isnull": False}) & Q(Exact(Left(name, len(value)), value))
        raise AssertionError(operator)

    return build


def _search(operator: Operator, value: str, at: datetime, within: IdRange | None) -> Q:
    """Say whose names, identifier and addresses together hold every word, letters and accents folded."""
    found = Q()
    for word in search_text(value).split():
        found &= Q(GreaterThan(StrIndex("search", Literal(word)), 0))
    return found or Q(pk__isnull=True)


def _age(operator: Operator, value: Any, at: datetime, within: IdRange | None) -> Q:
    """Compare the number of whole years since the birth date."""

    def at_least(years: float) -> Q:
        whole = max(0, min(int(-(-years // 1)), 1700))
        return Q(birth_date__isnull=False, birth_date__lte=days.years_before(days.today(at), whole))

    def at_most(years: float) -> Q:
        return Q(birth_date__isnull=False) & ~at_least(years // 1 + 1)

    match operator:
        case Op.GTE:
            return at_least(value)
        case Op.LTE:
            return at_most(value)
        case Op.BETWEEN:
            return at_least(value[0]) & at_most(value[1])
    raise AssertionError(operator)


def _day(name: str) -> Builder:
    """Compare a date."""

    def build(operator: Operator, value: Any, at: datetime, within: IdRange | None) -> Q:
        match operator:
            case Op.IS_SET | Op.NOT_SET:
                return Q(**{f"{name}__isnull": operator == Op.NOT_SET})
            case Op.BEFORE:
                return Q(**{f"{name}__isnull": False, f"{name}__lt": value})
            case Op.SINCE:
                return Q(**{f"{name}__isnull": False, f"{name}__gte": value})
            case Op.BETWEEN:
                return Q(**{f"{name}__isnull": False, f"{name}__gte": value[0], f"{name}__lte": value[1]})
        raise AssertionError(operator)

    return build


def _moment(operator: Operator, value: Any, at: datetime, name: str) -> Q:
    """Compare a moment with days: those of the organisation's time zone, or the last so many times 24 hours."""
    match operator:
        case Op.LAST_DAYS:
            return Q(**{f"{name}__gt": at - timedelta(days=value), f"{name}__lte": at})
        case Op.BEFORE:
            return Q(**{f"{name}__lt": days.start(value)})
        case Op.SINCE:
            return Q(**{f"{name}__gte": days.start(value)})
        case Op.BETWEEN:
            return Q(**{f"{name}__gte": days.start(value[0]), f"{name}__lt": days.end(value[1])})
    raise AssertionError(operator)


def _birth_month(operator: Operator, value: Any, at: datetime, within: IdRange | None) -> Q:
    known = Q(birth_date__isnull=False)
    found = Q()
    for month in value:
        found |= Q(Exact(ExtractMonth("birth_date"), month))
    return known & found


def _exists(rows: QuerySet[Any], within: IdRange | None) -> Q:
    """Say that the person has such a row; the range is said of that table as well, or all of it would be read."""
    mine = rows.filter(profile=OuterRef("pk"))
    return Q(Exists(mine if within is None else mine.filter(within.q("profile"))))


def _channel(operator: Operator, value: Any, at: datetime, within: IdRange | None) -> Q:
    has = _exists(Address.objects.filter(channel__in=value), within)
    return ~has if operator == Op.NOT_IN else has


def _email_domain(operator: Operator, value: Any, at: datetime, within: IdRange | None) -> Q:
    """Compare what follows the @ of the first email address, ASCII form and letters folded."""
    ending = Q()
    for domain in value:
        whole = "@" + domain.casefold().removeprefix("@")
        ending |= Q(Exact(Right("key", len(whole)), whole))
    has = _exists(Address.objects.filter(ending, channel=Channel.EMAIL, position=1), within)
    return ~has if operator == Op.NOT_IN else has


# -- subscriptions and past deliveries ----------------------------------------------------------------------


def _subscription(operator: Operator, value: Any, at: datetime, within: IdRange | None) -> Q:
    has = _exists(Subscription.objects.active(at).filter(service__in=value), within)
    return ~has if operator == Op.NOT_IN else has


def _subscribed(operator: Operator, value: Any, at: datetime, within: IdRange | None) -> Q:
    return _exists(Subscription.objects.active(at).filter(_moment(operator, value, at, "created_at")), within)


def _in_delivery(*statuses: LogStatus) -> Builder:
    def build(operator: Operator, value: Any, at: datetime, within: IdRange | None) -> Q:
        runs = Delivery.objects.filter(pk__in=value, current_run__isnull=False).values_list("current_run", flat=True)
        rows = DeliveryLog.objects.filter(run__in=list(runs))
        has = _exists(rows.filter(status__in=statuses) if statuses else rows, within)
        return ~has if operator == Op.NOT_IN else has

    return build


def _received(operator: Operator, value: Any, at: datetime, within: IdRange | None) -> Q:
    """Look for a message sent in the last days, of any delivery."""
    sent = DeliveryLog.objects.filter(status=LogStatus.SENT, finished_at__gt=at - timedelta(days=value))
    has = _exists(sent.filter(finished_at__lte=at), within)
    return ~has if operator == Op.NOT_LAST_DAYS else has


def _services() -> list[tuple[str | int, str]]:
    return [(service.pk, str(service)) for service in Service.objects.open()]


def _deliveries() -> list[tuple[str | int, str]]:
    latest = Delivery.objects.live().filter(started_at__isnull=False).order_by("-pk")[:LATEST_DELIVERIES]
    return [(delivery.pk, delivery.label) for delivery in latest]


_MOMENTS = (Op.LAST_DAYS, Op.BEFORE, Op.SINCE, Op.BETWEEN)
_DAYS = (Op.BEFORE, Op.SINCE, Op.BETWEEN, Op.IS_SET, Op.NOT_SET)
BUILT_IN: tuple[Field, ...] = (
    Field("search", _("Name, identifier or address"), PERSON, Kind.TEXT, (Op.CONTAINS,), _search),
    Field(
        "language", _("Language"), PERSON, Kind.CHOICE, (Op.IN, Op.NOT_IN, Op.IS_SET, Op.NOT_SET), _column("language"),
        lambda: [(code, str(name)) for code, name in settings.LANGUAGES], closed=True,
    ),
    Field(
        "country", _("Country"), PERSON, Kind.CHOICE, (Op.IN, Op.NOT_IN, Op.IS_SET, Op.NOT_SET), _column("country"),
        lambda: [*countries.choices()], closed=True,
    ),
    Field("age", _("Age in years"), PERSON, Kind.NUMBER, (Op.GTE, Op.LTE, Op.BETWEEN), _age),
    Field("birth_date", _("Birth date"), PERSON, Kind.DATE, _DAYS, _day("birth_date")),
    Field(
        "birth_month", _("Month of birth"), PERSON, Kind.CHOICE, (Op.IN,), _birth_month,
        lambda: [(number, str(name)) for number, name in MONTHS.items()], closed=True,
    ),
    Field(
        "external_id", _("Identifier elsewhere"), PERSON, Kind.TEXT, (Op.IS, Op.IN, Op.STARTS, Op.IS_SET, Op.NOT_SET),
        _column("external_id"),
    ),
    Field(
        "channel", _("Has an address for"), PERSON, Kind.CHOICE, (Op.IN, Op.NOT_IN), _channel,
        lambda: [(channel.value, str(channel.label)) for channel in Channel], closed=True,
    ),
    Field("email_domain", _("Domain of the email address"), PERSON, Kind.TEXT, (Op.IN, Op.NOT_IN), _email_domain),
    Field(
        "created", _("In the database since"), PERSON, Kind.DATE, _MOMENTS,
        lambda operator, value, at, within: _moment(operator, value, at, "created_at"),
    ),
    Field(
        "subscription", _("Subscribed to"), SUBSCRIPTIONS, Kind.CHOICE, (Op.IN, Op.NOT_IN), _subscription, _services
    ),
    Field("subscribed", _("Subscribed to something"), SUBSCRIPTIONS, Kind.DATE, _MOMENTS, _subscribed),
    Field(
        "received", _("Was sent a message"), DELIVERIES, Kind.DATE, (Op.LAST_DAYS, Op.NOT_LAST_DAYS), _received
    ),
    Field(
        "sent", _("Was sent the delivery"), DELIVERIES, Kind.CHOICE, (Op.IN, Op.NOT_IN), _in_delivery(LogStatus.SENT),
        _deliveries,
    ),
    Field(
        "left_out", _("Was left out of the delivery"), DELIVERIES, Kind.CHOICE, (Op.IN, Op.NOT_IN),
        _in_delivery(LogStatus.EXCLUDED, LogStatus.SUPPRESSED), _deliveries,
    ),
    Field(
        "targeted", _("Was in the target of the delivery"), DELIVERIES, Kind.CHOICE, (Op.IN, Op.NOT_IN), _in_delivery(),
        _deliveries,
    ),
)  # fmt: skip
