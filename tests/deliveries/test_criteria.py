"""Criteria: whom they mean, what cannot be said, and how they read in words."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction
from django.utils.translation import override
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deliveries import criteria
from deliveries.criteria import CriteriaRefused
from deliveries.exclusions import IdRange
from deliveries.models import DeliveryLog, LogStatus
from profiles.models import CustomField, Profile
from tests.deliveries import criteria_drawing as drawing
from tests.deliveries import criteria_oracle as oracle
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 27, 12, tzinfo=UTC)


def meant(stored: Any, *, at: datetime = AT, within: IdRange | None = None) -> set[int]:
    found = Profile.objects.filter(criteria.condition(criteria.read(stored), at=at, within=within))
    return set(found.values_list("pk", flat=True))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), people=st.lists(drawing.KNOWN, min_size=1, max_size=6))
def test_sql_and_oracle_agree_for_any_criteria_and_people(db: None, data: st.DataObject, people: Any) -> None:
    with transaction.atomic():
        drawing.declare()
        services = [ServiceFactory.create(), ServiceFactory.create()]
        made = [drawing.make(number, known, services=services, at=AT) for number, known in enumerate(people)]
        sent = DeliveryFactory.create(service=services[0], contents=False)
        run = sent.runs.create(number=1, delivery_version=1, at=AT, state="done")
        type(sent).objects.filter(pk=sent.pk).update(current_run=run)
        for number, person in enumerate(made):
            DeliveryLog.objects.create(
                run=run, delivery=sent, profile=person, status=[LogStatus.SENT, LogStatus.EXCLUDED][number % 2],
                finished_at=None if number % 2 else AT.replace(day=27 - 4 * number),
            )  # fmt: skip
        stored = data.draw(drawing.criteria([service.pk for service in services], [sent.pk, sent.pk + 1]))
        wanted = {person.pk for person in made if oracle.meets(stored, person, AT)}
        tree = criteria.read(stored)
        assert meant(stored) == meant(stored, within=IdRange(0, made[-1].pk)) == wanted
        assert criteria.read(criteria.write(tree)) == tree
        assert criteria.describe(stored)
        assert [criteria.meets(tree, person.pk, at=AT) for person in made] == [p.pk in wanted for p in made]
        transaction.set_rollback(True)


def test_every_comparison_of_every_field_is_drawn() -> None:
    drawing.declare()
    drawn = {field for field, _operator in drawing.SHAPES} | {"subscription", "sent", "left_out", "targeted"}
    assert drawn == set(criteria.fields())


@pytest.mark.parametrize("field_and_operator", [(f, op) for f in criteria.BUILT_IN for op in f.operators], ids=str)
def test_every_comparison_that_is_offered_can_be_asked(field_and_operator: Any) -> None:
    field, operator = field_and_operator
    values = {
        "in": [field.choices()[0][0]] if field.closed else ["x"] if field.kind == "text" else [1],
        "between": ["2026-01-01", "2026-02-01"] if field.kind == "date" else [1, 2],
        "before": "2026-01-01", "since": "2026-01-01", "last_days": 3, "contains": "x", "is": "x", "starts": "x",
        "gte": 3, "lte": 3, "is_set": None, "not_set": None,
    }  # fmt: skip
    values |= {"not_in": values["in"], "not_last_days": 3}
    ProfileFactory.create()
    meant({"field": field.name, "op": operator, "value": values[operator]})


def test_no_criteria_mean_everybody() -> None:
    person = ProfileFactory.create()
    assert meant({}) == meant({"all": []}) == {person.pk}
    assert meant({"any": []}) == meant({"not": {"all": []}}) == set()


REFUSED: list[tuple[Any, str, str]] = [
    ([], "", "no condition"),
    ({"all": [{"any": [3]}]}, "1.1", "no condition"),
    ({"all": [], "any": []}, "", "no condition"),
    ({"field": "password", "op": "is", "value": "x"}, "", "no field"),
    ({"field": "attributes.secret", "op": "is", "value": "x"}, "", "no field"),
    ({"field": "age", "op": "contains", "value": "x"}, "", "cannot be compared"),
    ({"field": "age", "op": "gte", "value": "18"}, "", "number"),
    ({"field": "age", "op": "gte", "value": float("nan")}, "", "number"),
    ({"field": "age", "op": "between", "value": [30, 18]}, "", "first value"),
    ({"field": "age", "op": "between", "value": 3}, "", "two values"),
    ({"field": "birth_date", "op": "before", "value": "2026-02-30"}, "", "date"),
    ({"field": "created", "op": "last_days", "value": 0}, "", "days"),
    ({"field": "country", "op": "in", "value": []}, "", "at least one"),
    ({"field": "country", "op": "in", "value": ["ZZ"]}, "", "choices"),
    ({"field": "subscription", "op": "in", "value": ["1); DROP"]}, "", "choices"),
    ({"field": "external_id", "op": "is", "value": " "}, "", "Write something"),
    ({"field": "external_id", "op": "is", "value": "a\0b"}, "", "Write something"),
    ({"field": "external_id", "op": "is", "value": "x" * 201}, "", "200"),
    ({"field": "external_id", "op": "in", "value": ["x"] * 501}, "", "500"),
    ({"field": "country", "op": "is_set", "value": 1}, "", "no value"),
    ({"all": [{"field": "age", "op": "gte", "value": 1}] * 51}, "", "51"),
    ({"not": {"not": {"not": {"not": {"not": {"not": {"not": {"all": []}}}}}}}}, "", "nested"),
]


@pytest.mark.parametrize(("stored", "where", "told"), REFUSED)
def test_what_cannot_be_said_is_refused_with_its_place_and_a_remedy(stored: Any, where: str, told: str) -> None:
    with pytest.raises(CriteriaRefused) as refusal:
        criteria.read(stored)
    assert refusal.value.where == where
    assert told in str(refusal.value)
    assert told in criteria.describe(stored)


def test_criteria_read_as_a_sentence_in_both_languages() -> None:
    CustomField.objects.create(name="points", kind="number", label={"en": "Points", "fr": "Points"})
    service = ServiceFactory.create(label={"en": "Garden news", "fr": "Le journal du jardin"})
    stored = {
        "all": [
            {"field": "country", "op": "in", "value": ["FR", "BE"]},
            {"any": [
                {"field": "subscription", "op": "in", "value": [service.pk, service.pk + 1]},
                {"not": {"field": "attributes.points", "op": "between", "value": [1, 1000]}},
            ]},
            {"field": "received", "op": "not_last_days", "value": 30},
        ]
    }  # fmt: skip
    assert criteria.describe(stored) == (
        "Country is one of France, Belgium and (Subscribed to is one of “Garden news”, (no longer there) or "
        "not (Points from 1 to 1,000)) and Was sent a message, not in the last 30 days"
    )
    with override("fr"):
        told = criteria.describe(stored)
    assert "«\u00a0Le journal du jardin\u00a0»" in told
    assert "Pays\u00a0: parmi France, Belgique et (" in told


@pytest.mark.parametrize("text", ["soon", "next month", "", "2026"])
@pytest.mark.parametrize(
    ("operator", "value"),
    [("since", "2026-01-01"), ("before", "2026-12-31"), ("last_days", 90), ("is_set", None)],
)
def test_a_text_that_is_no_date_counts_as_not_known(text: str, operator: str, value: Any) -> None:
    CustomField.objects.create(name="met", kind="date")
    person = ProfileFactory.create(attributes={"met": text})
    stored = {"field": "attributes.met", "op": operator, "value": value}
    assert meant(stored) == set()
    assert meant({"not": stored}) == {person.pk}


COND = {"field": "country", "op": "in", "value": ["FR"]}


@pytest.mark.parametrize(
    ("stored", "everybody"),
    [
        ({}, True), ({"all": []}, True), ({"any": []}, False), ({"not": {"any": []}}, True), (COND, False),
        ({"all": [{"all": []}]}, True), ({"all": [COND, {"all": []}]}, False), ({"any": [COND, {"all": []}]}, True),
        ({"not": {"all": [COND, {"any": []}]}}, True), ({"not": COND}, False),
    ],
)  # fmt: skip
def test_criteria_that_say_nothing_are_known_however_they_are_nested(stored: Any, everybody: bool) -> None:
    assert criteria.is_everybody(criteria.read(stored)) is everybody
    assert (oracle.constant(stored) is True) is everybody
