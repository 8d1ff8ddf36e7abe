"""The thresholds are settings: what makes no sense is refused, and what is set is followed."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Source
from quarantine import checks, escalation, tasks
from quarantine.failures import Failure, Kind
from quarantine.models import QuarantinedAddress, QuarantineEvent, Reason, Status

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOMENT = timedelta(microseconds=1)
SOFT = Failure(Kind.SOFT, Reason.UNREACHABLE)
FULL = Failure(Kind.SOFT, Reason.MAILBOX_FULL)
START = timezone.now().replace(year=2030, month=1, day=1)
WHO = escalation.Target(Channel.EMAIL, b"0123456789abcdef", "ann@example.org", "ann@example.org")


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        ({}, []),
        ({"QUARANTINE_ERRORS": 0}, ["E001"]),
        ({"QUARANTINE_ERRORS": 101}, ["E001"]),
        ({"QUARANTINE_ERRORS": 1}, []),
        ({"QUARANTINE_BETWEEN_ERRORS": -HOUR}, ["E002"]),
        ({"QUARANTINE_BETWEEN_ERRORS": timedelta(0)}, []),
        ({"QUARANTINE_FORGET": timedelta(0)}, ["E003"]),
        ({"QUARANTINE_FORGET": DAY}, ["E003"]),
        ({"QUARANTINE_FORGET": 25 * HOUR}, []),
        ({"MAILBOX_FULL_RELEASE": timedelta(0)}, ["E004"]),
        ({"MAILBOX_FULL_RELEASE": 4000 * DAY}, ["E004"]),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(changes: dict[str, Any], ids: list[str], settings: Any) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    assert [error.id for error in checks.check_quarantine()] == [f"quarantine.{number}" for number in ids]


@pytest.fixture
def clock() -> Any:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def note(failure: Failure = SOFT) -> QuarantinedAddress:
    evidence = Evidence(source=Source.BOUNCE)
    escalation.note_failure(WHO, failure, evidence=evidence, at=timezone.now())
    return QuarantinedAddress.objects.get()


def blocked() -> bool:
    return QuarantinedAddress.objects.blocking(timezone.now()).exists()


@pytest.mark.django_db
@pytest.mark.parametrize(("threshold", "hours"), [(5, 24), (1, 24), (3, 6), (2, 0)])
def test_errors_count_when_far_enough_apart_and_the_last_one_leaves_out(
    clock: Any, settings: Any, threshold: int, hours: int
) -> None:
    settings.QUARANTINE_ERRORS, settings.QUARANTINE_BETWEEN_ERRORS = threshold, hours * HOUR
    for number in range(1, threshold + 1):
        assert not blocked()
        row = note()
        assert row.errors == number
        if hours and number < threshold:
            clock.shift(hours * HOUR - MOMENT)
            assert note().errors == number
            clock.shift(MOMENT)
    assert blocked()
    clock.shift(4000 * DAY)
    tasks.tidy()
    assert blocked()


@pytest.mark.django_db
@pytest.mark.parametrize("days", [10, 3])
def test_errors_are_forgotten_to_the_moment(clock: Any, settings: Any, days: int) -> None:
    settings.QUARANTINE_FORGET = days * DAY
    note()
    clock.shift(days * DAY - MOMENT)
    tasks.tidy()
    assert QuarantinedAddress.objects.get().status == Status.ERRONEOUS
    assert note().errors == 2
    clock.shift(days * DAY)
    assert note().errors == 1
    clock.shift(days * DAY)
    tasks.tidy()
    tasks.tidy()
    row = QuarantinedAddress.objects.get()
    assert (row.status, row.errors) == (Status.VALID, 0)
    last = QuarantineEvent.objects.latest("pk")
    assert (last.at, last.source) == (timezone.now(), Source.SYSTEM)


@pytest.mark.django_db
@pytest.mark.parametrize("days", [30, 7])
def test_a_full_mailbox_is_released_to_the_moment_whether_or_not_it_is_tidied(
    clock: Any, settings: Any, days: int
) -> None:
    settings.QUARANTINE_ERRORS, settings.MAILBOX_FULL_RELEASE = 1, days * DAY
    note(FULL)
    due = timezone.now() + days * DAY
    clock.shift(days * DAY - MOMENT)
    tasks.tidy()
    assert blocked()
    clock.shift(MOMENT)
    assert not blocked()
    assert QuarantinedAddress.objects.get().status == Status.QUARANTINED  # nobody has written it down yet
    clock.shift(5 * HOUR)
    tasks.tidy()
    assert QuarantinedAddress.objects.get().status == Status.VALID
    assert QuarantineEvent.objects.latest("pk").at == due


@pytest.mark.django_db
def test_a_write_to_an_address_whose_release_was_due_tells_the_release_first(clock: Any, settings: Any) -> None:
    settings.QUARANTINE_ERRORS = 1
    note(FULL)
    clock.shift(40 * DAY)
    note(FULL)
    steps = list(QuarantineEvent.objects.order_by("pk").values_list("before", "after", "at"))
    assert steps == [
        (None, Status.QUARANTINED, START),
        (Status.QUARANTINED, Status.VALID, START + 30 * DAY),
        (Status.VALID, Status.QUARANTINED, START + 40 * DAY),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("failure", [SOFT, FULL, Failure(Kind.HARD, Reason.USER_UNKNOWN)])
def test_a_success_ends_errors_and_never_a_quarantine(clock: Any, failure: Failure) -> None:
    note(failure)
    was = QuarantinedAddress.objects.get().status
    escalation.note_success(WHO, evidence=Evidence(source=Source.BOUNCE), at=timezone.now())
    hard = failure.kind == Kind.HARD
    assert QuarantinedAddress.objects.get().status == (was if hard else Status.VALID)
    assert blocked() == hard
    clock.shift(2 * DAY)
    assert note().errors == (0 if hard else 1)


@pytest.mark.django_db
def test_much_is_tidied_in_batches(monkeypatch: pytest.MonkeyPatch, clock: Any, settings: Any) -> None:
    from quarantine import tidying

    monkeypatch.setattr(tidying, "BATCH", 3)
    settings.QUARANTINE_ERRORS = 2
    many = [escalation.Target(Channel.EMAIL, n.to_bytes(16, "big")) for n in range(14)]
    evidence = Evidence(source=Source.BOUNCE)
    for one in many:
        escalation.note_failure(one, FULL, evidence=evidence, at=timezone.now())
    clock.shift(2 * DAY)
    for one in many[:7]:
        escalation.note_failure(one, FULL, evidence=evidence, at=timezone.now())
    clock.shift(40 * DAY)
    assert tidying.tidy(timezone.now())  # a worker that is killed after a batch
    assert QuarantinedAddress.objects.filter(status=Status.VALID).count() == 6
    tasks.tidy()
    assert QuarantinedAddress.objects.filter(status=Status.VALID).count() == 14
    assert QuarantineEvent.objects.count() == 14 + 7 + 14


@pytest.mark.django_db
def test_a_task_without_time_left_rings_again(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    rung: list[int] = []
    settings.TASK_BUDGET = timedelta(0)
    monkeypatch.setattr("quarantine.tidying.tidy", lambda at: True)
    monkeypatch.setattr(tasks.tidy, "delay", lambda: rung.append(1))
    tasks.tidy()
    assert rung == [1]
