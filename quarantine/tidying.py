"""Write down what has happened to addresses by themselves: releases that are due, errors that are old.

Whether an entry blocks is read from its dates, so nothing waits for this: it makes lists and histories say so too.
"""

from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet

from .entries import of_entries
from .models import QuarantinedAddress, Status

BATCH = 1_000


def tidy(at: datetime) -> bool:
    """Tidy a batch of each kind, each in its own transaction; return whether there may be more.

    Said again it changes nothing, and killed it goes on: what is done is no longer due. Two at once take turns.
    """
    rows = QuarantinedAddress.objects
    due = rows.filter(status=Status.QUARANTINED, release_at__lte=at).order_by("release_at", "pk")
    old = rows.filter(status=Status.ERRONEOUS, last_error_at__lte=at - settings.QUARANTINE_FORGET)
    batches = [_settle(due, at), _settle(old.order_by("last_error_at", "pk"), at), _forget_dates(at)]
    return any(size == BATCH for size in batches)


def _settle(overdue: QuerySet[QuarantinedAddress], at: datetime) -> int:
    """Write down what is overdue of a batch of entries: a book does it as it reads them."""
    ids = list(overdue.values_list("pk", flat=True)[:BATCH])
    if ids:
        with of_entries(ids, at=at):
            pass
    return len(ids)


def _forget_dates(at: datetime) -> int:
    """Forget when addresses released in bulk would have been released by themselves, once that is past.

    Until then the dates are kept for its undoing; `outages` leaves nothing out again that has none.
    """
    past = QuarantinedAddress.objects.exclude(status=Status.QUARANTINED).filter(release_at__lte=at)
    batch = past.filter(pk__in=list(past.order_by("release_at", "pk").values_list("pk", flat=True)[:BATCH]))
    return batch.update(release_at=None, quarantined_at=None)
