"""A Campaign of its own for a benchmark: database, cache, web servers, each a real process."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers import free_port, postgres, valkey

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


@dataclass(frozen=True)
class Place:
    """The environment in which the processes of a benchmark run."""

    environment: dict[str, str]

    def manage(self, *arguments: str) -> str:
        """Run a command of Campaign, or any program of Python (`-c`, `-m`); return what it printed."""
        program = [] if arguments[0] in ("-c", "-m") else ["manage.py"]
        done = subprocess.run(
            [sys.executable, *program, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)[:200]} failed:\n{done.stderr}")
        return done.stdout

    @contextlib.contextmanager
    def web(self, *, workers: int, threads: int) -> Iterator[int]:
        """Run gunicorn; yield its port."""
        port = free_port()
        command = [
            *(sys.executable, "-m", "gunicorn", "campaign.wsgi", "--bind", f"127.0.0.1:{port}"),
            *("--workers", str(workers), "--threads", str(threads), "--keep-alive", "30", "--log-level", "error"),
        ]
        server = subprocess.Popen(command, cwd=ROOT, env=self.environment, start_new_session=True)
        try:
            _wait(f"http://127.0.0.1:{port}/p/stop/", server)
            yield port
        finally:
            server.terminate()
            server.wait(30)


@contextlib.contextmanager
def place(*, tuned: Mapping[str, str] | None = None, sqlite: bool = False) -> Iterator[Place]:
    """Yield a migrated, empty Campaign on PostgreSQL with durable commits, or on SQLite; and Valkey."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-bench-"))
        if sqlite:
            database = f"sqlite:///{folder}/bench.sqlite3"
        else:
            given = os.environ.get("BENCH_DATABASE_URL")
            database = given or stack.enter_context(postgres(durable=True, tuned=tuned))
        cache = os.environ.get("BENCH_CACHE_URL") or stack.enter_context(valkey())
        own = {"DATABASE_URL": database, "CACHE_URL": cache, "CELERY_BROKER_URL": cache, "DATA_DIR": folder}
        kept = {name: text for name, text in os.environ.items() if name not in ("EMAIL_URL", "DJANGO_SETTINGS_MODULE")}
        found = Place({**kept, **own, "CAMPAIGN_ENV": "local", "DJANGO_SETTINGS_MODULE": "campaign.settings"})
        found.manage("migrate", "-v0")
        yield found


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url):
                return
        except (urllib.error.URLError, ConnectionError):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the web server did not start") from None
            time.sleep(0.1)
