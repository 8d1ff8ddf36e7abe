"""What is promised about addresses, told once more in plain Python, sharing nothing with the code but its names."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from quarantine.lifecycle import Event, Nothing, State
from quarantine.models import Cause, Status

BLOCKED = {State.BOUNCED, State.BOUNCED_UNTIL, State.LEFT_OUT, State.LEFT_OUT_UNTIL}
RETURNED = {State.BOUNCED, State.BOUNCED_UNTIL}
DATED = {State.BOUNCED_UNTIL, State.LEFT_OUT_UNTIL}
ANSWERS = {Event.HARD, Event.SOFT, Event.SOFT_LAST, Event.SOFT_TOO_SOON, Event.SUCCESS}
SAID_BY_THE_PERSON = {Event.COMPLAINT, Event.STOP, Event.PERSON}
SAID = SAID_BY_THE_PERSON | {Event.OPERATOR, Event.IMPORT}


def follows(state: State, event: Event) -> Status | Nothing:
    """Return what must follow an event in a state."""
    if event in ANSWERS:
        return _after_an_answer(state, event)
    if event in SAID:
        return _after_a_word(state, event)
    if event == Event.RELEASE:
        return Status.VALID if state in BLOCKED else Nothing.REFUSED
    if event == Event.RELEASE_IN_BULK:  # only what messages that came back have led to
        return Status.VALID if state in RETURNED else Nothing.REFUSED
    if event == Event.UNDO_IN_BULK:  # only what is still as the release has left it
        return Status.QUARANTINED if state == State.VALID else Nothing.REFUSED
    if event == Event.RELEASE_DUE:
        return Status.VALID if state in DATED else Nothing.IGNORED
    if event == Event.ERRORS_OLD:
        return Status.VALID if state == State.ERRONEOUS else Nothing.IGNORED
    if event == Event.SET_RELEASE:
        return Status.QUARANTINED if state in BLOCKED else Nothing.REFUSED
    if event == Event.ALLOW:
        if state == State.ALLOWLISTED:
            return Nothing.IGNORED
        return Nothing.REFUSED if state in BLOCKED - RETURNED else Status.ALLOWLISTED
    assert event == Event.DISALLOW
    return Status.VALID if state == State.ALLOWLISTED else Nothing.REFUSED


def _after_an_answer(state: State, event: Event) -> Status | Nothing:
    """Errors of allowlisted addresses are ignored, and no answer ever releases one that is left out."""
    if state == State.ALLOWLISTED or event == Event.SOFT_TOO_SOON:
        return Nothing.IGNORED
    if state in BLOCKED:
        # A mailbox that was full, and now does not exist: for good.
        gone = event == Event.HARD and state == State.BOUNCED_UNTIL
        return Status.QUARANTINED if gone else Nothing.IGNORED
    if event == Event.SUCCESS:
        return Status.VALID if state == State.ERRONEOUS else Nothing.IGNORED
    return Status.ERRONEOUS if event == Event.SOFT else Status.QUARANTINED


def _after_a_word(state: State, event: Event) -> Status | Nothing:
    if state == State.LEFT_OUT:
        return Nothing.IGNORED  # the first cause stays
    if state == State.BOUNCED:  # the person's word must outlast a release in bulk
        return Status.QUARANTINED if event in SAID_BY_THE_PERSON else Nothing.IGNORED
    if state == State.ALLOWLISTED and event == Event.IMPORT:
        return Nothing.IGNORED
    return Status.QUARANTINED


@dataclass(slots=True)
class Remembered:
    """What answers have made of one address, with the days of the documentation."""

    status: Status = Status.VALID
    errors: int = 0
    last_error: datetime | None = None
    until: datetime | None = None
    steps: list[tuple[datetime, Status]] = field(default_factory=list)

    def _to(self, status: Status, at: datetime) -> None:
        self.status = status
        self.steps.append((at, status))
        if status == Status.VALID:
            self.errors, self.until = 0, None

    def pass_time(self, at: datetime) -> None:
        if self.status == Status.QUARANTINED and self.until and self.until <= at:
            self._to(Status.VALID, self.until)
        if self.status == Status.ERRONEOUS and self.last_error and at - self.last_error >= timedelta(days=10):
            self._to(Status.VALID, self.last_error + timedelta(days=10))

    def hard(self, at: datetime) -> None:
        self.pass_time(at)
        if self.status != Status.QUARANTINED or self.until:
            self.until = None
            self._to(Status.QUARANTINED, at)

    def soft(self, at: datetime, *, full: bool) -> None:
        self.pass_time(at)
        if self.status == Status.QUARANTINED:
            return
        if self.last_error and at - self.last_error < timedelta(days=1):
            return
        self.errors, self.last_error = self.errors + 1, at
        if self.errors == 5:
            self.until = at + timedelta(days=30) if full else None
            self._to(Status.QUARANTINED, at)
        else:
            self._to(Status.ERRONEOUS, at)

    def success(self, at: datetime) -> None:
        self.pass_time(at)
        if self.status == Status.ERRONEOUS:
            self._to(Status.VALID, at)


def blocks(status: int, cause: int | None, release_at: datetime | None, at: datetime) -> bool:
    """Say whether an entry forbids writing: left out, and its release, if it has a date, is to come."""
    if status != Status.QUARANTINED:
        return False
    assert cause in Cause.values
    return True if release_at is None else release_at > at
