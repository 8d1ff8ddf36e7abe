"""A Campaign of real processes to break: PostgreSQL, Valkey, a mail sink, a beat and workers, each restartable.

The worker reaches the database and the mail server through relays, so that lines can be cut. Nothing here needs
Django: the environment is set for it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis

from tests import servers
from tests.faults.proxy import Relay
from tests.mailsink import MailSink

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = 2
SHORT = {
    "RING_SECONDS": "1", "LEASE_SECONDS": "3", "EMAIL_TIMEOUT": "2", "CONNECTION_RETRY_SECONDS": "1",
    "LEASE_SIZE": "10", "SENDING_CONNECTIONS": str(CONNECTIONS), "CONN_MAX_AGE": "5",
}  # fmt: skip
START_SECONDS = 60
# Workers that need not hear of each other start sooner. Their logs tell which tasks they took.
ARGUMENTS = ("--without-mingle", "--without-gossip", "--without-heartbeat", "-l", "INFO")


@dataclass
class Program:
    """A worker or a beat in a process group of its own."""

    pid: int
    log: Path
    told: tuple[object, ...] = ()

    @property
    def runs(self) -> bool:
        return Path(f"/proc/{self.pid}").exists()

    def kill(self) -> None:
        """SIGKILL the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._wait(30)

    def end(self, seconds: float) -> float:
        """SIGTERM; return how long it took to end."""
        began = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        self._wait(seconds)
        return time.monotonic() - began

    def children(self) -> list[int]:
        """Return the processes that a pool has forked."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(number) for number in path.read_text().split()]

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.runs:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.log.stem} does not end.")
            time.sleep(0.01)


class Server:
    """PostgreSQL or Valkey as `tests.servers` has started it: ended roughly, and started again as it was."""

    def __init__(self, pid: int, ready: Callable[[], object], *arguments: str) -> None:
        """`arguments` are those of a server that shows others (Valkey writes a title over them)."""
        self.pid, self.ready = pid, ready
        told = [part.decode() for part in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
        self.command = [str(Path(f"/proc/{pid}/exe").readlink()), *(arguments or told[1:])]
        self.folder = Path(f"/proc/{pid}/cwd").readlink()
        self.process: subprocess.Popen[bytes] | None = None

    def stop(self, how: signal.Signals) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(30)
            return
        os.kill(self.pid, how)
        deadline = time.monotonic() + 30
        while self._is_running() and time.monotonic() < deadline:
            time.sleep(0.02)

    def start(self) -> None:
        with (self.folder / "log-again").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=servers.ENVIRONMENT, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=servers._die_with_parent, **servers._unprivileged(),
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError, redis.ConnectionError):
                self.ready()
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.command[0]} did not start again.")

    def _is_running(self) -> bool:
        """Say whether it runs; one that has ended stays a zombie until its starter asks."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False


@dataclass
class Site:
    """All that runs."""

    nursery: subprocess.Popen[str]
    sink: MailSink
    to_database: Relay
    to_sink: Relay
    folder: Path
    postgres: Server
    valkey: Server
    programs: list[Program] = field(default_factory=list)
    started: int = 0

    def worker(self, environment: dict[str, str] | None = None, *, pool: str = "threads", tasks: int = 3) -> Program:
        """Return a worker of that kind, one that runs already or a new one."""
        told = (pool, tasks, *sorted((environment or {}).items()))
        for program in self.programs:
            if program.told == told and program.runs:
                return program
        return self.start("worker", "-P", pool, "-c", str(tasks), *ARGUMENTS, environment=environment, told=told)

    def beat(self) -> Program:
        return self.start("beat", "-s", str(self.folder / f"beat-{self.started}"), told=("beat",))

    def migrate(self) -> Callable[[], str]:
        """Begin to migrate; return what waits for its end, and returns what went wrong."""
        command = [sys.executable, "manage.py", "migrate", "-v0"]
        process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return lambda: process.communicate()[0][-300:] if process.wait(60) else ""

    def start(
        self, *arguments: str, environment: dict[str, str] | None = None, told: tuple[object, ...] = ()
    ) -> Program:
        self.started += 1
        path = self.folder / f"{self.started}-{arguments[0]}.log"
        order = {"arguments": arguments, "environment": environment or {}, "log": str(path)}
        assert self.nursery.stdin
        assert self.nursery.stdout
        self.nursery.stdin.write(json.dumps(order) + "\n")
        self.nursery.stdin.flush()
        program = Program(int(self.nursery.stdout.readline()), path, told)
        self.programs.append(program)
        return program

    def end_workers(self) -> None:
        """Kill what runs but the first beat."""
        for program in self.programs[1:]:
            program.kill()
        self.programs[1:] = [program for program in self.programs[1:] if program.runs]

    def whole_again(self) -> None:
        """Undo what a fault has done to lines and to the mail sink."""
        self.to_database.mend()
        self.to_sink.mend()
        self.to_sink.moment = None
        self.sink.script()


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Start everything, set the environment of this process for it, and migrate."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-faults-")))
        # Durable: an immediate stop of PostgreSQL may not lose what has committed.
        database = stack.enter_context(servers.postgres(durable=True, tuned={"track_commit_timestamp": "on"}))
        valkey = stack.enter_context(servers.valkey())
        sink = stack.enter_context(MailSink())
        to_database = stack.enter_context(Relay(urlsplit(database).port or 0))
        to_sink = stack.enter_context(Relay(sink.port))
        os.environ.pop("EMAIL_URL", None)
        os.environ.update({
            **SHORT, "DATABASE_URL": database, "CACHE_URL": valkey, "CELERY_BROKER_URL": valkey,
            "DATA_DIR": str(folder), "CAMPAIGN_ENV": "local", "DJANGO_SETTINGS_MODULE": "campaign.settings",
        })  # fmt: skip
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, check=True)
        found = Site(
            stack.enter_context(_nursery(database, to_database, to_sink)), sink, to_database, to_sink, folder,
            Server(_pid_of_postgres(database), lambda: psycopg.connect(database).close()),
            Server(_pid_of_valkey(valkey), lambda: redis.Redis.from_url(valkey).ping(),
                   "--port", str(urlsplit(valkey).port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
        )  # fmt: skip
        try:
            found.beat()
            yield found
        finally:
            for program in found.programs:
                program.kill()
            for server in (found.postgres, found.valkey):
                if server.process:
                    server.stop(signal.SIGINT)


@contextlib.contextmanager
def _nursery(database: str, to_database: Relay, to_sink: Relay) -> Iterator[subprocess.Popen[str]]:
    """Run what starts the workers; they reach the database and the mail server through the relays."""
    url = urlsplit(database)
    through = url._replace(netloc=f"{url.username}@127.0.0.1:{to_database.port}").geturl()
    environment = {**os.environ, "DATABASE_URL": through, "EMAIL_URL": f"smtp://127.0.0.1:{to_sink.port}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.nursery"], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout
        if not process.stdout.readline():
            raise RuntimeError("The workers cannot be started.")
        yield process
    finally:
        process.kill()
        process.communicate()


def _pid_of_postgres(url: str) -> int:
    with psycopg.connect(url) as base:
        [(data,)] = base.execute("SHOW data_directory")
    return int(Path(data, "postmaster.pid").read_text().split("\n")[0])


def _pid_of_valkey(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info()["process_id"])
