"""Tasks about people: each is one call."""

from celery import shared_task
from django.utils import timezone

from . import consent


@shared_task
def expire_subscriptions() -> None:
    consent.expire_subscriptions(timezone.now())
