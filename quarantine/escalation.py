"""The moves of an address: quarantined for a cause, an error counted, released, always written to.

    quarantine(...)                      leave addresses out for a cause
    note_failure(...), note_failures     what hand-offs and reports said: hard → quarantined, soft → an error counted
    note_success(...)                    an address took a message: its errors are forgotten
    release(...), set_release(...)       write to it again, now or from a date on, with a reason
    allow(...), disallow(...)            always write to it, whatever machines answer; and no longer

What follows what is the table of `lifecycle`; these ask it and write. All of them lock the address (by its digest)
first, so that a hand-off to it and a quarantine wait for each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from django.utils import timezone

from profiles.consent import LIFTERS, Evidence
from profiles.errors import LiftNeedsReason, LiftRefused
from profiles.models import Source

from . import lifecycle
from .entries import Book, Target, of_entries, of_targets
from .failures import Failure, Kind
from .lifecycle import OF_CAUSE, Event, MoveRefused, Nothing, state_of
from .models import Cause, QuarantinedAddress, Reason, Status

__all__ = [
    "BATCH", "MoveRefused", "Noted", "Target", "allow", "disallow", "note_failure", "note_failures", "note_success",
    "quarantine", "release", "set_release",
]  # fmt: skip

BATCH = 1_000
Noted = tuple[Target, Failure, Evidence, str]  # whom it is about, what it means, where it is from, its words


def quarantine(
    targets: Iterable[Target],
    *,
    cause: Cause,
    evidence: Evidence,
    at: datetime,
    reason: Reason = Reason.NOT_DEFINED,
    text: str = "",
    release_at: datetime | None = None,
) -> int:
    """Leave addresses out of every delivery; return how many were not left out before, or for less.

    An entry that blocks for good keeps its cause, but for messages that came back once the person says so (by a
    complaint, STOP or a wish): those are released in bulk after an outage, and what the person says outlasts that.
    One that would be released by itself, or only has errors noted, is turned into this one.
    """
    todo = list({(t.channel, t.digest): t for t in targets}.values())
    changed = 0
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        with of_targets(batch, at=at) as book:
            for target in batch:
                changed += _quarantine(book, target, cause, evidence, reason, text, release_at)
    return changed


def note_failure(target: Target, failure: Failure, *, evidence: Evidence, at: datetime, text: str = "") -> None:
    """Act on what the receiving side answered about one address.

    Hard: quarantined at once. Soft: counted when the last one is at least a day old; the fifth quarantines; ten
    days without an error start the count again. Ignored: nothing.
    """
    note_failures([(target, failure, evidence, text)], at=at)


def note_failures(batch: Sequence[Noted], *, at: datetime) -> None:
    """Act on what was answered about up to a thousand addresses, in this order, in one transaction.

    What follows is the same as of `note_failure` one by one; the number of queries does not grow. Inside another
    transaction, lock no other addresses before or after: two such would wait for each other.
    """
    if len(batch) > BATCH:
        raise ValueError(f"At most {BATCH} failures at a time: all their addresses are locked at once.")
    noted = [one for one in batch if one[1].kind != Kind.IGNORED]
    if not noted:
        return
    with of_targets([target for target, *_rest in noted], at=at) as book:
        for target, failure, evidence, text in noted:
            if failure.kind == Kind.HARD:
                _quarantine(book, target, Cause.BOUNCE, evidence, failure.reason, text, None)
            else:
                _count(book, target, failure, evidence, text)


def note_success(target: Target, *, evidence: Evidence, at: datetime) -> None:
    """Forget the errors of an address that has just accepted a message. One query where there are none."""
    erroneous = QuarantinedAddress.objects.filter(channel=target.channel, digest=target.digest, status=Status.ERRONEOUS)
    if not erroneous.exists():
        return
    with of_targets([target], at=at) as book:
        row = book.entry(target)
        if lifecycle.after(state_of(row), Event.SUCCESS) == Status.VALID:
            book.move(row, Status.VALID, evidence=evidence, errors=0)


def release(entries: Iterable[QuarantinedAddress], *, evidence: Evidence, at: datetime) -> int:
    """Write to these addresses again; return how many were left out until now.

    Only the person, for what they had asked themselves, or an operator who says why, may: LiftRefused, LiftNeedsReason.
    """
    if evidence.source not in LIFTERS:
        raise LiftRefused(evidence.source)
    _want_reason(evidence)
    done = 0
    with of_entries([entry.pk for entry in entries], at=at) as book:
        for row in book.rows:
            theirs = evidence.source == Source.OPERATOR or row.cause == Cause.PERSON
            if theirs and isinstance(lifecycle.after(state_of(row), Event.RELEASE), Status):
                book.move(row, Status.VALID, evidence=evidence, errors=0, release_at=None)
                done += 1
    return done


def set_release(
    entry: QuarantinedAddress, release_at: datetime | None, *, evidence: Evidence, at: datetime
) -> bool:  # fmt: skip
    """Give an address that is left out another date of release, or none (for good); return whether it is another.

    An operator says why (LiftNeedsReason). The date is to come: ValueError; for one that is not left out: MoveRefused.
    The history gives both dates before the reason.
    """
    _want_reason(evidence)
    if release_at is not None and release_at <= at:
        raise ValueError("A date of release is to come. To write to the address from now on, release it.")
    with of_entries([entry.pk], at=at) as book:
        row = _single(book, Event.SET_RELEASE)
        if row.release_at == release_at:
            return False
        told = f"{_date(row.release_at)} → {_date(release_at)}: {evidence.reason}"
        book.set_date(row, release_at, evidence=replace(evidence, reason=told))
    return True


def allow(target: Target, *, evidence: Evidence, at: datetime) -> bool:
    """Always write to an address, whatever machines answer; return whether that is new.

    MoveRefused where a person, an operator or an import has left it out: release it first. LiftNeedsReason without one.
    """
    _want_reason(evidence)
    with of_targets([target], at=at) as book:
        row = book.entry(target)
        follows = _must(row, Event.ALLOW)
        if follows == Nothing.IGNORED:
            return False
        _fill(row, target)
        book.move(row, Status.ALLOWLISTED, evidence=evidence, errors=0, release_at=None)
    return True


def disallow(entry: QuarantinedAddress, *, evidence: Evidence, at: datetime) -> None:
    """Heed again what machines answer about an address; MoveRefused where that is so already."""
    _want_reason(evidence)
    with of_entries([entry.pk], at=at) as book:
        book.move(_single(book, Event.DISALLOW), Status.VALID, evidence=evidence, errors=0)


def _quarantine(
    book: Book, target: Target, cause: Cause, evidence: Evidence, reason: Reason, text: str,
    release_at: datetime | None,
) -> bool:  # fmt: skip
    row = book.entry(target)
    if lifecycle.after(state_of(row), OF_CAUSE[cause]) != Status.QUARANTINED:
        return False
    _fill(row, target)
    row.text, row.reason, row.delivery_name = text[:500], reason, evidence.delivery_name[:200]
    book.move(
        row, Status.QUARANTINED, evidence=evidence, cause=cause, quarantined_at=book.at, release_at=release_at
    )  # fmt: skip
    return True


def _count(book: Book, target: Target, failure: Failure, evidence: Evidence, text: str) -> None:
    """Count a soft failure, where it counts."""
    row = book.entry(target)
    follows = lifecycle.after(state_of(row), lifecycle.soft_failure(row, book.at))
    if not isinstance(follows, Status):
        return
    _fill(row, target)
    row.text, row.last_error_at, row.reason = text[:500], book.at, failure.reason
    row.delivery_name = evidence.delivery_name[:200]
    errors = (row.errors if row.status == Status.ERRONEOUS else 0) + 1
    if follows == Status.ERRONEOUS:
        book.move(row, follows, evidence=evidence, errors=errors)
        return
    book.move(
        row, follows, evidence=evidence, errors=errors, cause=Cause.BOUNCE, quarantined_at=book.at,
        release_at=lifecycle.release_after(failure.reason, book.at),
    )  # fmt: skip


def _fill(row: QuarantinedAddress, target: Target) -> None:
    """Keep the address of an entry that lacks it, as that of an erased person does."""
    if row.value is None and target.value:
        row.value, row.key = target.value, target.key


def _single(book: Book, event: Event) -> QuarantinedAddress:
    """Return the one entry of a book; raise MoveRefused where the event may not happen to it."""
    (row,) = book.rows
    _must(row, event)
    return row


def _must(row: QuarantinedAddress, event: Event) -> Status | Nothing:
    follows = lifecycle.after(state_of(row), event)
    if follows == Nothing.REFUSED:
        raise MoveRefused(state_of(row), event)
    return follows


def _want_reason(evidence: Evidence) -> None:
    if evidence.source == Source.OPERATOR and not evidence.reason.strip():
        raise LiftNeedsReason


def _date(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d}" if moment else "–"
