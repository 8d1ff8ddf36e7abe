"""Releases in bulk: when a provider's outage has had good addresses quarantined, write to them again.

    preview(outage, at=...)       how many, which for example, and what was wrong: before anything is done
    start(outage, at=...)         store it; its work begins with the next ring
    work(outage_id, ...)          release a batch after the other, in the order of the entries' numbers
    stop(...), go_on(...)         after the current batch; from where it was
    undo(...), work_undo(...)     leave out again what it released and nothing has happened to since

Chosen are entries with the cause "message returned" that still block, of a domain (and those below it), quarantined
within a window, whose text holds certain words. Texts are compared here and not by the database: engines differ in
what they hold for one letter. The row of the outage is locked for each batch, so that two workers take turns.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.utils.translation import gettext as _

from profiles.consent import Evidence
from profiles.models import Source
from profiles.time_limits import TookTooLong, limited

from . import domains, lifecycle
from .entries import of_entries
from .lifecycle import Event, state_of
from .models import Cause, Outage, QuarantinedAddress, QuarantineEvent, Reason, Status

BATCH = 1_000
COUNTED = 10_000  # a preview counts up to here, and then says "at least"
LOOKED_AT = 50_000  # entries whose text a preview reads at most
PATIENCE = timedelta(seconds=3)
SAMPLE = 20
Clock = Callable[[], datetime]


class OutageRefused(ValueError):
    """What was asked for cannot be meant; the message says what to write instead."""


@dataclass(slots=True)
class Preview:
    """What a release in bulk would release: `count` addresses, or at least so many where it is not `exact`."""

    count: int = 0
    exact: bool = True
    sample: list[QuarantinedAddress] = field(default_factory=list)
    reasons: list[tuple[Reason, int]] = field(default_factory=list)  # of those counted, the most frequent first


def check(outage: Outage, *, at: datetime) -> None:
    """Put the domain as addresses have it. Raise OutageRefused, or DomainRefused for what is no domain."""
    outage.text = " ".join(outage.text.split())
    if outage.domain.strip():
        read = domains.read(outage.domain)
        outage.domain, outage.subdomains = read.name, outage.subdomains or read.below
    else:
        outage.domain = ""
    if not outage.domain and not outage.text:
        raise OutageRefused(_("Give the domain, or words of the answer: without either, all would be released."))
    if outage.since > outage.until:
        raise OutageRefused(_("The end is before the beginning."))
    if outage.since > at:
        raise OutageRefused(_("This is to come: nothing has been left out then yet."))


def preview(outage: Outage, *, at: datetime) -> Preview:
    """Look at what a release would do, within a few seconds, without writing anything."""
    check(outage, at=at)
    found, reasons = Preview(), Counter[int]()
    end = time.monotonic() + PATIENCE.total_seconds()
    rows = _candidates(outage, at).order_by("quarantined_at", "pk")
    try:
        with limited(PATIENCE):
            for number, row in enumerate(rows[: LOOKED_AT + 1].iterator()):
                if number == LOOKED_AT or found.count == COUNTED or time.monotonic() > end:
                    found.exact = False
                    break
                if holds_words(outage, row):
                    found.count += 1
                    reasons[row.reason] += 1
                    if len(found.sample) < SAMPLE:
                        found.sample.append(row)
    except TookTooLong:
        found.exact = False
    found.reasons = [(Reason(reason), count) for reason, count in reasons.most_common()]
    return found


def start(outage: Outage, *, at: datetime) -> Outage:
    """Store a release in bulk that says why and who; ring for `work` once it is committed."""
    check(outage, at=at)
    if not outage.reason.strip():
        raise OutageRefused(_("Write down why these addresses may be written to again."))
    outage.save()
    return outage


def work(outage_id: int, *, clock: Clock, budget: timedelta | None = None) -> bool:
    """Release batches until the end, a stop, or the budget is spent; return whether there is more to do."""
    return _work(_release_batch, outage_id, clock, budget)


def work_undo(outage_id: int, *, clock: Clock, budget: timedelta | None = None) -> bool:
    """Leave out again in batches until the end, or the budget is spent; return whether there is more to do."""
    return _work(_put_back_batch, outage_id, clock, budget)


def stop(outage_id: int, *, at: datetime) -> bool:
    """Stop a release after its current batch; what is released stays. Return whether there was something to stop."""
    return bool(_releasing().filter(pk=outage_id).update(stopped_at=at))


def go_on(outage_id: int) -> bool:
    """Let a stopped release go on from where it was; return whether it may. Ring for `work` then."""
    stopped = Outage.objects.filter(pk=outage_id, finished_at=None, undone_at=None, stopped_at__isnull=False)
    return bool(stopped.update(stopped_at=None))


def undo(outage_id: int, *, by: str, at: datetime) -> bool:
    """Have all that it released left out again, and release no more; return whether that is new. Ring then."""
    return bool(Outage.objects.filter(pk=outage_id, undone_at=None).update(undone_at=at, undone_by=by))


def to_ring_again() -> Iterator[tuple[int, bool]]:
    """Yield (id, whether it is being undone) of what there is work to do for."""
    for pk in _releasing().order_by("pk").values_list("pk", flat=True):
        yield pk, False
    for pk in _undoing().order_by("pk").values_list("pk", flat=True):
        yield pk, True


def holds_words(outage: Outage, row: QuarantinedAddress) -> bool:
    """Say whether the text of an entry holds the words, whatever the case of letters and the kind of blanks."""
    return outage.text.casefold() in " ".join(row.text.split()).casefold()


def _releasing() -> QuerySet[Outage]:
    return Outage.objects.filter(finished_at=None, stopped_at=None, undone_at=None)


def _undoing() -> QuerySet[Outage]:
    return Outage.objects.filter(undone_at__isnull=False, undo_finished_at=None)


def _candidates(outage: Outage, at: datetime) -> QuerySet[QuarantinedAddress]:
    """Return the entries that are chosen if their text holds the words."""
    where = Q(cause=Cause.BOUNCE, quarantined_at__range=(outage.since, outage.until))
    if outage.domain:
        there = Q(domain=outage.domain)
        where &= there | Q(domain__endswith=f".{outage.domain}") if outage.subdomains else there
    return QuarantinedAddress.objects.blocking(at).filter(where)


def _work(
    batch: Callable[[int, datetime], bool], outage_id: int, clock: Clock, budget: timedelta | None
) -> bool:  # fmt: skip
    until = None if budget is None else clock() + budget
    while batch(outage_id, clock()):
        if until is not None and clock() >= until:
            return True
    return False


def _release_batch(outage_id: int, at: datetime) -> bool:
    """Release those of the next thousand candidates that are chosen; return whether there are more."""
    with transaction.atomic():
        outage = _releasing().select_for_update().filter(pk=outage_id).first()
        if outage is None:
            return False
        found = list(_candidates(outage, at).filter(pk__gt=outage.done_through).order_by("pk")[:BATCH])
        released = _release(outage, [row.pk for row in found if holds_words(outage, row)], at)
        more = len(found) == BATCH
        Outage.objects.filter(pk=outage_id).update(
            released=F("released") + released,
            done_through=found[-1].pk if found else outage.done_through,
            finished_at=None if more else at,
        )
    return more


def _release(outage: Outage, ids: Sequence[int], at: datetime) -> int:
    """Release entries that are still as they were found; what they were stays, so that it can be given back."""
    evidence = Evidence(source=Source.OPERATOR, actor_name=outage.by, reason=outage.reason)
    released = 0
    with of_entries(ids, at=at) as book:
        still = set(_candidates(outage, at).filter(pk__in=ids).values_list("pk", flat=True))
        for row in [row for row in book.rows if row.pk in still and holds_words(outage, row)]:
            if lifecycle.after(state_of(row), Event.RELEASE_IN_BULK) == Status.VALID:
                book.move(row, Status.VALID, evidence=evidence, outage=outage.pk)
                released += 1
    return released


def _put_back_batch(outage_id: int, at: datetime) -> bool:
    """Leave out again those of the next thousand released whose last event is still that; say if there are more."""
    with transaction.atomic():
        outage = _undoing().select_for_update().filter(pk=outage_id).first()
        if outage is None:
            return False
        events = QuarantineEvent.objects.filter(
            outage_id=outage_id, before=Status.QUARANTINED, after=Status.VALID, pk__gt=outage.undone_through
        )
        found = dict(events.order_by("pk").values_list("pk", "entry_id")[:BATCH])
        put_back = _put_back(outage, {entry: event for event, entry in found.items()}, at)
        more = len(found) == BATCH
        Outage.objects.filter(pk=outage_id).update(
            put_back=F("put_back") + put_back,
            undone_through=max(found, default=outage.undone_through),
            undo_finished_at=None if more else at,
        )
    return more


def _put_back(outage: Outage, released: dict[int, int], at: datetime) -> int:
    """Quarantine entries as they were, given the event of the release of each; return how many."""
    evidence = Evidence(source=Source.OPERATOR, actor_name=outage.undone_by)
    put_back = 0
    with of_entries(released, at=at) as book:
        history = QuarantineEvent.objects.filter(entry_id__in=released).order_by()
        last = dict(history.values_list("entry_id").annotate(last=Max("pk")))
        for row in book.rows:
            # Tidying takes the date away of what would have been released by itself meanwhile.
            lasts = row.quarantined_at is not None and (row.release_at is None or row.release_at > at)
            untouched = lasts and last.get(row.pk) == released[row.pk]
            if untouched and lifecycle.after(state_of(row), Event.UNDO_IN_BULK) == Status.QUARANTINED:
                book.move(row, Status.QUARANTINED, evidence=evidence, outage=outage.pk)
                put_back += 1
    return put_back
