"""Who did what with a delivery, and when."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from deliveries import analysis, scheduling, sending
from tests.deliveries.working import (
    Slow,
    analysed,
    draft,
    marketer,
    ok,
    only_noted,
    shown,
    url,
    words,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return marketer()


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    return only_noted(monkeypatch)


def test_the_history_says_who_did_what(client: Client) -> None:
    delivery = draft()
    client.post(url("do", delivery.pk, "analyse"))
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    client.post(url("schedule", delivery.pk), {"day": "2050-07-01", "hour": "09:30"})
    for step in ("unschedule", "send", "pause", "resume", "stop"):
        client.post(url("do", delivery.pk, step))
    sending.work(delivery.pk, transport=Slow(ok))
    page = shown(client, delivery)
    history = page[page.index('id="history"') :]
    told = [re.sub(r" \d+ \w+ 20\d\d, \d\d:\d\d(, )?(?=emilie|$)", " ", words(one)).strip() for one in
            re.findall(r"<li>(.*?)</li>", history, re.DOTALL)]  # fmt: skip
    assert told == [
        "Stopped",
        "Stopped for good emilie",
        "Taken up again emilie",
        "Paused emilie",
        "Sending began emilie",
        "Date taken away emilie",
        "Scheduled for 1 Jul 2050, 09:30 emilie",
        "Analysed: 3 addresses targeted emilie",
        "Written",
    ]


def test_a_start_by_itself_is_nobodys(client: Client) -> None:
    delivery = analysed(draft())
    now = timezone.now()
    scheduling.schedule(delivery, at=now + timedelta(minutes=1), now=now)
    scheduling.start_due(now + timedelta(minutes=2))
    analysis.work(delivery.pk)
    scheduling.start_due(now + timedelta(minutes=2))
    assert "Sending began by itself, as scheduled" in shown(client, delivery)
