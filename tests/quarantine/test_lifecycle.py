"""Every state of an address and everything that can happen to it: the table, what is written, and the oracle agree."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, ConsentEvent, Source
from quarantine import escalation, lifecycle, outages, tidying
from quarantine.entries import Target
from quarantine.failures import Failure, Kind
from quarantine.lifecycle import Event, MoveRefused, Nothing, State
from quarantine.models import Cause, Outage, QuarantinedAddress, QuarantineEvent, Reason, Status
from tests.factories import QuarantinedAddressFactory
from tests.quarantine import lifecycle_oracle as oracle

NOW = timezone.now()
DAY = timedelta(days=1)
BY_MACHINE = Evidence(source=Source.BOUNCE)
BY_OPERATOR = Evidence(source=Source.OPERATOR, actor_name="emilie", reason="asked")
HARD = Failure(Kind.HARD, Reason.USER_UNKNOWN)
SOFT = Failure(Kind.SOFT, Reason.UNREACHABLE)
PAIRS = [(state, event) for state in State for event in Event]

_until = NOW + 10 * DAY
ROWS: dict[State, list[dict[str, Any]]] = {
    State.VALID: [{"status": Status.VALID, "cause": None}],
    State.ERRONEOUS: [{"status": Status.ERRONEOUS, "cause": None, "errors": 1, "last_error_at": NOW - 2 * DAY}],
    State.BOUNCED_UNTIL: [{"cause": Cause.BOUNCE, "release_at": _until}],
    State.BOUNCED: [{"cause": Cause.BOUNCE}],
    State.LEFT_OUT_UNTIL: [{"cause": cause, "release_at": _until} for cause in Cause if cause != Cause.BOUNCE],
    State.LEFT_OUT: [{"cause": cause} for cause in Cause if cause != Cause.BOUNCE],
    State.ALLOWLISTED: [{"status": Status.ALLOWLISTED, "cause": None}],
}


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_the_table_says_what_is_promised(state: State, event: Event) -> None:
    assert lifecycle.after(state, event) == oracle.follows(state, event)


def _note(failure: Failure, **known: Any) -> Callable[[QuarantinedAddress], Any]:
    def act(row: QuarantinedAddress) -> None:
        QuarantinedAddress.objects.filter(pk=row.pk).update(**known)
        escalation.note_failure(_target(row), failure, evidence=BY_MACHINE, at=NOW)

    return act


def _leave_out(cause: Cause) -> Callable[[QuarantinedAddress], Any]:
    return lambda row: escalation.quarantine([_target(row)], cause=cause, evidence=BY_MACHINE, at=NOW)


def _release_in_bulk(row: QuarantinedAddress) -> None:
    made = Outage(domain="example.org", since=NOW - DAY, until=NOW, reason="down", by="emilie")
    outages.work(outages.start(made, at=NOW).pk, clock=lambda: NOW)


def _undo_in_bulk(row: QuarantinedAddress) -> None:
    """Undo the release that the entry's last event is."""
    made = Outage.objects.create(domain="example.org", since=NOW - DAY, until=NOW, reason="down", by="emilie")
    QuarantineEvent.objects.create(
        entry_id=row.pk, channel=row.channel, digest=row.digest, before=Status.QUARANTINED, after=Status.VALID,
        outage_id=made.pk,
    )  # fmt: skip
    QuarantinedAddress.objects.filter(pk=row.pk).update(cause=row.cause or Cause.BOUNCE)
    outages.undo(made.pk, by="alice", at=NOW)
    outages.work_undo(made.pk, clock=lambda: NOW)


def _release_due(row: QuarantinedAddress) -> None:
    QuarantinedAddress.objects.filter(pk=row.pk, status=Status.ERRONEOUS).update(last_error_at=NOW + 9 * DAY)
    tidying.tidy(_until)


ACTS: dict[Event, Callable[[QuarantinedAddress], Any]] = {
    Event.HARD: _note(HARD),
    Event.SOFT_TOO_SOON: _note(SOFT, last_error_at=NOW - DAY + timedelta(seconds=1)),
    Event.SOFT: _note(SOFT, last_error_at=NOW - DAY, errors=3),
    Event.SOFT_LAST: _note(SOFT, last_error_at=NOW - DAY, errors=4),
    Event.SUCCESS: lambda row: escalation.note_success(_target(row), evidence=BY_MACHINE, at=NOW),
    Event.COMPLAINT: _leave_out(Cause.COMPLAINT),
    Event.STOP: _leave_out(Cause.STOP),
    Event.PERSON: _leave_out(Cause.PERSON),
    Event.OPERATOR: _leave_out(Cause.OPERATOR),
    Event.IMPORT: _leave_out(Cause.IMPORT),
    Event.RELEASE: lambda row: escalation.release([row], evidence=BY_OPERATOR, at=NOW),
    Event.RELEASE_IN_BULK: _release_in_bulk,
    Event.UNDO_IN_BULK: _undo_in_bulk,
    Event.RELEASE_DUE: _release_due,
    Event.ERRORS_OLD: lambda row: tidying.tidy(NOW + 8 * DAY),
    Event.SET_RELEASE: lambda row: escalation.set_release(row, NOW + 40 * DAY, evidence=BY_OPERATOR, at=NOW),
    Event.ALLOW: lambda row: escalation.allow(_target(row), evidence=BY_OPERATOR, at=NOW),
    Event.DISALLOW: lambda row: escalation.disallow(row, evidence=BY_OPERATOR, at=NOW),
}


def _target(row: QuarantinedAddress) -> Target:
    return Target(Channel(row.channel), bytes(row.digest), row.value, row.key)


@pytest.mark.django_db
@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_what_is_written_is_what_the_table_says(state: State, event: Event, settings: Any) -> None:
    if event == Event.SOFT_LAST and state != State.ERRONEOUS:
        settings.QUARANTINE_ERRORS = 1
    for fields in ROWS[state]:
        _check(QuarantinedAddressFactory.create(quarantined_at=NOW - DAY / 2, **fields), state, event)


def _check(row: QuarantinedAddress, state: State, event: Event) -> None:
    assert lifecycle.state_of(row) == state
    before, follows = Status(row.status), lifecycle.after(state, event)
    history, ledger = QuarantineEvent.objects.count(), ConsentEvent.objects.count()
    asked = event in (Event.SET_RELEASE, Event.ALLOW, Event.DISALLOW)
    if follows == Nothing.REFUSED and asked:
        with pytest.raises(MoveRefused):
            ACTS[event](row)
    else:
        ACTS[event](row)
    row.refresh_from_db()
    written = QuarantineEvent.objects.filter(entry_id=row.pk).order_by("pk")
    told = ConsentEvent.objects.filter(digest=row.digest).order_by("pk")
    if isinstance(follows, Nothing):
        # Of an undo the release itself is there already.
        assert (row.status, written.count()) == (before, event == Event.UNDO_IN_BULK)
        assert ConsentEvent.objects.count() == ledger
        return
    last = written.latest("pk")
    assert (row.status, last.before, last.after, last.cause) == (follows, before, follows, row.cause)
    assert QuarantineEvent.objects.count() == history + 1 + (event == Event.UNDO_IN_BULK)
    acts = [] if event == Event.SET_RELEASE or Status.QUARANTINED not in (before, follows) else [
        Act.QUARANTINE if follows == Status.QUARANTINED else Act.RELEASE
    ]  # fmt: skip
    assert [line.act for line in told] == acts
    if follows == Status.QUARANTINED and event in lifecycle.OF_CAUSE.values():
        assert lifecycle.OF_CAUSE[Cause(row.cause or 0)] == event
    if event == Event.HARD:
        assert (row.cause, row.release_at) == (Cause.BOUNCE, None)


@pytest.mark.django_db
@pytest.mark.parametrize("event", [Event.SET_RELEASE, Event.ALLOW, Event.DISALLOW, Event.RELEASE])
def test_an_operator_says_why(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State.ALLOWLISTED if event == Event.DISALLOW else State.BOUNCED
    row = QuarantinedAddressFactory.create(quarantined_at=NOW, **ROWS[state][0])
    monkeypatch.setitem(globals(), "BY_OPERATOR", replace(BY_OPERATOR, reason=" "))
    with pytest.raises(ValueError, match="Write down why"):
        ACTS[event](row)
    assert not QuarantineEvent.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("source", list(Source))
def test_only_the_person_and_an_operator_release(source: Source) -> None:
    rows = [QuarantinedAddressFactory.create(quarantined_at=NOW, cause=cause) for cause in Cause]
    person = source in (Source.LANDING_PAGE, Source.PREFERENCES)
    evidence = Evidence(source=source, reason="asked")
    if not person and source != Source.OPERATOR:
        with pytest.raises(PermissionError):
            escalation.release(rows, evidence=evidence, at=NOW)
        return
    escalation.release(rows, evidence=evidence, at=NOW)
    released = set(QuarantinedAddress.objects.filter(status=Status.VALID).values_list("cause", flat=True))
    assert released == ({Cause.PERSON} if person else set(Cause))


@pytest.mark.django_db
def test_another_date_of_release_is_told_in_the_history_with_the_one_before() -> None:
    row = QuarantinedAddressFactory.create(quarantined_at=NOW, release_at=NOW + 10 * DAY)
    assert not escalation.set_release(row, NOW + 10 * DAY, evidence=BY_OPERATOR, at=NOW)
    assert escalation.set_release(row, None, evidence=BY_OPERATOR, at=NOW)
    row.refresh_from_db()
    assert row.release_at is None
    event = QuarantineEvent.objects.get()
    assert event.note == f"{timezone.localtime(NOW + 10 * DAY):%Y-%m-%d} → –: asked"
    with pytest.raises(ValueError, match="to come"):
        escalation.set_release(row, NOW, evidence=BY_OPERATOR, at=NOW)
    with pytest.raises(MoveRefused, match="valid"):
        escalation.set_release(
            QuarantinedAddressFactory.create(quarantined_at=NOW, release_at=NOW),
            NOW + DAY,
            evidence=BY_OPERATOR,
            at=NOW,
        )


@pytest.mark.django_db
def test_an_address_of_which_nothing_is_known_can_be_written_to_always() -> None:
    target = Target(Channel.EMAIL, b"0123456789abcdef", "Ann@Example.org", "ann@example.org")
    assert escalation.allow(target, evidence=BY_OPERATOR, at=NOW)
    assert not escalation.allow(target, evidence=BY_OPERATOR, at=NOW)
    row = QuarantinedAddress.objects.get()
    assert (row.status, row.value, row.domain) == (Status.ALLOWLISTED, "Ann@Example.org", "example.org")
    assert QuarantineEvent.objects.get().before is None
    escalation.disallow(row, evidence=BY_OPERATOR, at=NOW)
    row.refresh_from_db()
    assert row.status == Status.VALID
