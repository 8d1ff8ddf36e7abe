"""What is deleted in time, in the background, some thousand rows at a time.

- The log and the exceptions of runs that no longer count: a newer analysis has taken their place, they were stopped,
  or they were dry. Their counters stay, so that an analysis can be compared with the one before it.
- What a run needed only to be made: its exceptions, once it is done.
- Where LOG_DAYS says so, the log of deliveries that ended that long ago. Their counters stay.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from . import sql
from .models import AnalysisRun, Delivery, DeliveryException, State

R = AnalysisRun.State
BATCH = 5_000


def purge(*, at: datetime, batches: int = 20) -> int:
    """Delete what is due, at most so many batches of each kind; return how many rows."""
    return _old_runs(at, batches) + _exceptions(batches) + _old_logs(at, batches)


def _old_runs(at: datetime, batches: int) -> int:
    done = AnalysisRun.objects.exclude(state=R.RUNNING).exclude(pk__in=_current())
    deleted = 0
    for run in done.filter(leases__isnull=False).distinct().order_by("pk")[:batches]:
        some = _empty("log", run.pk, batches)
        deleted += some
        if some < BATCH * batches:
            run.leases.all().delete()
            AnalysisRun.objects.filter(pk=run.pk).update(purged_at=at)
    return deleted


def _exceptions(batches: int) -> int:
    kept = AnalysisRun.objects.filter(state=R.RUNNING)
    left = DeliveryException.objects.exclude(run__in=kept.values("pk"))
    deleted = 0
    for _batch in range(batches):
        run = left.values_list("run", flat=True).first()
        if run is None:
            break
        deleted += sql.delete_some("exceptions", run, BATCH)
    return deleted


def _old_logs(at: datetime, batches: int) -> int:
    if not settings.LOG_DAYS:
        return 0
    ended = Delivery.objects.filter(
        state__in=[State.FINISHED, State.STOPPED], finished_at__lt=at - timedelta(days=settings.LOG_DAYS)
    )
    deleted = 0
    for run in AnalysisRun.objects.filter(pk__in=ended.values("current_run"), purged_at=None).order_by("pk")[:batches]:
        some = _empty("log", run.pk, batches)
        deleted += some
        if some < BATCH * batches:
            AnalysisRun.objects.filter(pk=run.pk).update(purged_at=at)
    return deleted


def _empty(table: str, run: int, batches: int) -> int:
    """Delete rows of a run until none is left, or so many batches are done; return how many."""
    deleted = 0
    for _batch in range(batches):
        some = sql.delete_some(table, run, BATCH)
        deleted += some
        if some < BATCH:
            break
    return deleted


def _current() -> Any:
    return Delivery.objects.filter(current_run__isnull=False).values("current_run")
