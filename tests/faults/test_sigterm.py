"""SIGTERM of the real worker in the middle of a send: the message in hand is finished, and nothing is left in doubt."""

import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from django.utils import timezone

from deliveries import reports, sending
from deliveries.models import LogStatus, State
from tests.faults.test_kill import ROOT, Worker, ready, worker_for
from tests.sink import running_sink

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
PEOPLE = 60
SECONDS = 30


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_asked_to_end_finishes_the_message_in_hand(pool: str, settings: Any) -> None:
    settings.LEASE_SIZE = 10
    delivery = ready(PEOPLE)
    with running_sink() as sink, worker_for(sink) as worker:
        worker.environment |= {"SENDING_CONNECTIONS": "2", "TASK_BUDGET_SECONDS": "300"}
        sink.before_answer = lambda recipient: time.sleep(0.05)
        sending.start(delivery, at=timezone.now())
        start(worker, pool)
        wait_for(lambda: len(sink.caught) >= 5)
        assert worker.process
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(SECONDS) == 0
        left = len(sink.caught)
        assert delivery.current_run
        counts = reports.outcomes(delivery.current_run)
        assert counts[LogStatus.HANDING_OFF] == counts[LogStatus.IN_DOUBT] == 0
        assert counts[LogStatus.SENT] == left < PEOPLE
        start(worker, pool)
        wait_for(lambda: len(sink.caught) >= PEOPLE)
        assert sorted(sink.recipients) == sorted({*sink.recipients})
        wait_for(lambda: type(delivery).objects.filter(pk=delivery.pk, state=State.FINISHED).exists())


def start(worker: Worker, pool: str) -> None:
    worker.starts += 1
    command = [sys.executable, "-m", "celery", "-A", "campaign", "worker", "-P", pool, "-c", "1", "-B",
               "-s", str(worker.folder / f"beat-{worker.starts}")]  # fmt: skip
    with (worker.folder / f"worker-{worker.starts}.log").open("wb") as log:
        worker.process = subprocess.Popen(
            command, cwd=ROOT, env=worker.environment, stdout=log, stderr=log, start_new_session=True
        )


def wait_for(done: Any) -> None:
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
