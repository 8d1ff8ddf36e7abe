"""How many people are subscribed to a service, and how that changed: the sums of its own events, day by day.

The ledger is append-only, so the sums of past days are kept for the day and only today is read again. A service with
many subscribers is counted in the background (`count_all`); its page adds what the ledger says has happened since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.core.cache import cache
from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone

from .models import Act, ConsentEvent, Service, Subscription

DAYS = 90
COUNTED_AT_ONCE = 10_000  # rows that a page may count
FRESH = timedelta(minutes=3)
KEPT = timedelta(days=2)
JOINING, LEAVING = (Act.SUBSCRIBE,), (Act.UNSUBSCRIBE, Act.EXPIRE)
Sums = Mapping[date, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Day:
    """How many subscribed and how many left on one day."""

    day: date
    joined: int
    left: int

    @property
    def net(self) -> int:
        return self.joined - self.left


@dataclass(frozen=True, slots=True)
class Subscribers:
    """How many there are; `at_least` when there are more than a page counts, and nothing has counted them yet."""

    number: int
    at_least: bool = False


def growth(service: Service, *, at: datetime) -> Sequence[Day]:
    """Return the last days of a service, oldest first, in the reader's time zone. Two queries at most."""
    today = timezone.localtime(at).date()
    first = today - timedelta(days=DAYS - 1)
    past = _kept(service.pk, _midnight(first), _midnight(today), KEPT)
    now = _kept(service.pk, _midnight(today), _midnight(today + timedelta(days=1)), FRESH)
    days = (first + timedelta(days=number) for number in range(DAYS))
    return [Day(day, *{**past, **now}.get(day, (0, 0))) for day in days]


def subscribers(service: Service, *, at: datetime) -> Subscribers:
    """Return how many people are subscribed to a service, reading no more rows than a page may."""
    found = Subscription.objects.active(at).filter(service=service)[: COUNTED_AT_ONCE + 1].count()
    if found <= COUNTED_AT_ONCE:
        return Subscribers(found)
    counted: tuple[datetime, int] | None = cache.get(_total_key(service.pk))
    if counted is None:
        return Subscribers(COUNTED_AT_ONCE, at_least=True)
    since = _kept(service.pk, counted[0], _midnight(timezone.localtime(at).date() + timedelta(days=1)), FRESH)
    return Subscribers(counted[1] + sum(joined - left for joined, left in since.values()))


def count_all(at: datetime) -> int:
    """Count the subscribers of each service, for the pages of those that have many; return of how many services."""
    rows = list(Subscription.objects.active(at).order_by().values_list("service").annotate(Count("pk")))
    for service, number in rows:
        cache.set(_total_key(service), (at, number), KEPT.total_seconds())
    return len(rows)


def _total_key(service: int) -> str:
    return f"growth.total:{service}"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())


def _kept(service: int, start: datetime, end: datetime, kept: timedelta) -> Sums:
    """Return the sums of a span, from the cache or from the ledger (index consent_by_service)."""
    key = f"growth:{service}:{start.timestamp():.6f}:{end.timestamp():.0f}"
    found: Sums | None = cache.get(key)
    if found is None:
        found = _sums(service, start, end)
        cache.set(key, found, kept.total_seconds())
    return found


def _sums(service: int, start: datetime, end: datetime) -> Sums:
    """Return day → (joined, left). An opt-out kept for an address that nobody has is nobody's departure."""
    events = ConsentEvent.objects.filter(
        service_id=service, at__gte=start, at__lt=end, act__in=JOINING + LEAVING, profile_id__isnull=False
    )
    rows = events.annotate(day=TruncDate("at")).order_by().values_list("day", "act").annotate(Count("pk"))
    found: dict[date, tuple[int, int]] = {}
    for day, act, number in rows:
        joined, left = found.get(day, (0, 0))
        found[day] = (joined + number, left) if act in JOINING else (joined, left + number)
    return found
