"""Settings of the test suite: those of Campaign, on throwaway data.

TEST_ENGINE chooses what runs below: `sqlite` (the default: what runs with nothing installed) or `postgres`
(PostgreSQL and Valkey, as in production). pytest-django imports this module before any fixture runs, so the
servers are started here and stopped when the process ends.
"""

import atexit
import contextlib
import os
import tempfile
from pathlib import Path

_until_exit = contextlib.ExitStack()
atexit.register(_until_exit.close)

# Only what the tests name may reach the settings: a developer's own variables would point at real data.
for _name in (
    *("DATABASE_URL", "CACHE_URL", "CELERY_BROKER_URL", "EMAIL_URL", "STATIC_ROOT"),
    *("SECRET_KEY", "SUPPRESSION_KEY", "LINK_KEYS", "LINK_KEYS_REVOKED"),
    *("PUBLIC_URL", "ALLOWED_HOSTS", "DEBUG"),
):
    os.environ.pop(_name, None)
os.environ["CAMPAIGN_ENV"] = "local"
os.environ["LANGUAGE_CODE"] = "en"
# Senders on threads of their own would not see what the transaction of a test has not committed.
os.environ["SENDING_CONNECTIONS"] = "1"
os.environ["DATA_DIR"] = _until_exit.enter_context(
    tempfile.TemporaryDirectory(prefix="campaign-tests-", ignore_cleanup_errors=True)
)

TEST_ENGINE = os.environ.get("TEST_ENGINE", "sqlite")
if TEST_ENGINE == "postgres":
    from tests.servers import both

    _urls = _until_exit.enter_context(both())
    os.environ["DATABASE_URL"] = _urls.database
    os.environ["CELERY_BROKER_URL"] = os.environ["CACHE_URL"] = _urls.valkey
elif TEST_ENGINE != "sqlite":
    raise ValueError(f"TEST_ENGINE is {TEST_ENGINE!r}; it can be sqlite or postgres.")

from campaign.settings import *  # noqa: E402, F403
from campaign.settings import DATABASES, STATIC_ROOT  # noqa: E402

# A file, not memory: threads of the live server then share it as processes do, with the real locks.
DATABASES["default"]["TEST"] = {"NAME": str(Path(os.environ["DATA_DIR"]) / "test.sqlite3")}
if TEST_ENGINE == "postgres":
    DATABASES["default"]["TEST"] = {"NAME": "test_campaign"}

# The real hashers are slow by design; here they would be half the run.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Nothing is collected for a test; WhiteNoise warns about a missing folder, and warnings are errors.
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
