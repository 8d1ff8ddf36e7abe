"""Tasks about what visitors asked for. A broker only rings; the rows say what there is to do."""

from celery import shared_task
from django.utils import timezone

from deliveries.tasks import drain_outbox

from . import counting, double_opt_in, preferences, reconciliation


@shared_task
def handle_requests() -> None:
    """Act on typed opt-outs, then on opt-ins and links asked for, and have the messages sent that they posted."""
    now = timezone.now()
    if reconciliation.handle_opt_outs(now) + double_opt_in.handle(now) + preferences.handle(now):
        drain_outbox.delay()


@shared_task
def purge_requests() -> None:
    now = timezone.now()
    reconciliation.purge_opt_outs(now)
    double_opt_in.purge(now)
    preferences.purge(now)


@shared_task
def fold_counts() -> None:
    counting.fold(timezone.now())
