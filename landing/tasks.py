"""Tasks about what visitors asked for. A broker only rings; the rows say what there is to do."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from deliveries.tasks import drain_outbox

from . import bursts, counting, double_opt_in, fetching, preferences, reconciliation, restoring


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


@shared_task
def watch_bursts() -> None:
    """Look for opt-outs that machines may have made; ring for those being taken back whose ring was lost."""
    bursts.watch(timezone.now())
    for burst_id in restoring.waiting():
        restore_burst.delay(burst_id)


@shared_task
def restore_burst(burst_id: int) -> None:
    """Give back for a while; ring again if there is more."""
    if restoring.work(burst_id, clock=timezone.now, budget=settings.TASK_BUDGET):
        restore_burst.delay(burst_id)


@shared_task
def fetch_mail() -> None:
    """Receive what waits in the mailbox, if there is one."""
    if settings.IMAP_URL:
        fetching.fetch_or_wait(clock=timezone.now, budget=settings.TASK_BUDGET)
