"""The Celery application: `celery -A campaign worker` and `celery -A campaign beat`."""

import os

from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaign.settings")
app = Celery("campaign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def _refuse_unsafe_start(**_: Any) -> None:
    from .checks import refuse_unsafe_start

    refuse_unsafe_start()
