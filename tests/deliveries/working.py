"""What the tests of a delivery's pages share: a marketer, deliveries at each step, and reading what is shown."""

import re
import time
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from deliveries import analysis, sending
from deliveries.messages import Envelope
from deliveries.models import (
    Delivery,
    LogStatus,
)
from deliveries.transports import Outcome
from profiles.consent import Evidence
from profiles.models import Source
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory, UserFactory

S = LogStatus
BY = Evidence(source=Source.OPERATOR, actor_name="pierre", reason="asked")


class Slow:
    """A transport that takes its time, and longer where it refuses."""

    def __init__(self, outcome: Callable[[str], Outcome], *, refusing: float = 0.03) -> None:
        self.outcome, self.refusing = outcome, refusing

    def send(self, envelope: Envelope) -> Outcome:
        found = self.outcome(envelope.recipient)
        if found.status != S.SENT:
            time.sleep(self.refusing)
        return found

    def close(self) -> None: ...


def ok(recipient: str) -> Outcome:
    return Outcome(S.SENT, 250, "OK")


def marketer() -> Client:
    """Return the browser of somebody who may do all, on the clock of Paris."""
    client = Client()
    user = UserFactory.create(admin=True, email="me@example.org", username="emilie", time_zone="Europe/Paris")
    client.force_login(user)
    return client


def only_noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Have tasks noted instead of rung, as (name, delivery); return the notes."""
    from deliveries import tasks

    calls: list[tuple[str, int]] = []
    for name in ("analyse_delivery", "send_delivery", "send_proof"):
        monkeypatch.setattr(getattr(tasks, name), "delay", lambda pk, name=name: calls.append((name, pk)))
    return calls


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:deliveries_delivery_{name}", args=args)


def draft(people: int = 3, **fields: Any) -> Delivery:
    service = ServiceFactory.create(label={"en": "Garden news"})
    for _n in range(people):
        ProfileFactory.create(services=[service])
    return DeliveryFactory.create(service=service, **fields)


def analysed(delivery: Delivery) -> Delivery:
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def sent(delivery: Delivery, transport: Any = None) -> Delivery:
    sending.start(analysed(delivery), at=timezone.now())
    sending.work(delivery.pk, transport=transport or Slow(ok))
    delivery.refresh_from_db()
    return delivery


def shown(client: Client, delivery: Delivery, page: str = "workspace") -> str:
    return str(client.get(url(page, delivery.pk)).content.decode())


def words(html: str) -> str:
    return " ".join(unescape(strip_tags(html)).split())


def rail(client: Client, delivery: Delivery) -> dict[str, tuple[str, str]]:
    """Return step → (where it stands, its fact), as they are read."""
    found = re.findall(r'<li class="c-rail-step c-rail-\w+">(.*?)</li>', shown(client, delivery), re.DOTALL)
    rows = [[words(part) for part in re.findall(r"<(?:a|span) class=.*?(?:</a>|</span>\n)", step)] for step in found]
    return {name.lstrip("○✓!…·– "): (word, fact) for name, word, fact in rows}


def buttons(client: Client, delivery: Delivery) -> list[str]:
    page = shown(client, delivery)
    section = page[page.index('id="now"') : page.index('id="part-now"')]
    return [words(label) for label in re.findall(r'<(?:button|a) class="c-button[^>]*>(.*?)</', section)]
