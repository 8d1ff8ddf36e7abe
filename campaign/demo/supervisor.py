"""The processes of the demonstration: started together, watched, stopped together.

Nothing is restarted silently: a process that dies ends the demonstration, with the last lines of its log. Children
run in sessions of their own, so that Ctrl-C reaches this process only, which then stops them in order: first those
that make work, last the mail catcher, which a worker may still be talking to.
"""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
# An idle worker on a broker made of files takes 5 s to stop.
PATIENCE = 10.0
LINES_SHOWN = 15
PYTHON = sys.executable
WINDOWS = os.name == "nt"
NEW_GROUP = 0x200  # CREATE_NEW_PROCESS_GROUP of Windows


class DemoFailed(Exception):
    """The demonstration cannot go on. The message says why, and what to do."""


@dataclass(slots=True)
class Child:
    """One process, and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def dead(self) -> bool:
        return self.process.poll() is not None

    def last_lines(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LINES_SHOWN:]) or "    (it wrote nothing)"


@dataclass(slots=True)
class Supervisor:
    """Starts the children with one environment, and stops all of them when the block ends, however it ends."""

    folder: Path
    environment: Mapping[str, str]
    children: list[Child] = field(default_factory=list)

    def __enter__(self) -> "Supervisor":
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str]) -> Child:
        """Start a process whose output goes to its own log, made anew."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 (our own commands)
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment}, cwd=Path(__file__).parents[2],
                start_new_session=not WINDOWS, creationflags=NEW_GROUP if WINDOWS else 0,
            )  # fmt: skip
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def check(self) -> None:
        """Raise DemoFailed when a child has died."""
        for child in self.children:
            if child.dead:
                code = child.process.returncode
                raise DemoFailed(
                    f"The {child.name} has ended by itself (code {code}). The end of {child.log}:\n{child.last_lines()}"
                )

    def stop(self) -> None:
        """Ask the children to end, the last one started first; after some patience, end those that have not."""
        first, others = self.children[:1], self.children[:0:-1]
        try:
            _end(others)
            _end(first)  # what the others lean on: it ends when they have
        finally:
            for child in self.children:
                if not child.dead:
                    _kill(child.process)
            self.children.clear()


def free_port(wanted: int) -> int:
    """Return the port if it is free, else any free one."""
    return wanted if is_free(wanted) else _any_port()


def is_free(port: int) -> bool:
    """Say whether a server could listen on a port of this machine now."""
    with socket.socket() as probe:
        if not WINDOWS:
            # As servers do: a connection that has just ended does not keep the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def require_port(port: int) -> None:
    """Raise DemoFailed, with the remedy, when a port is in use."""
    if not is_free(port):
        raise DemoFailed(
            f"Port {port} is in use: another program listens there, perhaps another demonstration. "
            f"Stop it, or choose another port: make demo ARGS='--port {port + 1}'"
        )


def wait_for_port(supervisor: Supervisor, port: int, *, seconds: float = 30.0) -> None:
    """Wait until something listens on a port."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        supervisor.check()
        if time.monotonic() > end:
            raise DemoFailed(f"Nothing listens on port {port} after {seconds:.0f} seconds.")
        time.sleep(0.1)


def wait_for_page(supervisor: Supervisor, url: str, *, seconds: float = 60.0) -> None:
    """Wait until a page answers."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (our own page)
            if answer.status == 200:
                return
        supervisor.check()
        if time.monotonic() > end:
            raise DemoFailed(f"{url} does not answer after {seconds:.0f} seconds: see the logs in {supervisor.folder}.")
        time.sleep(0.2)


def web_command(port: int) -> list[str]:
    """Return the command of the web server: gunicorn where it runs, else Django's own."""
    if WINDOWS or importlib.util.find_spec("gunicorn") is None:
        return [PYTHON, "manage.py", "runserver", f"{HOST}:{port}", "--noreload", "--insecure"]
    return [
        PYTHON, "-m", "gunicorn", "campaign.wsgi", "--bind", f"{HOST}:{port}", "--workers", "1",
        "--threads", "8", "--graceful-timeout", "5", "--no-control-socket",
    ]  # fmt: skip


def celery_command(*arguments: str) -> list[str]:
    return [PYTHON, "-m", "celery", "-A", "campaign", *arguments]


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _end(children: Sequence[Child]) -> None:
    """Ask processes to end, and wait for them, but not for ever."""
    for child in children:
        if not child.dead:
            child.process.terminate()
    until = time.monotonic() + PATIENCE
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, until - time.monotonic()))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a child of ours, and what it started, at once."""
    if WINDOWS:
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
