"""How often public pages are opened, sent and confirmed, and links of messages opened: one number a day for each.

    seen(Counted.VIEW, page, at=...)       in a request: moves a number of the shared cache, and no table
    add(Counted.SUBMIT, page, at=...)      in the transaction of what is counted
    fold(at)                               brings the rows up to the cache; each minute
    over(page, at) / prefetches(delivery)  reads the rows

A number of the cache is that of the whole day, and begins from the row. So folding only copies it: two workers that
fold at once, or one that folds twice, count nothing twice, and a cache that was emptied loses a minute at most.
These numbers are all that looking at a page may move.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from django.core.cache import cache
from django.db import DatabaseError
from django.db.models import F, QuerySet, Sum
from redis.exceptions import RedisError

from deliveries.models import Delivery

from .models import Count, Counted, LandingPage, PageState

PREFIX = "landing.count:"
# In the cache; a day is folded until the end of the next one. Django's database cache forgets a number five minutes
# after it last moved: by then it is folded.
KEPT = timedelta(days=3)
# How long after the beginning of a sending the links of its messages are counted.
LINKS_COUNTED = timedelta(days=30)
SHOWN = timedelta(days=30)
BATCH = 500
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Series:
    """What happened to a page: one number for each day, the oldest first, zeros too."""

    kind: Counted
    days: Sequence[tuple[date, int]]

    @property
    def total(self) -> int:
        return sum(number for _day, number in self.days)


def seen(kind: Counted, subject: int, *, at: datetime, by: int = 1) -> None:
    """Count in the shared cache. Never in the way of a visitor: without a cache, nothing is counted."""
    key = _key(kind, subject, day_of(at))
    try:
        if not _move(key, by):
            known = _rows(kind, subject, day_of(at)).values_list("number", flat=True).first() or 0
            if not cache.add(key, known + by, KEPT.total_seconds()):
                _move(key, by)
    except (RedisError, DatabaseError, OSError):
        logger.warning("The shared cache does not answer: a %s was not counted.", kind)


def used(delivery: int, *, at: datetime) -> None:
    """Count a link that was opened and acted upon as not merely opened."""
    seen(Counted.PREFETCH, delivery, at=at, by=-1)


def add(kind: Counted, subject: int, *, at: datetime) -> None:
    """Count in the row, in the transaction of what is counted."""
    rows = _rows(kind, subject, day_of(at))
    if rows.update(number=F("number") + 1):
        return
    _row, new = Count.objects.get_or_create(kind=kind, subject=subject, day=day_of(at), defaults={"number": 1})
    if not new:
        rows.update(number=F("number") + 1)


def fold(at: datetime) -> int:
    """Bring the rows of today and yesterday up to the cache; return how many moved."""
    days = (day_of(at) - timedelta(days=1), day_of(at))
    kinds = (Counted.VIEW, Counted.PREFETCH)
    known = {
        _key(kind, subject, day): number
        for kind, subject, day, number in Count.objects.filter(kind__in=kinds, day__in=days).values_list(
            "kind", "subject", "day", "number"
        )
    }
    moved, candidates = 0, _subjects(days, at)
    while batch := list(islice(candidates, BATCH)):
        rows = {_key(row.kind, row.subject, row.day): row for row in batch}
        changed = []
        for key, number in cache.get_many(rows).items():
            if max(number, 0) != known.get(key, 0):
                rows[key].number = max(number, 0)
                changed.append(rows[key])
        Count.objects.bulk_create(
            changed, update_conflicts=True, unique_fields=["kind", "subject", "day"], update_fields=["number"]
        )
        moved += len(changed)
    return moved


def over(page: int, kinds: Sequence[Counted], *, at: datetime) -> list[Series]:
    """Return what happened to a page in the last 30 days. One query."""
    first = day_of(at) - SHOWN + timedelta(days=1)
    rows = Count.objects.filter(subject=page, kind__in=kinds, day__gte=first)
    found = {(kind, day): number for kind, day, number in rows.values_list("kind", "day", "number")}
    days = [first + timedelta(days=n) for n in range(SHOWN.days)]
    return [Series(kind, [(day, found.get((kind.value, day), 0)) for day in days]) for kind in kinds]


def prefetches(delivery: int) -> int:
    """Return how many times links of a delivery were opened without being acted upon: scanners open every link."""
    rows = Count.objects.filter(kind=Counted.PREFETCH, subject=delivery)
    return int(rows.aggregate(total=Sum("number"))["total"] or 0)


def day_of(at: datetime) -> date:
    """Return the day, in UTC, under which a moment is counted."""
    return at.astimezone(UTC).date()


def _subjects(days: Sequence[date], at: datetime) -> Iterator[Count]:
    """Yield the rows that the cache may have moved: those of pages, and of deliveries whose links are counted."""
    pages = LandingPage.objects.exclude(state=PageState.DRAFT).values_list("pk", flat=True)
    deliveries = Delivery.objects.filter(started_at__gte=at - LINKS_COUNTED).values_list("pk", flat=True)
    for kind, subjects in ((Counted.VIEW, pages), (Counted.PREFETCH, deliveries)):
        for subject in subjects.iterator():
            yield from (Count(kind=kind, subject=subject, day=day) for day in days)


def _move(key: str, by: int) -> bool:
    """Move a number of the cache; return False when it is not there."""
    try:
        cache.incr(key, by)
    except ValueError:
        return False
    return True


def _rows(kind: Counted, subject: int, day: date) -> QuerySet[Count]:
    return Count.objects.filter(kind=kind, subject=subject, day=day)


def _key(kind: Counted | str, subject: int, day: date) -> str:
    return f"{PREFIX}{Counted(kind).value}:{subject}:{day:%Y%m%d}"
