"""The moves of an address: quarantined for a cause, an error counted, released.

    quarantine(...)     any status → quarantined (an allowlisted address only by a complaint, the person or an operator)
    note_failure(...)   what a hand-off or a report said: hard → quarantined, soft → an error counted
    release(...)        quarantined → valid, with a reason

All of them lock the address (by its digest) first, so that a hand-off to it and a quarantine wait for each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act
from profiles.sql import lock_digests

from .failures import Failure, Kind
from .models import Cause, QuarantinedAddress, QuarantineEvent, Reason, Status

ERRORS_BEFORE_QUARANTINE = 5
BETWEEN_SIGNIFICANT_ERRORS = timedelta(days=1)
ERRORS_FORGOTTEN_AFTER = timedelta(days=10)
MAILBOX_FULL_RELEASE = timedelta(days=30)
BEATS_ALLOWLIST = {Cause.COMPLAINT, Cause.PERSON, Cause.OPERATOR, Cause.STOP}
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Target:
    """An address to act on: its digest is what counts; value and key are None once their person was erased."""

    channel: Channel
    digest: bytes
    value: str | None = None
    key: str | None = None


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
    """Leave addresses out of every delivery; return how many were not left out before for good.

    An entry that already blocks for good keeps its cause, but for a bounce when the person asks: bounces are released
    in bulk after an outage, and the person's wish must outlast that. One that would be released by itself, or only has
    errors noted, is turned into this one.
    """
    todo = list({(t.channel, t.digest): t for t in targets}.values())
    changed = 0
    for start in range(0, len(todo), BATCH):
        with transaction.atomic():
            changed += _quarantine(todo[start : start + BATCH], cause, evidence, at, reason, text, release_at)
    return changed


def release(entries: Iterable[QuarantinedAddress], *, evidence: Evidence, at: datetime) -> int:
    """Write to these addresses again; return how many were left out until now."""
    ids = [entry.pk for entry in entries]
    with transaction.atomic():
        lock_digests(bytes(d) for d in QuarantinedAddress.objects.filter(pk__in=ids).values_list("digest", flat=True))
        rows = list(QuarantinedAddress.objects.filter(pk__in=ids, status=Status.QUARANTINED).order_by("pk"))
        for row in rows:
            _move(row, Status.VALID, at=at, evidence=evidence, errors=0, release_at=None)
        _to_ledger(Act.RELEASE, rows, evidence, at)
    return len(rows)


def note_failure(target: Target, failure: Failure, *, evidence: Evidence, at: datetime, text: str = "") -> None:
    """Act on what the receiving side answered about one address.

    Hard: quarantined at once. Soft: counted when the last one is at least a day old; the fifth quarantines; ten
    days without an error start the count again. Ignored: nothing.
    """
    if failure.kind == Kind.IGNORED:
        return
    if failure.kind == Kind.HARD:
        quarantine([target], cause=Cause.BOUNCE, evidence=evidence, at=at, reason=failure.reason, text=text)
        return
    with transaction.atomic():
        lock_digests([target.digest])
        row = _entry(target)
        if row.status in (Status.QUARANTINED, Status.ALLOWLISTED):
            return
        errors = row.errors
        if row.last_error_at and at - row.last_error_at < BETWEEN_SIGNIFICANT_ERRORS:
            return
        if row.last_error_at and at - row.last_error_at >= ERRORS_FORGOTTEN_AFTER:
            errors = 0
        row.text, row.last_error_at, row.reason = text[:500], at, failure.reason
        row.delivery_name = evidence.delivery_name[:200]
        if errors + 1 < ERRORS_BEFORE_QUARANTINE:
            _move(row, Status.ERRONEOUS, at=at, evidence=evidence, errors=errors + 1)
            return
        full = failure.reason == Reason.MAILBOX_FULL
        _move(
            row, Status.QUARANTINED, at=at, evidence=evidence, errors=errors + 1, cause=Cause.BOUNCE,
            quarantined_at=at, release_at=at + MAILBOX_FULL_RELEASE if full else None,
        )  # fmt: skip
        _to_ledger(Act.QUARANTINE, [row], evidence, at)


def note_success(target: Target, *, evidence: Evidence, at: datetime) -> None:
    """Forget the errors of an address that has just accepted a message. One query where there are none."""
    erroneous = QuarantinedAddress.objects.filter(channel=target.channel, digest=target.digest, status=Status.ERRONEOUS)
    if not erroneous.exists():
        return
    with transaction.atomic():
        lock_digests([target.digest])
        for row in erroneous.all():
            _move(row, Status.VALID, at=at, evidence=evidence, errors=0)


def _quarantine(
    targets: list[Target], cause: Cause, evidence: Evidence, at: datetime, reason: Reason, text: str,
    release_at: datetime | None,
) -> int:  # fmt: skip
    lock_digests(target.digest for target in targets)
    digests = [target.digest for target in targets]
    known = {
        (row.channel, bytes(row.digest)): row
        for row in QuarantinedAddress.objects.with_digests(digests).filter(scope="").order_by("pk")
    }
    moved: list[QuarantinedAddress] = []
    for target in targets:
        row = known.get((int(target.channel), target.digest)) or _entry(target)
        asked_now = cause == Cause.PERSON and row.cause == Cause.BOUNCE
        if row.status == Status.QUARANTINED and row.release_at is None and not asked_now:
            continue
        if row.status == Status.ALLOWLISTED and cause not in BEATS_ALLOWLIST:
            continue
        row.text, row.reason, row.delivery_name = text[:500], reason, evidence.delivery_name[:200]
        if row.value is None and target.value:
            row.value, row.key = target.value, target.key
        _move(row, Status.QUARANTINED, at=at, evidence=evidence, cause=cause, quarantined_at=at, release_at=release_at)
        moved.append(row)
    _to_ledger(Act.QUARANTINE, moved, evidence, at)
    return len(moved)


def _entry(target: Target) -> QuarantinedAddress:
    """Return the entry of an address, or a new unsaved one; the address is locked."""
    found = QuarantinedAddress.objects.filter(channel=target.channel, digest=target.digest, scope="").first()
    return found or QuarantinedAddress(
        channel=target.channel, digest=target.digest, value=target.value, key=target.key, status=Status.VALID
    )


def _move(row: QuarantinedAddress, after: Status, *, at: datetime, evidence: Evidence, **fields: Any) -> None:
    before = Status(row.status) if row.pk else None
    row.status = after
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()
    QuarantineEvent.objects.create(
        at=at, entry_id=row.pk, channel=row.channel, digest=row.digest, before=before, after=after, cause=row.cause,
        reason=row.reason, source=evidence.source, actor_name=evidence.actor_name, note=evidence.reason,
        delivery_id=evidence.delivery_id,
    )  # fmt: skip


def _to_ledger(act: Act, rows: Iterable[QuarantinedAddress], evidence: Evidence, at: datetime) -> None:
    entries = [(Channel(row.channel), bytes(row.digest)) for row in rows]
    consent.note_address_event(act, entries, evidence=evidence, at=at)
