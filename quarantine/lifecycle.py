"""The lifecycle of an address: the states it can be in, what can happen to it, and what follows, as one table.

    state_of(row)            which state an entry is in, as it is written
    after(state, event)      the status that follows, or why nothing does
    overdue(row, at)         what should have happened to it by itself at a moment, and when

Nothing here reads or writes the database. Who acts:

- machines: what a mail system answers, at once or in a report (HARD, SOFT…, SUCCESS);
- people: a complaint, STOP, their own wish. They prevail over machines: over an address that is always written to, and
  over messages that came back, which a release in bulk could lift again;
- operators, with a permission and a reason: what is left out by hand (it prevails over an address that is always
  written to), releases, dates of release, addresses that are always written to;
- the clock: releases that are due, and errors that are old.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

from django.conf import settings

from .models import Cause, QuarantinedAddress, Reason, Status


class State(Enum):
    """A status, and what else decides: whether messages came back or somebody said so, and whether there is a date."""

    VALID = 0
    ERRONEOUS = 1
    BOUNCED_UNTIL = 2
    BOUNCED = 3
    LEFT_OUT_UNTIL = 4
    LEFT_OUT = 5
    ALLOWLISTED = 6


class Event(Enum):
    """What can happen to an address."""

    HARD = "a hard failure"
    SOFT_TOO_SOON = "a soft failure less than a day after the last"
    SOFT = "a soft failure that counts"
    SOFT_LAST = "the soft failure that is one too many"
    SUCCESS = "a message was taken"
    COMPLAINT = "a complaint"
    STOP = "STOP by SMS"
    PERSON = "the person asks for it"
    OPERATOR = "an operator leaves it out"
    IMPORT = "an import leaves it out"
    RELEASE = "a release"
    RELEASE_IN_BULK = "a release in bulk after an outage"
    UNDO_IN_BULK = "a release in bulk is undone"
    RELEASE_DUE = "its date of release has come"
    ERRORS_OLD = "no error for long"
    SET_RELEASE = "another date of release"
    ALLOW = "from now on always written to"
    DISALLOW = "no longer always written to"


class Nothing(Enum):
    """Why nothing follows: it makes no difference, or it may not be."""

    IGNORED = "ignored"
    REFUSED = "refused"


class MoveRefused(ValueError):
    """What was asked for is not possible with an address in this state."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.value}: refused for an address that is {state.name.lower()}")
        self.state, self.event = state, event


_V, _E, _Q, _A = Status.VALID, Status.ERRONEOUS, Status.QUARANTINED, Status.ALLOWLISTED
_i, _r = Nothing.IGNORED, Nothing.REFUSED
_TABLE: Mapping[Event, tuple[Status | Nothing, ...]] = {
    # ................... VALID  ERRONEOUS  BOUNCED_UNTIL  BOUNCED  LEFT_OUT_UNTIL  LEFT_OUT  ALLOWLISTED
    Event.HARD:            (_Q,    _Q,        _Q,            _i,      _i,             _i,       _i),
    Event.SOFT_TOO_SOON:   (_i,    _i,        _i,            _i,      _i,             _i,       _i),
    Event.SOFT:            (_E,    _E,        _i,            _i,      _i,             _i,       _i),
    Event.SOFT_LAST:       (_Q,    _Q,        _i,            _i,      _i,             _i,       _i),
    Event.SUCCESS:         (_i,    _V,        _i,            _i,      _i,             _i,       _i),
    Event.COMPLAINT:       (_Q,    _Q,        _Q,            _Q,      _Q,             _i,       _Q),
    Event.STOP:            (_Q,    _Q,        _Q,            _Q,      _Q,             _i,       _Q),
    Event.PERSON:          (_Q,    _Q,        _Q,            _Q,      _Q,             _i,       _Q),
    Event.OPERATOR:        (_Q,    _Q,        _Q,            _i,      _Q,             _i,       _Q),
    Event.IMPORT:          (_Q,    _Q,        _Q,            _i,      _Q,             _i,       _i),
    Event.RELEASE:         (_r,    _r,        _V,            _V,      _V,             _V,       _r),
    Event.RELEASE_IN_BULK: (_r,    _r,        _V,            _V,      _r,             _r,       _r),
    Event.UNDO_IN_BULK:    (_Q,    _r,        _r,            _r,      _r,             _r,       _r),
    Event.RELEASE_DUE:     (_i,    _i,        _V,            _i,      _V,             _i,       _i),
    Event.ERRORS_OLD:      (_i,    _V,        _i,            _i,      _i,             _i,       _i),
    Event.SET_RELEASE:     (_r,    _r,        _Q,            _Q,      _Q,             _Q,       _r),
    Event.ALLOW:           (_A,    _A,        _A,            _A,      _r,             _r,       _i),
    Event.DISALLOW:        (_r,    _r,        _r,            _r,      _r,             _r,       _V),
}  # fmt: skip

# What happens to an address that is left out for a cause.
OF_CAUSE = {
    Cause.BOUNCE: Event.HARD,
    Cause.COMPLAINT: Event.COMPLAINT,
    Cause.STOP: Event.STOP,
    Cause.PERSON: Event.PERSON,
    Cause.OPERATOR: Event.OPERATOR,
    Cause.IMPORT: Event.IMPORT,
}


def after(state: State, event: Event) -> Status | Nothing:
    """Return the status that follows, which may be the one before, or why nothing follows."""
    return _TABLE[event][state.value]


def state_of(row: QuarantinedAddress) -> State:
    """Return the state of an entry as it is written; see `overdue` for what time has made of it."""
    if row.status != Status.QUARANTINED:
        return State[Status(row.status).name]
    if row.cause == Cause.BOUNCE:
        return State.BOUNCED if row.release_at is None else State.BOUNCED_UNTIL
    return State.LEFT_OUT if row.release_at is None else State.LEFT_OUT_UNTIL


def overdue(row: QuarantinedAddress, at: datetime) -> tuple[Event, datetime] | None:
    """Return what has happened to an entry by itself and is not written yet, and when it happened."""
    if row.status == Status.QUARANTINED and row.release_at and row.release_at <= at:
        return Event.RELEASE_DUE, row.release_at
    if row.status == Status.ERRONEOUS and row.last_error_at:
        forgotten = row.last_error_at + settings.QUARANTINE_FORGET
        if forgotten <= at:
            return Event.ERRORS_OLD, forgotten
    return None


def soft_failure(row: QuarantinedAddress, at: datetime) -> Event:
    """Return which soft failure one more is, for an entry that nothing is overdue of."""
    if row.last_error_at and at - row.last_error_at < settings.QUARANTINE_BETWEEN_ERRORS:
        return Event.SOFT_TOO_SOON
    errors = row.errors if row.status == Status.ERRONEOUS else 0
    return Event.SOFT_LAST if errors + 1 >= settings.QUARANTINE_ERRORS else Event.SOFT


def release_after(reason: Reason, at: datetime) -> datetime | None:
    """Return when an address that had too many soft failures is released by itself: where its mailbox was full."""
    return at + settings.MAILBOX_FULL_RELEASE if reason == Reason.MAILBOX_FULL else None
