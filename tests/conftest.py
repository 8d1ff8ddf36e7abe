"""The plumbing of the suite: flushing under the ledger's triggers, one engine or the other, a browser."""

import importlib.util
import os
import shutil
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import TransactionTestCase
from django.utils import translation

from profiles.triggers import lifted

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # the suite may run as root, in a container
    "--disable-gpu",
    # Without these it talks to the network at each start.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this run cannot do, with a line that says why; REQUIRE_ALL=1 makes a missing browser a failure.

    With SQLITE_BESIDE=1 (`tests.both_engines`), tests that ask no database are left to the run on the other engine.
    """
    if os.environ.get("SQLITE_BESIDE") == "1":
        config.hook.pytest_deselected(items=[item for item in items if not _asks_a_database(item)])
        items[:] = filter(_asks_a_database, items)
    missing = _missing_for_the_browser()
    for item in items:
        if item.get_closest_marker("postgres") and settings.TEST_ENGINE != "postgres":
            item.add_marker(pytest.mark.skip(reason="is about PostgreSQL; this run is on SQLite"))
        if missing and item.get_closest_marker("browser") and os.environ.get("REQUIRE_ALL") != "1":
            item.add_marker(pytest.mark.skip(reason=missing))


def _asks_a_database(item: pytest.Item) -> bool:
    """Say whether a test could go otherwise on another engine: by its marks, fixtures, or processes of its own."""
    marked = any(item.get_closest_marker(name) for name in ("django_db", "postgres"))
    needs = {"db", "transactional_db", "live_server", "run_of_its_own"} & set(getattr(item, "fixturenames", ()))
    return marked or bool(needs)


def _missing_for_the_browser() -> str:
    if CHROMIUM is None:
        return "no Chromium on this system: install its package to run the browser tests"
    if importlib.util.find_spec("playwright") is None:
        return "playwright is missing: requirements/browser.txt has it"
    return ""


@pytest.fixture(scope="session", autouse=True)
def _flush_lifts_the_triggers() -> Iterator[None]:
    """Let the flush after a transactional test empty the append-only tables, and the cache with them.

    Flushing sends post_migrate, so the rows that the applications promise (groups, defaults, triggers) are made
    again. Nothing else in the suite may lift the triggers.
    """
    flush = TransactionTestCase._fixture_teardown

    def flush_under_lifted_triggers(case: TransactionTestCase) -> None:
        with lifted(connection):
            flush(case)
        cache.clear()  # the table of the cache is no model, so a flush forgets it

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", flush_under_lifted_triggers)
        yield


@pytest.fixture(scope="session", autouse=True)
def _messages_leave(django_test_environment: None) -> Iterator[None]:
    """Send over SMTP: Django's test environment puts another mail backend in its place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
        yield


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Start each test with an empty cache: a rollback undoes the table of SQLite's cache, but not Valkey."""
    yield
    if settings.TEST_ENGINE == "postgres":
        cache.clear()


@pytest.fixture(autouse=True)
def _no_rules_of_another_test() -> Iterator[None]:
    """Forget the own rules for answers that the test has read: they are kept for a minute."""
    yield
    from quarantine import answer_rules

    answer_rules.forget()


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """Leave no language to the next test: a request in French stays active in its thread."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright, for the whole session."""
    if missing := _missing_for_the_browser():
        pytest.fail(missing)
    from playwright.sync_api import sync_playwright

    # Playwright keeps an event loop in this thread, where Django would refuse to touch the database.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, live_server):
    """A page of an own, cookieless context, on the live server; give it paths: `page.goto("/admin/")`."""
    context = browser.new_context(base_url=live_server.url, locale="en-GB")
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()
