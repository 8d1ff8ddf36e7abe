"""Tasks about addresses left out: each is one call."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from . import outages, tidying


@shared_task
def tidy() -> None:
    """Write down releases that were due and errors that are old, for a while; ring again if there is more."""
    until = timezone.now() + settings.TASK_BUDGET
    while tidying.tidy(timezone.now()):
        if timezone.now() >= until:
            tidy.delay()
            return


@shared_task
def release_after_outage(outage_id: int) -> None:
    """Release what an outage had left out, for a while; ring again if there is more."""
    if outages.work(outage_id, clock=timezone.now, budget=settings.TASK_BUDGET):
        release_after_outage.delay(outage_id)


@shared_task
def undo_release(outage_id: int) -> None:
    """Leave out again what a release in bulk has released, for a while; ring again if there is more."""
    if outages.work_undo(outage_id, clock=timezone.now, budget=settings.TASK_BUDGET):
        undo_release.delay(outage_id)


@shared_task
def resume_outages() -> None:
    """Ring for the releases in bulk, and their undoing, whose ring, or whose worker, was lost."""
    for outage_id, undoing in outages.to_ring_again():
        (undo_release if undoing else release_after_outage).delay(outage_id)
