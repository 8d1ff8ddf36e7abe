"""One run of one fault: a delivery that is sent while things break, until it ends by itself, and its verdict."""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from deliveries import sending
from deliveries.models import Delivery, DeliveryLog, LogStatus, State
from tests.faults import population
from tests.faults.site import CONNECTIONS, Program, Site
from tests.mailsink import Rule

SECONDS = 90
# What the receiving side takes for a message: so many people take seconds, and instants can be drawn among them.
PACE = Rule("END", delay=(20, 120))


@dataclass
class Scene:
    """What a fault is given to do harm."""

    site: Site
    chance: random.Random
    delivery: Delivery
    times: int  # how often the fault is to strike in this run
    began: float = field(default_factory=time.monotonic)
    struck: int = 0
    doubtful: int = 0  # how many rows may be in doubt
    refusals: int = 0  # how many rows may be refused
    resumed: int = 0  # by a human, where a delivery must wait for one
    remarks: list[str] = field(default_factory=list)

    def strike(self, *, killed: int = 0) -> None:
        """Count one fault, which has killed so many connections."""
        self.struck += 1
        self.doubtful += killed

    def strike_of_a_worker(self) -> None:
        self.strike(killed=CONNECTIONS)

    def start(self) -> None:
        sending.start(self.delivery, at=timezone.now())

    def rules(self, *rules: Rule) -> None:
        """Have the receiving side misbehave so, and be as slow as usual else."""
        self.site.sink.script(*rules, PACE)

    def worker(self, environment: dict[str, str] | None = None, *, pool: str = "threads", tasks: int = 1) -> Program:
        """Return a worker; with one task at a time it has CONNECTIONS connections, which a kill takes with it."""
        return self.site.worker(environment, pool=pool, tasks=tasks)

    def is_over(self) -> bool:
        return population.state_of(self.delivery) in population.OVER

    def wait(self, until: Callable[[], bool], *, seconds: float = SECONDS) -> bool:
        """Wait for something; return False when the delivery ended first, or time did."""
        deadline, looks = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            if until():
                return True
            looks += 1
            if looks % 10 == 0 and self.is_over():
                return until()
            time.sleep(0.03)
        return False

    def wait_for_messages(self, number: int) -> bool:
        """Wait until so many more messages have arrived."""
        seen = self._arrived() + number
        return self.wait(lambda: self._arrived() >= seen)

    def _arrived(self) -> int:
        """Return how many messages have arrived in all."""
        return self.site.sink.log.read_bytes().count(b"\n")

    def wait_for_some(self) -> bool:
        """Wait until a drawn number of messages has arrived, and a little longer."""
        found = self.wait_for_messages(self.chance.randint(1, 5))
        time.sleep(self.chance.uniform(0, 0.15))
        return found and not self.is_over()

    def wait_for_the_end(self) -> bool:
        """Wait until the delivery ends; a pause that must be is resumed as a human would."""

        def ended() -> bool:
            state = population.state_of(self.delivery)
            if state == State.PAUSED:
                self.delivery.refresh_from_db()
                with contextlib.suppress(DatabaseError, InterfaceError):
                    sending.resume(self.delivery)
                    self.resumed += 1
            return state in population.OVER

        return self.wait(ended)

    def leaving(self) -> int:
        """Return how many rows are claimed and not recorded."""
        return DeliveryLog.objects.filter(run=self.delivery.current_run_id, status=LogStatus.HANDING_OFF).count()

    def beside(self, *acts: Callable[[], object]) -> list[str]:
        """Do things at the same moment, each on a connection to the database of its own; return what went wrong."""
        barrier, wrong = threading.Barrier(len(acts)), []

        def do(act: Callable[[], object]) -> None:
            try:
                barrier.wait()
                act()
            except Exception as error:  # noqa: BLE001 (what it is, is the result)
                wrong.append(type(error).__name__)
            finally:
                connection.close()

        threads = [threading.Thread(target=do, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return wrong
