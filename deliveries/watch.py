"""A delivery that does harm pauses by itself, and says why; going on is then a decision of somebody who has seen it.

    too many of its addresses do not exist          the list is old, or bought
    too many people report it as spam               they did not want it
    too many refusals are about us                  the rest of the list would be burnt for nothing

All from counters. What somebody had seen when they resumed (`Delivery.tolerated`) no longer counts.
"""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Sum

from . import lifecycle, tally
from .held import Held, held
from .models import AnalysisRun, Delivery, Lease, State


@dataclass(frozen=True, slots=True)
class Harm:
    """What a run has done so far, or since it was resumed."""

    sent: int
    handed_over: int  # accepted or refused for good
    hard: int  # refused because the address or its domain does not exist
    complaints: int
    blocked: int  # refusals of who we are or what we send

    def since(self, seen: dict[str, int]) -> "Harm":
        return Harm(**{name: getattr(self, name) - seen.get(name, 0) for name in self.__slots__})


def harm(run: AnalysisRun) -> Harm:
    """Return what a run has done so far. Three queries."""
    sums = Lease.objects.filter(run=run).aggregate(sent=Sum("sent"), failed=Sum("failed"), hard=Sum("hard"))
    sent, failed, hard = (sums[name] or 0 for name in ("sent", "failed", "hard"))
    complaints = AnalysisRun.objects.filter(pk=run.pk).values_list("complaints", flat=True).get()
    return Harm(sent, sent + failed, hard, complaints, tally.blocked(run))


def look(delivery: Delivery, run: AnalysisRun) -> str:
    """Return what is so wrong that the delivery must pause, as `held` keeps it; nothing when all is well."""
    seen: dict[str, int] = delivery.tolerated
    found = harm(run).since(seen)
    if found.handed_over >= settings.PAUSE_HARD_AFTER and is_share(
        found.hard, found.handed_over, settings.PAUSE_HARD_PERCENT
    ):
        return held(Held.HARD, number=found.hard, of=found.handed_over)
    if found.sent >= settings.PAUSE_COMPLAINTS_AFTER and is_share(
        found.complaints, found.sent, settings.PAUSE_COMPLAINT_PERCENT
    ):
        return held(Held.COMPLAINTS, number=found.complaints, of=found.sent)
    if found.blocked >= settings.PAUSE_REFUSALS:
        return held(Held.BLOCKED, number=found.blocked)
    return ""


def pause_if_needed(delivery: Delivery, run: AnalysisRun) -> bool:
    """Pause a delivery that does harm; return whether it was paused now."""
    problem = look(delivery, run)
    return bool(problem) and lifecycle.try_move(delivery, State.PAUSED, origins=[State.SENDING], error=problem)


def seen_now(delivery: Delivery) -> dict[str, int]:
    """Return what somebody who goes on has seen: it does not pause the delivery again."""
    run = delivery.current_run
    if run is None:
        return {}
    found = harm(run)
    return {name: getattr(found, name) for name in found.__slots__}


def complained_about(*, at: datetime, since: datetime) -> list[AnalysisRun]:
    """Return the runs sent since a moment of which more people than usual complained, to tell administrators."""
    runs = AnalysisRun.objects.filter(complaints__gt=0, delivery__started_at__range=(since, at))
    found = runs.select_related("delivery").annotate(n=Sum("leases__sent"))
    return [run for run in found if is_share(run.complaints, run.n or 0, settings.ALERT_COMPLAINT_PERCENT)]


def is_share(number: int, of: int, percent: float) -> bool:
    """Say whether a number is so many percent of another, or more."""
    return of > 0 and 100 * number >= percent * of
