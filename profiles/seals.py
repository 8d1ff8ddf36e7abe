"""Seals of the ledger: what shows that an event was edited or deleted by somebody without the key.

    seal(at)            close the events that wait, in batches, each chained to the seal before
    read(seal)          what a seal says of each of its events
    mark(event)         what it would say of an event as it is now

The database refuses to change the ledger (triggers), but whoever owns the database can lift that. A seal holds, for
each event of its batch, its number, a keyed digest of what can never change, and one of each column that may be
blanked; its own digest covers all of that and the digest of the seal before. So an edit or a deletion made without
SUPPRESSION_KEY shows, also after erasure has blanked the personal columns. Seals removed from the end of the chain
show only to those who kept the last one elsewhere: that is why its digest is printed.

Which events wait is a table that a trigger fills in the transaction of the event, not a range of numbers: a lower
number can be committed later.
"""

import json
import struct
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from .digests import keyed
from .models import ConsentEvent, ConsentSeal, UnsealedEvent
from .sql import lock_seals

BATCH = 5_000
_SHORT = 8  # bytes of a digest inside a seal: keyed, so nobody can search for another text that gives it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FROZEN = tuple(
    field.attname for field in ConsentEvent._meta.concrete_fields if field.attname not in ConsentEvent.PERSONAL
)
_ENTRY = struct.Struct(f">Q{_SHORT}s" + f"{_SHORT}s" * len(ConsentEvent.PERSONAL))
BLANK = bytes(_SHORT)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a seal keeps of one event. `personal` has one digest per column of PERSONAL; BLANK for an empty one."""

    event: int
    frozen: bytes
    personal: tuple[bytes, ...]

    def agrees_with(self, sealed: "Mark") -> bool:
        """Say whether the event is what was sealed; a column that has been blanked since is."""
        blanked = all(now in (BLANK, then) for now, then in zip(self.personal, sealed.personal, strict=True))
        return self.event == sealed.event and self.frozen == sealed.frozen and blanked


def seal(at: datetime, *, batches: int = 1_000) -> int:
    """Seal the events that wait; return how many were sealed. Safe in two processes at once."""
    done = 0
    for _batch in range(batches):
        sealed = _seal_batch(at)
        done += sealed
        if not sealed:
            break
    return done


def mark(event: ConsentEvent) -> Mark:
    """Return what a seal keeps of an event."""
    # By name and without the empty ones, so that a column added later does not break the seals made before.
    kept = {name: _plain(value) for name in FROZEN if (value := getattr(event, name)) not in (None, "")}
    frozen = json.dumps(kept, separators=(",", ":"), ensure_ascii=False)
    personal = [getattr(event, name) for name in ConsentEvent.PERSONAL]
    return Mark(
        event.pk,
        keyed(b"event", frozen.encode(), size=_SHORT),
        tuple(
            keyed(b"personal", f"{event.pk}:{name}:{text}".encode(), size=_SHORT) if text else BLANK
            for name, text in zip(ConsentEvent.PERSONAL, personal, strict=True)
        ),
    )


def read(sealed: ConsentSeal) -> Iterator[Mark]:
    """Return what a seal keeps of each of its events; raise ValueError when its bytes are no such list."""
    try:
        packed = zlib.decompress(bytes(sealed.events))
        for number, frozen, *personal in _ENTRY.iter_unpack(packed):
            yield Mark(number, frozen, tuple(personal))
    except (zlib.error, struct.error) as error:
        raise ValueError(f"seal {sealed.number} cannot be read") from error


def digest_of(sealed: ConsentSeal, previous: bytes) -> bytes:
    """Return the digest that a seal must have after the one before."""
    moment = (sealed.at - _EPOCH) // timedelta(microseconds=1)
    head = struct.pack(">QqQQQ", sealed.number, moment, sealed.count, sealed.first_event, sealed.last_event)
    return keyed(b"seal", head + previous + bytes(sealed.events))


def seals_of(events: Iterable[int]) -> dict[int, int]:
    """Return event → number of its seal, for those that have one. Meant for the events of one person."""
    wanted, found = sorted(set(events)), dict[int, int]()
    if not wanted:
        return found
    spans = ConsentSeal.objects.filter(first_event__lte=wanted[-1], last_event__gte=wanted[0])
    for pk, number, first, last in spans.values_list("pk", "number", "first_event", "last_event"):
        inside = wanted[bisect_left(wanted, first) : bisect_right(wanted, last)]
        if inside:
            held = {one.event for one in read(ConsentSeal.objects.get(pk=pk))}
            found |= {event: number for event in inside if event in held}
    return found


def _seal_batch(at: datetime) -> int:
    with transaction.atomic():
        lock_seals()
        waiting = list(UnsealedEvent.objects.order_by("event_id").values_list("event_id", flat=True)[:BATCH])
        # One that waits and is gone was deleted before it was sealed: it goes on waiting, and verification tells.
        events = list(ConsentEvent.objects.filter(pk__in=waiting).order_by("pk"))
        if not events:
            return 0
        last = ConsentSeal.objects.order_by("-number").first()
        sealed = ConsentSeal(
            number=last.number + 1 if last else 1, at=at, count=len(events), events=_pack(map(mark, events)),
            first_event=events[0].pk, last_event=events[-1].pk,
        )  # fmt: skip
        sealed.digest = digest_of(sealed, bytes(last.digest) if last else b"")
        sealed.save(force_insert=True)
        UnsealedEvent.objects.filter(pk__in=[event.pk for event in events]).delete()
    return len(events)


def _pack(marks: Iterable[Mark]) -> bytes:
    return zlib.compress(b"".join(_ENTRY.pack(one.event, one.frozen, *one.personal) for one in marks))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else value
