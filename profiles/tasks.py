"""Tasks about people: each is one call."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from . import consent, custom_fields, growth, imports, seals
from .models import CustomField, ImportJob


@shared_task
def expire_subscriptions() -> None:
    consent.expire_subscriptions(timezone.now())


@shared_task
def count_subscribers() -> None:
    """Count the subscribers of every service, for the pages of those that have too many to count at once."""
    growth.count_all(timezone.now())


@shared_task
def seal_ledger() -> None:
    seals.seal(timezone.now())


@shared_task
def blank_visitors() -> None:
    """Forget network addresses and browsers that have been kept for long enough."""
    while consent.blank_visitors(before=timezone.now() - settings.VISITOR_DETAILS_KEPT):
        pass


@shared_task
def convert_field(field_id: int) -> None:
    """Put what people have in a field into its kind, for a while; ring again if there is more."""
    until = timezone.now() + settings.TASK_BUDGET
    while custom_fields.convert(field_id, at=timezone.now()):
        if timezone.now() >= until:
            convert_field.delay(field_id)
            return


@shared_task
def resume_fields() -> None:
    """Ring for the fields whose ring, or whose worker, was lost."""
    for field_id in CustomField.objects.filter(converted_upto__isnull=False).values_list("pk", flat=True):
        convert_field.delay(field_id)


@shared_task
def check_import(job_id: int) -> None:
    """Say what an import would do."""
    imports.check(job_id, clock=timezone.now)


@shared_task
def run_import(job_id: int) -> None:
    """Import for a while; ring again if there is more."""
    if imports.run(job_id, clock=timezone.now, budget=settings.TASK_BUDGET):
        run_import.delay(job_id)


@shared_task
def resume_imports() -> None:
    """Ring for the imports whose ring, or whose worker, was lost."""
    for job_id, state in imports.waiting(timezone.now()):
        task = run_import if state == ImportJob.State.RUNNING else check_import
        task.delay(job_id)


@shared_task
def purge_uploads() -> None:
    """Delete files that were uploaded and never imported."""
    imports.purge(timezone.now())
