"""The Celery application: `celery -A campaign worker` and `celery -A campaign beat`."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_init

from . import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaign.settings")
broker.install()
app = Celery("campaign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def _refuse_unsafe_start(**_: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured

    from .checks import refuse_unsafe_start

    try:
        refuse_unsafe_start()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error  # Celery logs any other exception of a signal, and goes on
