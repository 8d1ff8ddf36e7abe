"""docker-compose.yml works: its own commands run here, in its own environment, on real servers.

Docker is not needed. What changes is where things are: the names of the servers become loopback addresses, the
port a free one, and the volume a temporary folder.
"""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from django.conf import settings

from tests.servers import free_port, postgres, valkey

ROOT = Path(__file__).resolve().parent.parent
APPLICATION = ("migrate", "web", "worker", "beat")
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<mark>:[-?])(?P<rest>[^}]*))?\})")
# What somebody who fills in .env writes.
FILLED_IN = {
    "SECRET_KEY": secrets.token_urlsafe(48),
    "SUPPRESSION_KEY": secrets.token_urlsafe(48),
    "LINK_KEYS": f"1:{secrets.token_urlsafe(48)}",
    "POSTGRES_PASSWORD": "Password123",
    "PUBLIC_URL": "https://news.example.org",
    "ALLOWED_HOSTS": "news.example.org",
    "EMAIL_URL": "smtp://127.0.0.1:9",
}
# And what they write on the page of their brand, which a new site has as a stand-in.
BRAND = {
    "sender_email": "hello@jardins.example",
    "postal_address": "1 rue des Lilas, Lyon",
    "contact": "hello@jardins.example",
    "privacy_notice": {"en": "We keep your address.", "fr": "Nous gardons votre adresse."},
}
FILL_IN_BRANDS = f"from profiles.models import Brand; Brand.objects.update(**{BRAND!r})"


def compose() -> dict[str, Any]:
    """Return the file, anchors and merges resolved."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def interpolate(text: str, values: dict[str, str]) -> str:
    """Put values into a text as docker compose does: ${NAME}, ${NAME:-default}, ${NAME:?message}, $$."""

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if found := values.get(match["name"]):
            return found
        if match["mark"] == ":-":
            return match["rest"]
        raise KeyError(f"{match['name']} is required: {match['rest']}")

    return VARIABLE.sub(value, text)


def written_in_example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_required_value_is_explained_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    required = {match["name"] for match in VARIABLE.finditer(text) if match["mark"] == ":?"}
    assert required == set(written_in_example()) == set(FILLED_IN)


@pytest.mark.parametrize("name", ["SECRET_KEY", "SUPPRESSION_KEY", "LINK_KEYS", "POSTGRES_PASSWORD"])
def test_no_secret_has_a_default(name: str) -> None:
    assert written_in_example()[name] in {"", "1:"}
    with pytest.raises(KeyError, match=f"{name} is required"):
        interpolate(str(compose()["services"]), FILLED_IN | {name: ""})


@pytest.mark.parametrize("name", APPLICATION)
def test_the_application_can_write_nowhere_but_to_its_volume(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["volumes"] == ["data:/data"]


def test_the_web_listens_to_this_machine_only() -> None:
    """BEHIND_PROXY trusts a header, so nobody but the reverse proxy may reach the port."""
    assert compose()["services"]["web"]["ports"] == ["127.0.0.1:8000:8000"]


@dataclass
class Installation:
    """One site, as the file describes it."""

    folder: Path
    places: dict[str, str]  # where the file's names and paths are on this machine

    def environment(self, service: str) -> dict[str, str]:
        declared = compose()["services"][service]["environment"]
        ours = {name: self._here(interpolate(str(value), FILLED_IN)) for name, value in declared.items()}
        # The commands are found as in the image; the rings come sooner, for the test's sake.
        found = {"PATH": f"{Path(sys.executable).parent}:{os.defpath}", "HOSTNAME": os.uname().nodename}
        return found | ours | {"RING_SECONDS": "1", "PYTHONWARNINGS": "default"}

    def run(self, service: str, command: list[str] | None = None) -> None:
        """Run a service that ends, or another command in its environment, to its end; it must succeed."""
        result = self.attempt(service, command)
        assert result.returncode == 0, result.stdout + result.stderr

    def attempt(self, service: str, command: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(service, command),
            env=self.environment(service),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )

    @contextlib.contextmanager
    def start(self, service: str) -> Iterator[Path]:
        """Run a service until the block ends; yield the file of what it prints. It must stop when asked to."""
        log = self.folder / f"{service}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(service, None),
                env=self.environment(service),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield log
            process.terminate()
            assert process.wait(timeout=30) == 0, log.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def is_healthy(self, service: str) -> bool:
        kind, *command = compose()["services"][service]["healthcheck"]["test"]
        try:
            self.run(service, ["sh", "-c", *command] if kind == "CMD-SHELL" else command)
        except AssertionError:
            return False
        return True

    def _command(self, service: str, command: list[str] | None) -> list[str]:
        words = command or compose()["services"][service]["command"]
        return [self._here(interpolate(word, FILLED_IN)) for word in words]

    def _here(self, text: str) -> str:
        for there, here in self.places.items():
            text = text.replace(there, here)
        return text


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    if settings.TEST_ENGINE != "postgres":
        pytest.skip("docker-compose.yml is about PostgreSQL; this run is on SQLite")
    folder = tmp_path_factory.mktemp("compose")
    (folder / "data" / "static").mkdir(parents=True)
    with postgres() as database, valkey() as broker:
        places = {
            "@postgres:5432/campaign": f"@{urlsplit(database).netloc.partition('@')[2]}/postgres",
            "redis:6379": urlsplit(broker).netloc,
            "0.0.0.0:8000": f"127.0.0.1:{(port := free_port())}",
            '"127.0.0.1", 8000': f'"127.0.0.1", {port}',
            "/data": str(folder / "data"),
        }
        site = Installation(folder, places)
        site.run("migrate")
        yield site


def eventually(check: Callable[[], bool], log: Path, *, seconds: int = 60) -> None:
    """Wait for something that the log may explain when it does not come."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, log.read_text()[-4_000:]
        assert "unregistered task" not in log.read_text(), "the schedule names a task that does not exist"
        time.sleep(0.5)


def test_a_migrated_site_passes_the_checks_of_production_once_its_brand_is_filled_in(
    installation: Installation,
) -> None:
    manage = ["python", "manage.py"]
    check = [*manage, "check", "--deploy", "--database", "default", "--fail-level", "WARNING"]
    told = installation.attempt("web", check)
    assert told.returncode == 1
    assert "identified 1 issue " in told.stderr
    assert "(profiles.W001) The brand “Campaign” is not complete." in told.stderr
    installation.run("web", [*manage, "shell", "-c", FILL_IN_BRANDS])
    installation.run("web", check)


def test_the_web_answers_as_its_health_check_asks(installation: Installation) -> None:
    with installation.start("web") as log:
        eventually(lambda: installation.is_healthy("web"), log)


def test_the_worker_runs_what_the_beat_rings(installation: Installation) -> None:
    rung = [job["task"] for job in settings.CELERY_BEAT_SCHEDULE.values() if job["schedule"].run_every.seconds < 60]
    assert rung
    with installation.start("worker") as log, installation.start("beat"):
        done = [re.compile(rf"Task {re.escape(task)}\[[^]]*\] succeeded") for task in rung]
        eventually(lambda: all(task.search(log.read_text()) for task in done), log)
        assert installation.is_healthy("worker"), log.read_text()
