"""Celery with a fault inside: the real worker (or beat), which fails where its environment says.

    python -m tests.faults.worker worker -P threads -c 3        (or by tests.faults.nursery, which starts them sooner)

FAULT_KILL="hand_off:5"   SIGKILL of itself at the fifth hand-off, after its claim has committed and before it connects
FAULT_KILL="returned:2"   SIGKILL of itself when the second call of `sending.work` has returned, before its task has
FAULT_TWICE=1             each task is put into the broker twice
FAULT_VISIBILITY=1        tasks are acknowledged when they end, and given to another one after a second
FAULT_BUDGET=1            a task rings again after so many seconds
FAULT_CLOCK="3600:2:4"    the clock goes wrong by so many seconds, after two seconds, for four (0: for good)

The pauses before another try are seconds instead of minutes. Whatever is to be changed must be there.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import django

# What the beat of the kit rings for: what is about deliveries.
RUNG = ("ring-again", "start-scheduled", "drain-outbox")
SOON, LATER = timedelta(seconds=1), timedelta(seconds=2)


def main() -> None:
    prepare()
    run(sys.argv[1:])


def prepare() -> None:
    """Import what a worker needs, and make its pauses short."""
    django.setup()
    import celery.apps.beat
    import celery.apps.worker
    import celery.concurrency.prefork
    import celery.concurrency.thread  # noqa: F401

    from campaign.celery import app
    from deliveries import domains
    from deliveries.sending import outcomes

    app.loader.import_default_modules()
    app.conf.beat_schedule = {name: app.conf.beat_schedule[name] for name in RUNG}
    for module, first, longest in ((outcomes, "FIRST_RETRY", "LONGEST_RETRY"), (domains, "FIRST_REST", "LONGEST_REST")):
        _replace(module, first, SOON)
        _replace(module, longest, LATER)


def run(arguments: list[str]) -> None:
    """Be Celery with these arguments, and with the faults that the environment names."""
    from celery.__main__ import main as celery
    from django.conf import settings

    from campaign.celery import app
    from deliveries import gate, tasks

    point, _colon, number = os.environ.get("FAULT_KILL", "").partition(":")
    if point == "hand_off":
        _replace(gate, "hand_off", _killed_before(gate.hand_off, int(number)))
    elif point == "returned":
        _replace(tasks.sending, "work", _killed_after(tasks.sending.work, int(number)))
    elif point:
        raise SystemExit(f"No such point: {point}")
    if budget := os.environ.get("FAULT_BUDGET"):
        _replace(settings, "TASK_BUDGET", timedelta(seconds=int(budget)))
    if os.environ.get("FAULT_TWICE"):
        _every_task_twice()
    if os.environ.get("FAULT_VISIBILITY"):
        seconds = int(os.environ["FAULT_VISIBILITY"])
        app.conf.broker_transport_options = {
            "visibility_timeout": seconds, "unacked_restore_interval": seconds, "unacked_restore_throttle": 1,
        }  # fmt: skip
        app.conf.task_acks_late = True
    if clock := os.environ.get("FAULT_CLOCK"):
        _wrong_clock(*(float(part) for part in clock.split(":")))
    sys.argv = ["celery", "-A", "campaign", *arguments]
    celery()


def _replace(owner: Any, name: str, value: object) -> None:
    if not hasattr(owner, name):
        raise SystemExit(f"{owner} has no {name} any more: mend tests/faults/worker.py.")
    setattr(owner, name, value)


def _killed_before(call: Callable[..., Any], number: int) -> Callable[..., Any]:
    counted = _Countdown(number)

    def instead(*args: Any, **kwargs: Any) -> Any:
        counted.down()
        return call(*args, **kwargs)

    return instead


def _killed_after(call: Callable[..., Any], number: int) -> Callable[..., Any]:
    counted = _Countdown(number)

    def instead(*args: Any, **kwargs: Any) -> Any:
        found = call(*args, **kwargs)
        counted.down()
        return found

    return instead


class _Countdown:
    """Kills the process group at the end of it."""

    def __init__(self, left: int) -> None:
        self.left, self._lock = left, threading.Lock()

    def down(self) -> None:
        with self._lock:
            self.left -= 1
            if self.left == 0:
                os.killpg(os.getpgrp(), signal.SIGKILL)


def _every_task_twice() -> None:
    from celery.app.task import Task

    once = Task.apply_async

    def twice(self: Any, *args: Any, **kwargs: Any) -> Any:
        once(self, *args, **kwargs)
        kwargs.pop("task_id", None)
        return once(self, *args, **kwargs)

    _replace(Task, "apply_async", twice)


def _wrong_clock(wrong_by: float, after: float, lasting: float) -> None:
    from django.utils import timezone

    began, now, seconds = time.monotonic(), timezone.now, time.time

    def offset() -> float:
        gone = time.monotonic() - began - after
        return wrong_by if gone >= 0 and (not lasting or gone < lasting) else 0.0

    def wrong_now() -> datetime:
        return now() + timedelta(seconds=offset())

    _replace(timezone, "now", wrong_now)
    _replace(time, "time", lambda: seconds() + offset())


if __name__ == "__main__":
    main()
