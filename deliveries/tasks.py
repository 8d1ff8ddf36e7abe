"""Tasks about deliveries: each is one call. A broker only rings; the rows say what there is to do."""

from celery import shared_task
from django.db import DataError, IntegrityError, ProgrammingError
from django.utils import timezone

from quarantine import report_words

from . import analysis, confirmations, proofs, retention, scheduling, sending


@shared_task
def analyse_delivery(delivery_id: int) -> None:
    """Do or go on with the analysis of a delivery."""
    try:
        again = analysis.work(delivery_id)
    except (DataError, IntegrityError, ProgrammingError) as error:
        # Trying again cannot help, and would go on for ever: say what happened instead.
        analysis.fail(delivery_id, str(error), at=timezone.now())
        raise
    if again:
        analyse_delivery.delay(delivery_id)


@shared_task
def send_delivery(delivery_id: int) -> None:
    """Send what is due of a delivery, or cancel what is left of one that is stopping."""
    if sending.work(delivery_id):
        send_delivery.delay(delivery_id)


@shared_task
def send_proof(proof_id: int) -> None:
    proofs.send(proof_id)


@shared_task
def drain_outbox() -> None:
    confirmations.drain()


@shared_task
def ring_again() -> None:
    """Ring for the work whose ring, or whose worker, was lost."""
    now = timezone.now()
    for delivery_id in analysis.to_ring_again(now):
        analyse_delivery.delay(delivery_id)
    for delivery_id in sending.to_ring_again(now):
        send_delivery.delay(delivery_id)
    for proof_id in proofs.to_ring_again(now):
        send_proof.delay(proof_id)


@shared_task
def start_scheduled() -> None:
    """Take the scheduled deliveries whose moment has come one step further."""
    due = scheduling.start_due(timezone.now())
    for delivery_id in due.to_analyse:
        analyse_delivery.delay(delivery_id)
    for delivery_id in due.to_send:
        send_delivery.delay(delivery_id)


@shared_task
def purge_runs() -> None:
    retention.purge(at=timezone.now())


@shared_task
def purge_reports() -> None:
    report_words.purge(at=timezone.now())
