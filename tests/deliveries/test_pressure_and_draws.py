"""Contact pressure, the control group and the size limit, case by case."""

from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from django.utils import timezone

from deliveries import analysis, draw
from deliveries.models import DRAW_PRIME, Delivery, DeliveryLog, LogStatus, MessageClass, Reason, State, Typology
from profiles.channels import Channel
from profiles.models import CustomField, Profile
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory, add_address

pytestmark = pytest.mark.django_db
WEEK = 7 * 24


def pressure(**fields: Any) -> Typology:
    typology = Typology.objects.create(name="Ours")
    typology.rules.create(kind="fatigue", **{"most": 1, "hours": WEEK, **fields})
    return typology


def wrote_to(
    person: Profile, *, status: LogStatus = LogStatus.SENT, when: timedelta = timedelta(0), **fields: Any
) -> None:
    """Have another delivery reach a person, at a moment counted from now."""
    state = fields.pop("state", State.FINISHED)
    other = DeliveryFactory.create(contents=False, **fields)
    at = timezone.now() + when
    run = other.runs.create(number=1, delivery_version=1, at=at, state="done")
    dates = {"scheduled_at": at, "approved": 1} if state == State.SCHEDULED else {"started_at": at}
    Delivery.objects.filter(pk=other.pk).update(state=state, current_run=run, **dates)
    DeliveryLog.objects.create(run=run, delivery=other, profile=person, status=status, finished_at=at)


def analysed(**fields: Any) -> dict[tuple[int, int], Reason]:
    """Analyse a delivery to everybody; return (profile, position) → reason."""
    delivery = DeliveryFactory.create(target="everybody", contents=False, **fields)
    delivery.refresh_from_db()
    run = analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    rows = DeliveryLog.objects.filter(run=run)
    assert sum(lease.pending for lease in run.leases.all()) == rows.filter(status=LogStatus.PENDING).count()
    return {(row.profile_id, row.position): Reason(row.reason) for row in rows}


@pytest.mark.parametrize("status", list(LogStatus))
def test_pressure_counts_what_was_sent_is_leaving_or_is_still_to_be_sent(status: LogStatus) -> None:
    person = ProfileFactory.create()
    wrote_to(person, status=status)
    counted = {LogStatus.PENDING, LogStatus.HANDING_OFF, LogStatus.RETRY, LogStatus.SENT, LogStatus.IN_DOUBT}
    wanted = Reason.FATIGUE_RULE if status in counted else Reason.NONE
    assert analysed(typology=pressure()) == {(person.pk, 1): wanted}


@pytest.mark.parametrize(
    ("when", "state", "counts"),
    [
        (timedelta(hours=-WEEK + 1), State.FINISHED, True),
        (timedelta(hours=-WEEK - 1), State.FINISHED, False),
        (timedelta(hours=WEEK - 1), State.SCHEDULED, True),
        (timedelta(hours=WEEK + 1), State.SCHEDULED, False),
        (timedelta(hours=-1), State.PAUSED, True),
        (timedelta(hours=-1), State.STOPPED, True),
        (timedelta(hours=-1), State.ANALYSED, False),
    ],
)
def test_pressure_looks_as_far_ahead_as_back(when: timedelta, state: State, counts: bool) -> None:
    person = ProfileFactory.create()
    wrote_to(person, when=when, state=state, status=LogStatus.PENDING)
    assert analysed(typology=pressure()) == {(person.pk, 1): Reason.FATIGUE_RULE if counts else Reason.NONE}


def test_pressure_looks_around_the_date_for_which_a_delivery_is_scheduled() -> None:
    person = ProfileFactory.create()
    wrote_to(person, when=timedelta(hours=-WEEK + 2))
    soon = timezone.now() + timedelta(hours=5)
    assert analysed(typology=pressure(), scheduled_at=soon) == {(person.pk, 1): Reason.NONE}


@pytest.mark.parametrize(("days", "left_out"), [([-6, 6], False), ([-3, 4], True), ([-6, -1, 6], True), ([1, 7], True)])
def test_any_window_that_holds_the_date_may_be_full_and_no_two_are_added_up(days: list[int], left_out: bool) -> None:
    """Six days ago and in six days, seven days hold one of the two messages only."""
    person = ProfileFactory.create()
    for day in days:
        state = State.SCHEDULED if day > 0 else State.FINISHED
        wrote_to(person, when=timedelta(days=day, minutes=-day), state=state, status=LogStatus.PENDING)
    wanted = Reason.FATIGUE_RULE if left_out else Reason.NONE
    assert analysed(typology=pressure(most=2)) == {(person.pk, 1): wanted}


def test_pressure_counts_only_marketing_and_only_its_channels() -> None:
    person = ProfileFactory.create()
    wrote_to(person, message_class=MessageClass.TRANSACTIONAL)
    wrote_to(person, channel=Channel.SMS)
    typology = pressure(channels=[int(Channel.EMAIL)])
    assert analysed(typology=typology) == {(person.pk, 1): Reason.NONE}
    typology.rules.update(channels=[])
    assert analysed(typology=typology) == {(person.pk, 1): Reason.FATIGUE_RULE}
    confirmation = analysed(typology=typology, message_class=MessageClass.TRANSACTIONAL)
    assert confirmation == {(person.pk, 1): Reason.NONE}


@pytest.mark.parametrize(("own", "left_out"), [(2, False), (1, True), (0, True), ("1", False), (None, False)])
def test_the_number_may_come_from_a_field_of_each_person(own: Any, left_out: bool) -> None:
    field = CustomField.objects.create(name="most", kind="number")
    person = ProfileFactory.create(attributes={} if own is None else {"most": own})
    wrote_to(person)
    found = analysed(typology=pressure(most=2, most_field=field))
    assert found == {(person.pk, 1): Reason.FATIGUE_RULE if left_out else Reason.NONE}


def test_nobody_is_the_duplicate_of_somebody_under_pressure() -> None:
    first, second, third = (ProfileFactory.create(email="zoe@example.org") for _number in range(3))
    wrote_to(first)
    assert analysed(typology=pressure()) == {
        (first.pk, 1): Reason.FATIGUE_RULE, (second.pk, 1): Reason.NONE, (third.pk, 1): Reason.DUPLICATE,
    }  # fmt: skip


def test_of_several_pressure_rules_the_first_that_applies_is_named() -> None:
    person = ProfileFactory.create()
    wrote_to(person)
    typology = pressure(most=2, label="Two", place=1)
    typology.rules.create(kind="fatigue", most=1, hours=WEEK, label="One", place=2)
    typology.rules.create(kind="fatigue", most=0, hours=WEEK, label="None", place=3)
    analysed(typology=typology)
    row = DeliveryLog.objects.get(profile=person, reason=Reason.FATIGUE_RULE)
    assert typology.rules.get(pk=row.rule).label == "One"


@pytest.mark.parametrize("limit", [0, 1, 5, 6, 7])
def test_a_size_limit_keeps_exactly_so_many_and_the_same_ones_each_time(limit: int, settings: Any) -> None:
    settings.ANALYSIS_RANGE = 2
    for _number in range(6):
        ProfileFactory.create()
    first, again = (analysed(size_limit=limit, salt=77) for _time in range(2))
    assert first == again
    assert list(first.values()).count(Reason.NONE) == min(limit, 6)
    assert set(first.values()) <= {Reason.NONE, Reason.SIZE_LIMIT}


@pytest.mark.parametrize("count", [1, 4, 6, 9])
def test_a_control_group_of_so_many_people_is_drawn_after_the_exclusions(count: int, settings: Any) -> None:
    settings.ANALYSIS_RANGE = 2
    people = [ProfileFactory.create(blacklisted=not number) for number in range(7)]
    found = analysed(control_count=count, salt=1_234_567)
    assert found[people[0].pk, 1] == Reason.BLACKLISTED
    assert list(found.values()).count(Reason.CONTROL_GROUP) == min(count, 6)


def test_a_control_group_takes_all_addresses_of_a_person_and_the_limit_counts_messages(settings: Any) -> None:
    settings.ANALYSIS_RANGE = 2
    people = [ProfileFactory.create() for _number in range(6)]
    for person in people:
        add_address(person, Channel.EMAIL, f"other.{person.pk}@example.org")
    found = analysed(addresses="every", control_count=2, size_limit=5, salt=99)
    assert len(found) == 12
    held_out = {profile for (profile, _position), reason in found.items() if reason == Reason.CONTROL_GROUP}
    assert len(held_out) == 2
    assert all(found[profile, position] == Reason.CONTROL_GROUP for profile in held_out for position in (1, 2))
    assert list(found.values()).count(Reason.NONE) == 5
    assert list(found.values()).count(Reason.SIZE_LIMIT) == 3


def test_a_percentage_is_a_fair_part_and_another_salt_draws_others() -> None:
    ids = range(1, 20_001)
    salts = (1, 2, 48_271, 69_621_137, DRAW_PRIME - 1)
    drawn = [{one for one in ids if draw.number(one, salt) < draw.threshold(2_500)} for salt in salts]
    for group in drawn:
        assert abs(len(group) / len(ids) - 0.25) < 0.02
        assert abs(len([one for one in group if one <= 2_000]) / 2_000 - 0.25) < 0.05  # the oldest as well as others
    for one, other in combinations(drawn, 2):
        assert abs(len(one & other) / len(ids) - 0.0625) < 0.02  # as two independent draws have in common
    assert len({draw.number(one, 48_271) for one in ids}) == len(ids)
    assert draw.threshold(10_000) == DRAW_PRIME


def test_the_whole_is_held_out_at_a_hundred_percent_and_nobody_at_none() -> None:
    ServiceFactory.create()
    person = ProfileFactory.create()
    assert analysed(control_percent="100") == {(person.pk, 1): Reason.CONTROL_GROUP}
    assert analysed(control_percent="0") == {(person.pk, 1): Reason.NONE}
