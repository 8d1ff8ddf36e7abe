"""Releases in bulk after an outage: exactly what was meant, shown before, in batches, and undone as it was."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, ConsentEvent, Source
from quarantine import escalation, outages, tasks, tidying
from quarantine.failures import Failure, Kind
from quarantine.models import Cause, Outage, QuarantinedAddress, QuarantineEvent, Reason, Status
from tests.factories import QuarantinedAddressFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now()
HOUR = timedelta(hours=1)
DOWN = "550 5.1.1 Temporary directory failure: User unknown"
BY_MACHINE = Evidence(source=Source.BOUNCE)
BY_OPERATOR = Evidence(source=Source.OPERATOR, actor_name="emilie", reason="asked")
ROW = ("status", "cause", "reason", "text", "quarantined_at", "release_at", "value", "key", "domain", "delivery_name")


def bounced(value: str, *, ago: timedelta = HOUR, text: str = DOWN, **more: Any) -> QuarantinedAddress:
    return QuarantinedAddressFactory.create(value=value, quarantined_at=NOW - ago, text=text, **more)


def outage(**more: Any) -> Outage:
    fields = {"domain": "example.org", "since": NOW - 2 * HOUR, "until": NOW, "text": "directory FAILURE",
              "reason": "Their directory was down", "by": "emilie"}  # fmt: skip
    return Outage(**(fields | more))


def started(**more: Any) -> Outage:
    return outages.start(outage(**more), at=NOW)


def worked(made: Outage, *, at: datetime = NOW) -> Outage:
    assert not outages.work(made.pk, clock=lambda: at)
    assert not outages.work_undo(made.pk, clock=lambda: at)
    made.refresh_from_db()
    return made


def left_out() -> set[str]:
    return set(QuarantinedAddress.objects.blocking(NOW).values_list("value", flat=True))


def state() -> list[tuple[Any, ...]]:
    return list(QuarantinedAddress.objects.order_by("pk").values_list(*ROW))


MEANT = "meant@example.org"
OTHERS: list[dict[str, Any]] = [
    {"value": "other@example.net"},
    {"value": "below@mail.example.org"},
    {"value": "beside@badexample.org"},
    {"value": "earlier@example.org", "ago": 2 * HOUR + timedelta(seconds=1)},
    {"value": "later@example.org", "ago": -timedelta(seconds=1)},
    {"value": "gone@example.org", "text": "550 5.1.1 No such user"},
    *({"value": f"{cause.name.lower()}@example.org", "cause": cause} for cause in Cause if cause != Cause.BOUNCE),
]


@pytest.fixture
def population() -> Iterator[None]:
    bounced(MEANT)
    for fields in OTHERS:
        bounced(**fields)
    return


@pytest.mark.usefixtures("population")
def test_exactly_what_is_meant_is_released() -> None:
    before = left_out()
    made = worked(started())
    assert before - left_out() == {MEANT}
    assert (made.released, made.finished_at) == (1, NOW)


@pytest.mark.usefixtures("population")
@pytest.mark.parametrize(
    ("fields", "also"),
    [
        ({"subdomains": True}, {"below@mail.example.org"}),
        ({"domain": "*.EXAMPLE.org."}, {"below@mail.example.org"}),
        ({"domain": ""}, {"other@example.net", "below@mail.example.org", "beside@badexample.org"}),
        ({"text": ""}, {"gone@example.org"}),
        ({"since": NOW - 3 * HOUR}, {"earlier@example.org"}),
    ],
)
def test_a_wider_release_releases_what_it_says(fields: dict[str, Any], also: set[str]) -> None:
    before = left_out()
    worked(started(**fields))
    assert before - left_out() == {MEANT, *also}


@pytest.mark.parametrize(
    ("words", "text", "holds"),
    [
        ("100%", "mailbox 100% gone", True), ("100%", "mailbox 100x gone", False),
        ("a_b", "a_b", True), ("a_b", "axb", False), ("\\", "a\\b", True),
        ("BOÎTE", "cette boîte", True), ("STRASSE", "straße", True), ("two words", "Two\n  words", True),
    ],
)  # fmt: skip
def test_words_mean_themselves_whatever_their_case(words: str, text: str, holds: bool) -> None:
    bounced(MEANT, text=text)
    made = worked(started(text=words))
    assert (made.released == 1) is holds
    assert outages.preview(outage(text=words), at=NOW).count == 0


@pytest.mark.usefixtures("population")
def test_a_preview_tells_what_would_be_released_and_writes_nothing(django_assert_max_num_queries: Any) -> None:
    before = state()
    with django_assert_max_num_queries(8):
        found = outages.preview(outage(subdomains=True), at=NOW)
    assert (found.count, found.exact) == (2, True)
    assert {row.value for row in found.sample} == {MEANT, "below@mail.example.org"}
    assert found.reasons == [(Reason.NOT_DEFINED, 2)]
    assert (state(), Outage.objects.count(), QuarantineEvent.objects.count()) == (before, 0, 0)


def test_a_preview_of_many_counts_so_far_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(6):
        bounced(f"{n}@example.org", reason=Reason.USER_UNKNOWN if n else Reason.ACCOUNT_DISABLED)
    monkeypatch.setattr(outages, "COUNTED", 4)
    monkeypatch.setattr(outages, "SAMPLE", 2)
    found = outages.preview(outage(), at=NOW)
    assert (found.count, found.exact, len(found.sample)) == (4, False, 2)
    assert found.reasons[0][0] == Reason.USER_UNKNOWN
    monkeypatch.setattr(outages, "COUNTED", 100)
    monkeypatch.setattr(outages, "LOOKED_AT", 3)
    found = outages.preview(outage(), at=NOW)
    assert (found.count, found.exact) == (3, False)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"domain": "", "text": " "}, "all would be released"),
        ({"since": NOW}, "before the beginning"),
        ({"since": NOW + HOUR, "until": NOW + 2 * HOUR}, "This is to come"),
        ({"reason": " "}, "Write down why"),
        ({"domain": "a@example.org"}, "leave that one address out"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        started(**(fields | ({"until": NOW - HOUR} if fields == {"since": NOW} else {})))
    assert not Outage.objects.exists()


def test_a_release_has_its_history_and_its_line_of_the_ledger() -> None:
    row = bounced(MEANT)
    made = worked(started())
    event = QuarantineEvent.objects.get(entry_id=row.pk)
    assert (event.before, event.after, event.outage_id) == (Status.QUARANTINED, Status.VALID, made.pk)
    assert (event.actor_name, event.note, event.source) == ("emilie", "Their directory was down", Source.OPERATOR)
    assert ConsentEvent.objects.get().act == Act.RELEASE


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "BATCH", 3)


@pytest.mark.usefixtures("small_batches")
def test_the_work_goes_on_where_it_was_killed_and_can_be_stopped() -> None:
    for n in range(10):
        bounced(f"{n}@example.org")
    made = started()
    assert outages.work(made.pk, clock=lambda: NOW, budget=timedelta(0))
    made.refresh_from_db()
    assert (made.released, made.finished_at, len(left_out())) == (3, None, 7)
    assert list(outages.to_ring_again()) == [(made.pk, False)]
    assert outages.stop(made.pk, at=NOW)
    assert not outages.stop(made.pk, at=NOW)
    assert not outages.work(made.pk, clock=lambda: NOW)
    assert not list(outages.to_ring_again())
    assert len(left_out()) == 7
    assert outages.go_on(made.pk)
    assert worked(made).released == 10
    assert not left_out()
    assert not outages.go_on(made.pk)
    assert QuarantineEvent.objects.count() == 10


@pytest.mark.usefixtures("small_batches")
def test_an_undo_puts_back_everything_as_it_was() -> None:
    for n in range(7):
        bounced(f"{n}@example.org", reason=Reason.USER_UNKNOWN, delivery_name="Spring")
    bounced("full@example.org", reason=Reason.MAILBOX_FULL, release_at=NOW + 30 * timedelta(days=1))
    before = state()
    made = worked(started())
    assert not left_out()
    assert outages.undo(made.pk, by="alice", at=NOW)
    assert not outages.undo(made.pk, by="alice", at=NOW)
    assert list(outages.to_ring_again()) == [(made.pk, True)]
    assert worked(made).put_back == 8
    assert (made.undone_by, made.undo_finished_at) == ("alice", NOW)
    assert state() == before
    last = QuarantineEvent.objects.latest("pk")
    assert (last.before, last.after, last.outage_id, last.actor_name) == (
        Status.VALID, Status.QUARANTINED, made.pk, "alice",
    )  # fmt: skip
    assert ConsentEvent.objects.filter(act=Act.QUARANTINE).count() == 8


def test_an_undo_leaves_alone_what_something_has_happened_to_since() -> None:
    rows = {name: bounced(f"{name}@example.org") for name in ("quiet", "erred", "again", "allowed", "elsewhere")}
    target = {name: escalation.Target(Channel.EMAIL, bytes(row.digest)) for name, row in rows.items()}
    made = worked(started())
    later = NOW + HOUR
    soft, hard = Failure(Kind.SOFT, Reason.UNREACHABLE), Failure(Kind.HARD, Reason.USER_UNKNOWN)
    escalation.note_failure(target["erred"], soft, evidence=BY_MACHINE, at=later)
    escalation.note_failure(target["again"], hard, evidence=BY_MACHINE, at=later, text="now it is gone")
    escalation.release([QuarantinedAddress.objects.get(pk=rows["again"].pk)], evidence=BY_OPERATOR, at=later)
    escalation.allow(target["allowed"], evidence=BY_OPERATOR, at=later)
    escalation.quarantine([target["elsewhere"]], cause=Cause.PERSON, evidence=BY_MACHINE, at=later)
    outages.undo(made.pk, by="alice", at=later)
    assert worked(made, at=later).put_back == 1
    now = {row.value: (row.status, row.cause) for row in QuarantinedAddress.objects.all()}
    assert now == {
        "quiet@example.org": (Status.QUARANTINED, Cause.BOUNCE),
        "erred@example.org": (Status.ERRONEOUS, Cause.BOUNCE),
        "again@example.org": (Status.VALID, Cause.BOUNCE),
        "allowed@example.org": (Status.ALLOWLISTED, Cause.BOUNCE),
        "elsewhere@example.org": (Status.QUARANTINED, Cause.PERSON),
    }


@pytest.mark.parametrize("tidied", [False, True])
def test_an_undo_leaves_alone_what_would_have_been_released_by_itself_meanwhile(tidied: bool) -> None:
    bounced("full@example.org", release_at=NOW + HOUR)
    made = worked(started())
    later = NOW + 2 * HOUR
    if tidied:
        tidying.tidy(later)
    outages.undo(made.pk, by="alice", at=later)
    assert worked(made, at=later).put_back == 0
    assert QuarantinedAddress.objects.get().status == Status.VALID


@pytest.mark.usefixtures("small_batches")
def test_an_undo_of_a_release_that_is_not_done_ends_it() -> None:
    for n in range(7):
        bounced(f"{n}@example.org")
    made = started()
    outages.work(made.pk, clock=lambda: NOW, budget=timedelta(0))
    outages.undo(made.pk, by="alice", at=NOW)
    worked(made)
    assert (made.released, made.put_back, len(left_out())) == (3, 3, 7)


@pytest.mark.usefixtures("small_batches")
def test_the_tasks_release_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(7):
        bounced(f"{n}@example.org")
    made = started()
    for task in (tasks.release_after_outage, tasks.undo_release):
        monkeypatch.setattr(task, "delay", task)
    tasks.resume_outages()
    assert not left_out()
    outages.undo(made.pk, by="alice", at=NOW)
    tasks.resume_outages()
    assert len(left_out()) == 7
