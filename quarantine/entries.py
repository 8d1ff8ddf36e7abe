"""Entries of addresses: read under the lock of their digests, changed in memory, written at once with their history.

    with of_targets(targets, at=at) as book:
        row = book.entry(target)
        book.move(row, Status.VALID, evidence=..., errors=0)

However many entries there are, this takes seven queries: the lock, the entries, those changed, those new and their
numbers, the history, the ledger. What was overdue of an entry (a release, forgotten errors) is written first, with the
moment of its own.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, Source
from profiles.sql import bulk_create, bulk_update, lock_digests

from .lifecycle import overdue
from .models import QuarantinedAddress, QuarantineEvent, Status

BY_ITSELF = Evidence(source=Source.SYSTEM)
_CHANGING = (
    "value", "key", "domain", "status", "cause", "reason", "errors", "last_error_at", "quarantined_at", "release_at",
    "text", "delivery_name", "updated_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """An address to act on: its digest is what counts; value and key are None once their person was erased."""

    channel: Channel
    digest: bytes
    value: str | None = None
    key: str | None = None


@dataclass(slots=True)
class Book:
    """Entries at a moment, and what happens to them."""

    at: datetime
    rows: list[QuarantinedAddress]
    _by_address: dict[tuple[int, bytes], QuarantinedAddress] = field(default_factory=dict)
    _touched: dict[int, QuarantinedAddress] = field(default_factory=dict)
    _history: list[tuple[QuarantinedAddress, QuarantineEvent]] = field(default_factory=list)
    _ledger: list[tuple[Act, Channel, bytes, Evidence, datetime]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for row in self.rows:
            if row.scope == "":
                self._by_address[row.channel, bytes(row.digest)] = row

    def entry(self, target: Target) -> QuarantinedAddress:
        """Return the entry of an address; a new one is written once it is moved."""
        known = self._by_address.get((int(target.channel), target.digest))
        if known is None:
            known = QuarantinedAddress(
                channel=target.channel, digest=target.digest, scope="", value=target.value, key=target.key,
                status=Status.VALID,
            )  # fmt: skip
            self._by_address[int(target.channel), target.digest] = known
        self.settle(known)
        return known

    def settle(self, row: QuarantinedAddress) -> None:
        """Write down what has happened to an entry by itself."""
        if due := overdue(row, self.at):
            _event, when = due
            self.move(row, Status.VALID, evidence=BY_ITSELF, at=when, errors=0, release_at=None)

    def move(
        self, row: QuarantinedAddress, after: Status, *, evidence: Evidence, at: datetime | None = None,
        outage: int | None = None, **fields: Any,
    ) -> None:  # fmt: skip
        """Give an entry a status and other fields, with a line of its history and, where it matters, of the ledger."""
        at = at or self.at
        before = Status(row.status)
        for name, value in fields.items():
            setattr(row, name, value)
        row.status = after
        is_new = row._state.adding and id(row) not in self._touched
        self._touched[id(row)] = row
        event = QuarantineEvent(
            at=at, channel=row.channel, digest=bytes(row.digest), before=None if is_new else before, after=after,
            cause=row.cause, reason=row.reason, source=evidence.source, actor_name=evidence.actor_name,
            note=evidence.reason, delivery_id=evidence.delivery_id, outage_id=outage,
        )  # fmt: skip
        self._history.append((row, event))
        if Status.QUARANTINED in (before, after):
            act = Act.QUARANTINE if after == Status.QUARANTINED else Act.RELEASE
            self._ledger.append((act, Channel(row.channel), bytes(row.digest), evidence, at))

    def set_date(self, row: QuarantinedAddress, release_at: datetime | None, *, evidence: Evidence) -> None:
        """Give an entry that is left out another date of release: of that its history tells, the ledger need not."""
        told = len(self._ledger)
        self.move(row, Status.QUARANTINED, evidence=evidence, release_at=release_at)
        del self._ledger[told:]

    def write(self) -> None:
        """Write what was changed. Call it once, in the transaction of the lock."""
        now = timezone.now()
        for row in self._touched.values():
            row.fill_domain()
            row.updated_at = now
        new = [row for row in self._touched.values() if row._state.adding]
        bulk_update([row for row in self._touched.values() if not row._state.adding], _CHANGING)
        for row in new:
            row.created_at = now
        bulk_create(new)
        added = QuarantinedAddress.objects.with_digests(bytes(row.digest) for row in new).filter(scope="")
        numbers = {bytes(digest): pk for digest, pk in added.values_list("digest", "pk")} if new else {}
        for row, event in self._history:
            event.entry_id = numbers.get(bytes(row.digest), row.pk)
        bulk_create([event for _row, event in self._history])
        consent.note_address_events(self._ledger)


@contextmanager
def of_targets(targets: Iterable[Target], *, at: datetime) -> Iterator[Book]:
    """Lock addresses, known or not, and write what is done to their entries at the end of the block."""
    digests = {target.digest for target in targets}
    with transaction.atomic():
        lock_digests(digests)
        rows = QuarantinedAddress.objects.with_digests(digests).filter(scope="").order_by("pk")
        book = Book(at, list(rows))
        yield book
        book.write()


@contextmanager
def of_entries(ids: Iterable[int], *, at: datetime) -> Iterator[Book]:
    """Lock the addresses of entries, and write what is done to these at the end of the block."""
    rows = QuarantinedAddress.objects.filter(pk__in=list(ids)).order_by("pk")
    with transaction.atomic():
        lock_digests(bytes(digest) for digest in rows.values_list("digest", flat=True))
        book = Book(at, list(rows.all()))
        for row in book.rows:
            book.settle(row)
        yield book
        book.write()
