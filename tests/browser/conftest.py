"""Visitors in the browser, and a mail server that catches what is sent to them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from landing import limits
from tests.browser.visiting import DESKTOP, PHONE, Kind, Visit
from tests.sink import Sink, running_sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running_sink() as running:
        yield running


@pytest.fixture
def visitors(
    browser: Any, live_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, sink: Sink
) -> Iterator[Callable[..., Visit]]:
    """Give visitors, each with a browser of their own; at the end, check that no page did what none may do."""
    settings.PUBLIC_URL = live_server.url  # where the links of messages lead
    monkeypatch.setattr(limits, "TOO_FAST", timedelta(0))  # these write faster than people do
    visits: list[Visit] = []

    def visitor(kind: Kind, **options: Any) -> Visit:
        context = browser.new_context(
            base_url=live_server.url,
            locale="fr-FR" if kind.language == "fr" else "en-GB",
            java_script_enabled=kind.scripts,
            viewport=PHONE if kind.phone else DESKTOP,
            has_touch=kind.phone,
            **options,
        )
        context.set_default_timeout(10_000)
        visits.append(Visit(context, kind, live_server.url, sink))
        return visits[-1]

    yield visitor
    for visit in visits:
        visit.leave()
