"""kill -9 of the real worker in the middle of a send, on real servers, counted where the messages arrive.

Each kill comes at a drawn instant, right after the receiving side has taken a message and before it answers: that
message left, and nobody has recorded it. KILLS sets how many (20 for the record, fewer in the suite).
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deliveries import analysis, reports, sending
from deliveries.models import Delivery, DeliveryLog, LogStatus, State
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory
from tests.sink import Sink, running_sink

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("KILLS", "5"))
PER_KILL = 6
SECONDS = 60

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


class Worker:
    """A Celery worker with its beat, in a process group of its own, restarted after each kill."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment, self.folder, self.starts = environment, folder, 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.starts += 1
        command = [sys.executable, "-m", "celery", "-A", "campaign", "worker", "-P", "threads", "-c", "1", "-B",
                   "-s", str(self.folder / f"beat-{self.starts}")]  # fmt: skip
        with (self.folder / f"worker-{self.starts}.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def worker_for(sink: Sink) -> Iterator[Worker]:
    database = connection.settings_dict
    with tempfile.TemporaryDirectory(prefix="campaign-kill-") as folder:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "campaign.settings",
            "DATABASE_URL": f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}",
            "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}",
            "DATA_DIR": folder,
            "RING_SECONDS": "1",
            "LEASE_SECONDS": "3",
            "EMAIL_TIMEOUT": "2",
            "LEASE_SIZE": "10",
            "SENDING_CONNECTIONS": "1",
            "CONNECTION_RETRY_SECONDS": "1",
        }
        worker = Worker(environment, Path(folder))
        try:
            yield worker
        finally:
            worker.kill()


def ready(people: int) -> Delivery:
    service = ServiceFactory.create()
    for n in range(people):
        ProfileFactory.create(email=f"person{n}@example.org", services=[service])
    delivery = DeliveryFactory.create(service=service)
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def test_killing_the_worker_loses_nothing_and_doubles_nothing(settings: Any) -> None:
    settings.LEASE_SIZE = 10
    people = PER_KILL * (KILLS + 1)
    chance = random.Random(os.environ.get("KILL_SEED", "1"))
    delivery = ready(people)
    left_when_killed: list[str] = []
    with running_sink() as sink, worker_for(sink) as worker:
        due = [chance.randint(1, PER_KILL) for _kill in range(KILLS)]
        seen = 0

        def kill_now_and_then(recipient: str) -> None:
            nonlocal seen
            seen += 1
            if due and seen >= due[0]:
                due.pop(0)
                seen = 0
                left_when_killed.append(recipient)
                worker.kill()

        sink.before_answer = kill_now_and_then
        sending.start(delivery, at=timezone.now())
        worker.start()
        deadline = time.monotonic() + SECONDS + 15 * KILLS
        while time.monotonic() < deadline:
            if worker.process is None:
                worker.start()
            delivery.refresh_from_db()
            if delivery.state == State.FINISHED:
                break
            time.sleep(0.2)
        caught = Counter(sink.recipients)

    assert delivery.state == State.FINISHED, "the delivery ends by itself"
    assert len(left_when_killed) == KILLS == worker.starts - 1
    assert delivery.current_run
    outcomes = {status: n for status, n in reports.outcomes(delivery.current_run).items() if n}
    doubled = {who: n for who, n in caught.items() if n > 1}
    wanted = set(DeliveryLog.objects.values_list("address", flat=True))
    in_doubt = set(DeliveryLog.objects.filter(status=LogStatus.IN_DOUBT).values_list("address", flat=True))
    told = f"kills {KILLS}, people {people}, lost {len(wanted - set(caught))}, doubled {len(doubled)}, {outcomes}"
    sys.stdout.write(f"\n{told}\n")
    assert doubled == {}
    assert set(caught) == wanted
    assert in_doubt == set(left_when_killed)
    assert outcomes == {LogStatus.SENT: people - KILLS, LogStatus.IN_DOUBT: KILLS}
    assert sum(outcomes.values()) == delivery.current_run.targeted
