"""Where the machine of sending lives: its clock, its worker processes that can be killed, and its mail server.

Workers run inside the test, on its connection. One is killed by raising where it stands, and from then on every
statement that it would still execute raises too: a dead process writes nothing and gives nothing back.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
import time_machine
from django.db import connection

from deliveries import sending
from deliveries.messages import Envelope
from deliveries.models import LogStatus
from deliveries.transports import Outcome
from deliveries.transports.base import Blame

S = LogStatus
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MOST_STATEMENTS = 2_000  # of one worker, at a few dozen for each message
HAND_OFF_TAKES = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the mail server does with a message: whether it has it then, and what the transport says of it."""

    outcome: Outcome
    arrives: bool = False


REPLIES: dict[str, Reply] = {
    "250": Reply(Outcome(S.SENT, 250, "OK"), arrives=True),
    "4xx": Reply(Outcome(S.RETRY, 451, "4.3.0 Try again later")),
    "5xx hard": Reply(Outcome(S.FAILED, 550, "5.1.1 User unknown")),
    "5xx soft": Reply(Outcome(S.FAILED, 550, "Not now")),
    "5xx policy": Reply(Outcome(S.FAILED, 554, "5.7.1 Message rejected as spam")),
    "patience": Reply(Outcome(S.RETRY, 450, "4.7.1 Rate limited, wait a while", Blame.DOMAIN)),
    "time-out": Reply(Outcome(S.RETRY, 0, "timed out", Blame.CONNECTION)),
    "drop before the dot": Reply(Outcome(S.RETRY, 0, "connection lost", Blame.CONNECTION)),
    "drop after the dot": Reply(Outcome(S.IN_DOUBT, 0, "connection lost", Blame.CONNECTION), arrives=True),
    "drop at the dot": Reply(Outcome(S.IN_DOUBT, 0, "connection lost", Blame.CONNECTION)),
    "sender refused": Reply(Outcome(S.RETRY, 553, "5.7.1 Sender not allowed", Blame.SENDER)),
}
KILLS = ("before the hand-off", "after the hand-off", "after the record")


@dataclass(frozen=True, slots=True)
class Script:
    """What happens while one message is handed over: the reply, somebody else's act meanwhile, a kill."""

    reply: str = "250"
    meanwhile: Callable[[], object] | None = None
    late: bool = False  # meanwhile: after the message has arrived
    kill: str = ""


class Killed(BaseException):
    """The process of a worker is gone."""


@dataclass(slots=True, eq=False)
class Process:
    """A worker that works on a delivery."""

    delivery: int
    scripts: Iterator[Script]
    statements: int | None = None  # it is killed after so many more
    dead: bool = False
    refused: bool = False  # the receiving side has refused the sender
    sent: int = 0
    executed: int = 0


class Clock:
    """Time that stands still but where it is moved. `passes` is ordinary time; `jumps` moves the wall clock alone."""

    def __init__(self) -> None:
        self._traveller = time_machine.travel(START, tick=False)
        self._now = self._traveller.start()
        self._elapsed = 1_000.0

    def passes(self, span: timedelta) -> None:
        self._now.shift(span)
        self._elapsed += span.total_seconds()

    def jumps(self, span: timedelta) -> None:
        self._now.shift(span)

    def back_to_start(self) -> None:
        self._now.move_to(START)

    def stop(self) -> None:
        self._traveller.stop()

    # What the modules of the application find in place of `time`.
    def monotonic(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self.passes(timedelta(seconds=max(seconds, 0.001)))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@dataclass(slots=True)
class World:
    """The clock, the workers under way (the innermost last), and who is told of hand-offs."""

    clock: Clock
    observer: Any = None
    under_way: list[Process | None] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def work(self, delivery: int, scripts: Iterator[Script] | None = None, *, statements: int | None = None) -> Process:
        """Let a worker send what is due, by a script; all that follows it succeeds. It may be killed."""
        process = Process(delivery, scripts or iter(()), statements)
        with self.aside():
            self.observer.begins(process)
        self.under_way.append(process)
        try:
            sending.work(delivery, transport=MailServer(self, process))
        except Killed:
            process.dead = True
        finally:
            self.under_way.pop()
        with self.aside():
            self.observer.ends(process)
        return process

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Do something that is not a worker's, and cannot be killed."""
        self.under_way.append(None)
        try:
            yield
        finally:
            self.under_way.pop()

    def watch_statements(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Kill the innermost worker when its statements are used up; let a dead one roll back and nothing else."""
        process = self.under_way[-1] if self.under_way else None
        if process is not None:
            process.executed += 1
            assert process.executed < MOST_STATEMENTS, f"a worker goes round in circles: {sql}"
            if process.dead and not sql.startswith(("ROLLBACK", "RELEASE")):
                raise Killed
            if process.statements is not None and not process.dead:
                process.statements -= 1
                if process.statements < 0:
                    process.dead = True
                    raise Killed
        return execute(sql, params, many, context)


class MailServer:
    """A transport that keeps to a script."""

    def __init__(self, world: World, process: Process) -> None:
        self.world, self.process = world, process

    def send(self, envelope: Envelope) -> Outcome:
        world, process = self.world, self.process
        if process.dead:
            raise Killed
        script = next(process.scripts, Script())
        reply = REPLIES[script.reply]
        with world.aside():
            attempt = world.observer.claimed(process, envelope)
        if script.kill == "before the hand-off":
            self._die(script)
        if script.meanwhile and not script.late:
            self._meanwhile(script)
        world.clock.passes(HAND_OFF_TAKES)
        world.counted[script.reply] += 1
        process.sent += 1
        with world.aside():
            world.observer.answered(attempt, reply)
        if script.meanwhile and script.late:
            self._meanwhile(script)
        if script.kill == "after the hand-off":
            self._die(script)
        if script.kill == "after the record":
            process.statements = 3 + 5 * process.sent
            world.counted[f"killed {script.kill}"] += 1
        return reply.outcome

    def _meanwhile(self, script: Script) -> None:
        assert script.meanwhile
        with self.world.aside():
            script.meanwhile()

    def _die(self, script: Script) -> None:
        self.process.dead = True
        self.world.counted[f"killed {script.kill}"] += 1
        raise Killed

    def close(self) -> None: ...


@contextmanager
def running_world() -> Iterator[World]:
    """Give the application this clock, and watch the statements that its workers execute."""
    world = World(Clock())
    with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(world.watch_statements):
        for module in _modules_that_look_at_the_clock():
            patch.setattr(module, "time", world.clock)
        try:
            yield world
        finally:
            world.clock.stop()


def _modules_that_look_at_the_clock() -> list[ModuleType]:
    ours = [module for name, module in sorted(sys.modules.items()) if name.startswith("deliveries.")]
    return [module for module in ours if getattr(module, "time", None) is time]
