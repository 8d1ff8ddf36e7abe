"""The Celery application: `celery -A campaign worker` and `celery -A campaign beat`."""

import os
from multiprocessing.sharedctypes import RawValue
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_init, worker_shutting_down

from . import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaign.settings")
broker.install()
app = Celery("campaign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


# Shared with the processes that a pool forks, and written to by a handler of signals, so without a lock.
_shutting_down = RawValue("b", 0)


@worker_init.connect
def _end_senders_with_the_worker(**_: Any) -> None:
    from deliveries.sending import stopping

    stopping.when(lambda: bool(_shutting_down.value))


@worker_init.connect
def _let_people_go_first(**_: Any) -> None:
    from django.conf import settings

    os.nice(settings.WORKER_NICE)


@worker_shutting_down.connect
def _finish_the_message_in_hand(**_: Any) -> None:
    _shutting_down.value = 1


@worker_init.connect
@beat_init.connect
def _refuse_unsafe_start(**_: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured

    from .checks import refuse_unsafe_start

    try:
        refuse_unsafe_start()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error  # Celery logs any other exception of a signal, and goes on
