"""Production refuses to start on values that only suit one machine."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from campaign import checks

GOOD = {
    "ENVIRONMENT": "production",
    "DEBUG": False,
    "SECRET_KEY": "s" * 40,
    "SUPPRESSION_KEY": "k" * 40,
    "ALLOWED_HOSTS": ["news.example.org"],
    "PUBLIC_URL": "https://news.example.org",
    "CELERY_BROKER_URL": "redis://redis/0",
    "EMAIL_URL_IS_SET": True,
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql"}},
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache"}},
    "LINK_KEYS": ["1:" + "x" * 20],
    "LINK_KEYS_REVOKED": [],
    "UNSUBSCRIBE_MAILBOX": "leave@example.org",
}
BAD = [
    ("DEBUG", True, "campaign.E001"),
    ("SECRET_KEY", "local-only-secret-key-for-one-machine-never-for-production", "campaign.E002"),
    ("SUPPRESSION_KEY", "short", "campaign.E003"),
    ("ALLOWED_HOSTS", [], "campaign.E004"),
    ("ALLOWED_HOSTS", ["*"], "campaign.E004"),
    ("PUBLIC_URL", "http://news.example.org", "campaign.E005"),
    ("DATABASES", {"default": {"ENGINE": "django.db.backends.sqlite3"}}, "campaign.E006"),
    ("CELERY_BROKER_URL", "filesystem://localhost", "campaign.E007"),
    ("CACHES", {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache"}}, "campaign.E008"),
    ("EMAIL_URL_IS_SET", False, "campaign.E009"),
    ("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend", "campaign.E021"),
    ("LINK_KEYS", ["300:" + "x" * 20], "campaign.E013"),
    ("LINK_KEYS", ["one"], "campaign.E013"),
    ("LINK_KEYS", ["1:short"], "campaign.E013"),
    ("LINK_KEYS", ["-1:" + "x" * 20], "campaign.E013"),
    ("LINK_KEYS", ["2:" + "y" * 20, "1:" + "x" * 20, "2:" + "z" * 20], "campaign.E015"),
    ("LINK_KEYS_REVOKED", [7, 1], "campaign.E016"),
    ("LINK_KEYS", [], "campaign.E017"),
    ("UNSUBSCRIBE_MAILBOX", "leave", "campaign.E014"),
    ("UNSUBSCRIBE_MAILBOX", "Leave <leave@example.org>", "campaign.E014"),
    ("UNSUBSCRIBE_MAILBOX", "a@example.org,b@example.org", "campaign.E014"),
]


class Settings:
    """Only what the checks read: overriding real settings would open real connections."""

    LOCAL_KEY_PREFIX = "local-only-"

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(GOOD | values)


def found(monkeypatch: pytest.MonkeyPatch, **values: Any) -> list[str | None]:
    monkeypatch.setattr(checks, "settings", Settings(**values))
    return [error.id for error in (*checks.check_production(), *checks.check_links())]


def test_good_settings_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch) == []
    checks.refuse_unsafe_start()


@pytest.mark.parametrize(("name", "value", "code"), BAD)
def test_each_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: Any, code: str) -> None:
    assert found(monkeypatch, **{name: value}) == [code]
    everywhere = "campaign.E012" < code < "campaign.E017"
    assert found(monkeypatch, ENVIRONMENT="local", **{name: value}) == ([code] if everywhere else [])


def test_the_key_made_from_the_secret_key_cannot_be_revoked_while_it_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, ENVIRONMENT="local", LINK_KEYS=[], LINK_KEYS_REVOKED=[0]) == ["campaign.E016"]
    assert found(monkeypatch, LINK_KEYS_REVOKED=[0, 9]) == []


@pytest.mark.parametrize(("name", "value", "code"), [row for row in BAD if row[2] != "campaign.E014"])
def test_web_and_workers_do_not_start_on_it(monkeypatch: pytest.MonkeyPatch, name: str, value: Any, code: str) -> None:
    monkeypatch.setattr(checks, "settings", Settings(**{name: value}))
    with pytest.raises(ImproperlyConfigured, match="does not start"):
        checks.refuse_unsafe_start()


STARTS = {
    "wsgi": ["-c", "import campaign.wsgi"],
    "asgi": ["-c", "import campaign.asgi"],
    "worker": ["-m", "celery", "-A", "campaign", "worker", "-P", "solo"],
    "beat": ["-m", "celery", "-A", "campaign", "beat"],
}


@pytest.mark.parametrize("start", STARTS)
def test_no_process_starts_on_the_values_of_a_demonstration(start: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "CAMPAIGN_ENV": "production"}
    result = subprocess.run(
        [sys.executable, *STARTS[start]],
        cwd=Path(__file__).resolve().parents[2], env=environment, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert result.returncode
    assert "SECRET_KEY must be set" in result.stderr


@pytest.mark.parametrize(("name", "value"), [("BURST_MIN", 0), ("BURST_SHARE", 0.0), ("BURST_SHARE", 1.5)])
def test_a_burst_that_anything_or_nothing_is_refused(settings: Any, name: str, value: float) -> None:
    assert [error.id for error in checks.check_engines()] == []
    setattr(settings, name, value)
    assert [error.id for error in checks.check_engines()] == ["campaign.E018"]
