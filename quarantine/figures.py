"""How many addresses are left out and why, and where it jumps: from sums that a periodic job keeps.

    count(at)             by the job: every sum that is due
    growth(at), standing(at)      for a page: what the job kept, or None. Where there is little, it is counted at once
    watch(at), jumps()    domains that have had many addresses left out within a day, and never had before

No page counts a long table. Days are those of the installation's time zone, so that their sums are the same for all.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from profiles.time_limits import TookTooLong, limited

from .models import Cause, QuarantinedAddress, QuarantineEvent, Reason, Status

DAYS = 90
DAY = timedelta(days=1)
USUAL = timedelta(days=30)
COUNTED_AT_ONCE = 10_000  # rows that a page may count
FRESH = timedelta(minutes=3)
AGE = timedelta(hours=6)  # at which the sums over the whole table are counted anew
KEPT = timedelta(days=2)
DOMAINS_SHOWN = 12
LOOKED_AT = 5_000  # entries among which a page looks for domains
PATIENCE = timedelta(seconds=1)
DOMAINS_WATCHED, MOST_JUMPS = 50, 5
_STANDING, _JUMPS = "left_out.standing", "left_out.jumps"
Sums = Mapping[date, tuple[int, int]]
NEWLY = Q(after=Status.QUARANTINED) & (Q(before=None) | ~Q(before=Status.QUARANTINED))
RELEASED = Q(before=Status.QUARANTINED) & ~Q(after=Status.QUARANTINED)


@dataclass(frozen=True, slots=True)
class Day:
    """How many addresses were newly left out on one day, and how many were released."""

    day: date
    left_out: int
    released: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How many addresses are left out at a moment, by cause, by reason, and of which domains; the most first."""

    at: datetime
    total: int
    causes: Sequence[tuple[Cause, int]]
    reasons: Sequence[tuple[Reason, int]]
    domains: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Jump:
    """A domain, or all ("") of them, of which many more messages came back within a day than do as a rule."""

    domain: str
    number: int
    usual: float  # a day


def count(at: datetime) -> None:
    """Keep the sums that pages show: of past days once, of today each time, of the whole table when they are old."""
    first, today = _first_and_today(at)
    _past(first, today, counting=True)
    cache.set(_day_key(today), _sums(_midnight(today), _midnight(today + DAY)), KEPT.total_seconds())
    kept: Standing | None = cache.get(_STANDING)
    if kept is None or at - kept.at >= AGE:
        cache.set(_STANDING, _count_standing(at), KEPT.total_seconds())


def growth(at: datetime) -> Sequence[Day] | None:
    """Return the last days, oldest first; None where they have not been counted yet and are too many for a page."""
    first, today = _first_and_today(at)
    small = _is_small(QuarantineEvent.objects.filter(at__gte=_midnight(first)))
    past = _past(first, today, counting=small)
    now: Sums | None = _sums(_midnight(today), _midnight(today + DAY)) if small else cache.get(_day_key(today))
    if past is None or now is None:
        return None
    return [Day(day, *{**past, **now}.get(day, (0, 0))) for day in (first + DAY * number for number in range(DAYS))]


def standing(at: datetime) -> Standing | None:
    """Return how many are left out and why; None where it has not been counted yet and they are too many for a page."""
    if _is_small(QuarantinedAddress.objects.all()):
        return _count_standing(at)
    kept: Standing | None = cache.get(_STANDING)
    return kept


def recent_domains(at: datetime, *, most: int = 6) -> Sequence[tuple[str, int]]:
    """Return the domains of the latest messages that came back for good, within a day; the most frequent first."""
    rows = _bounced(at).filter(quarantined_at__gte=at - DAY).order_by("-quarantined_at")
    try:
        with limited(PATIENCE):
            found = Counter(rows.values_list("domain", flat=True)[:LOOKED_AT])
    except TookTooLong:
        return []
    return found.most_common(most)


def watch(at: datetime) -> Sequence[Jump]:
    """Find the domains that jump, or say that all of them together do, and keep it for the first page."""
    since, before = at - DAY, at - DAY - USUAL
    rows = _bounced(at).filter(quarantined_at__gte=since).order_by()
    counted = rows.values_list("domain").annotate(number=Count("pk"))
    many: Any = counted.filter(number__gte=settings.JUMP_MIN).order_by("-number", "domain")[:DOMAINS_WATCHED]
    formerly = QuarantinedAddress.objects.filter(cause=Cause.BOUNCE, quarantined_at__range=(before, since))
    days = USUAL / DAY
    found = []
    for domain, number in many:
        usual = formerly.filter(domain=domain).count() / days
        if number >= usual * settings.JUMP_TIMES:
            found.append(Jump(domain, number, usual))
    if not found and (number := rows.count()) >= settings.JUMP_MIN:
        usual = formerly.count() / days
        if number >= usual * settings.JUMP_TIMES:
            found.append(Jump("", number, usual))
    cache.set(_JUMPS, found[:MOST_JUMPS], DAY.total_seconds())
    return found[:MOST_JUMPS]


def jumps() -> Sequence[Jump]:
    """Return what the last watch found."""
    found: Sequence[Jump] = cache.get(_JUMPS) or []
    return found


def forget_jumps() -> None:
    """Tell no jump before the next watch: somebody is dealing with it."""
    cache.delete(_JUMPS)


def _bounced(at: datetime) -> Any:
    return QuarantinedAddress.objects.blocking(at).filter(cause=Cause.BOUNCE).exclude(domain="")


def _is_small(rows: Any) -> bool:
    return bool(rows.order_by()[: COUNTED_AT_ONCE + 1].count() <= COUNTED_AT_ONCE)


def _first_and_today(at: datetime) -> tuple[date, date]:
    today = timezone.localtime(at, timezone.get_default_timezone()).date()
    return today - DAY * (DAYS - 1), today


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_default_timezone())


def _day_key(day: date) -> str:
    return f"left_out.day:{day.isoformat()}"


def _past(first: date, today: date, *, counting: bool) -> Sums | None:
    """Return the sums of the days before today, which no longer change: kept, or counted if they may be."""
    key = f"left_out.days:{today.isoformat()}"
    kept: Sums | None = cache.get(key)
    if kept is None and counting:
        kept = _sums(_midnight(first), _midnight(today))
        cache.set(key, kept, KEPT.total_seconds())
    return kept


def _sums(start: datetime, end: datetime) -> Sums:
    """Return day → (newly left out, released), from the history (index event_by_day)."""
    events = QuarantineEvent.objects.filter(at__gte=start, at__lt=end)
    by_day = events.annotate(day=TruncDate("at", tzinfo=timezone.get_default_timezone())).order_by().values_list("day")
    rows: Any = by_day.annotate(left_out=Count("pk", filter=NEWLY), released=Count("pk", filter=RELEASED))
    return {day: (left_out, released) for day, left_out, released in rows}


def _count_standing(at: datetime) -> Standing:
    rows = QuarantinedAddress.objects.blocking(at).order_by()
    by_both: Any = rows.values_list("cause", "reason").annotate(Count("pk"))
    causes, reasons = Counter[int](), Counter[int]()
    for cause, reason, number in by_both:
        causes[cause] += number
        reasons[reason] += number if cause == Cause.BOUNCE else 0
    domains: Any = rows.exclude(domain="").values_list("domain").annotate(number=Count("pk"))
    return Standing(
        at, causes.total(), [(Cause(cause), number) for cause, number in causes.most_common()],
        [(Reason(reason), number) for reason, number in reasons.most_common() if number],
        list(domains.order_by("-number", "domain")[:DOMAINS_SHOWN]),
    )  # fmt: skip
