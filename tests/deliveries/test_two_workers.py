"""Two workers at the same rows: each guard lets one of them act, and the other one finds nothing to do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F
from django.utils import timezone

from deliveries import analysis, confirmations, sending
from deliveries.messages import Envelope
from deliveries.models import AnalysisRun, Delivery, DeliveryLog, Lease, LogStatus
from deliveries.sending import leases
from deliveries.sending.results import Result
from deliveries.transports import Outcome
from profiles.models import OutboxMessage
from tests.deliveries.test_confirmations import posted
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory

pytestmark = pytest.mark.django_db
S = LogStatus


class Collector:
    """A transport that keeps what it is given, and lets something happen at the first message."""

    def __init__(self, meanwhile: Callable[[], Any] = lambda: None) -> None:
        self.sent: list[str] = []
        self.meanwhile = meanwhile

    def send(self, envelope: Envelope) -> Outcome:
        if not self.sent:
            self.meanwhile()
        self.sent.append(envelope.recipient)
        return Outcome(S.SENT, 250, "OK")

    def close(self) -> None: ...


def ready(people: int = 2, *, started: bool = True) -> Delivery:
    service = ServiceFactory.create()
    for _n in range(people):
        ProfileFactory.create(services=[service])
    delivery = DeliveryFactory.create(service=service)
    if started:
        analysis.start(delivery, at=timezone.now())
        analysis.work(delivery.pk)
        delivery.refresh_from_db()
        sending.start(delivery, at=timezone.now())
    return delivery


def somebody_else_takes_the_lease() -> None:
    Lease.objects.update(owner="other", expires_at=timezone.now() + settings.LEASE_TIME)


def test_an_analysis_taken_over_is_not_written_to_by_its_former_owner() -> None:
    delivery = ready(started=False)
    former = analysis.start(delivery, at=timezone.now())
    assert analysis._take(former, at=timezone.now())
    assert analysis.prepare(former)
    AnalysisRun.objects.update(expires_at=timezone.now())
    later = AnalysisRun.objects.get()
    assert analysis._take(later, at=timezone.now())
    assert not analysis.write_range(former)
    assert not DeliveryLog.objects.exists()
    assert analysis.write_range(later)


def test_a_worker_whose_lease_was_taken_claims_nothing_more() -> None:
    delivery = ready(3)
    collector = Collector(somebody_else_takes_the_lease)
    sending.work(delivery.pk, transport=collector)
    assert len(collector.sent) == 1
    assert Lease.objects.get().owner == "other"
    assert DeliveryLog.objects.filter(status=S.PENDING).count() == 2


def test_a_lease_that_somebody_takes_at_the_same_moment_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = ready()
    assert delivery.current_run

    def token(size: int) -> str:
        somebody_else_takes_the_lease()
        return "mine"

    monkeypatch.setattr(leases.secrets, "token_hex", token)
    assert sending.take_lease(delivery.current_run, at=timezone.now()) is None
    assert Lease.objects.get().owner == "other"


def test_a_row_that_somebody_has_sent_meanwhile_is_not_sent_again() -> None:
    delivery = ready()
    second = DeliveryLog.objects.order_by("profile")[1]

    def sent_by_somebody_else() -> None:
        DeliveryLog.objects.filter(pk=second.pk).update(status=S.SENT)
        Lease.objects.update(pending=F("pending") - 1, sent=F("sent") + 1)

    collector = Collector(sent_by_somebody_else)
    sending.work(delivery.pk, transport=collector)
    assert second.address not in collector.sent
    assert len(collector.sent) == 1


def test_the_late_outcome_of_a_first_try_does_not_decide_the_second() -> None:
    ready(1)
    Lease.objects.update(pending=0, handing_off=1)
    DeliveryLog.objects.update(status=S.HANDING_OFF, attempts=2)
    first_try = DeliveryLog.objects.get()
    first_try.attempts = 1
    sending.record(Lease.objects.get(), Result(first_try, S.FAILED, timezone.now(), "550 no"))
    assert DeliveryLog.objects.get().status == S.HANDING_OFF


def test_a_confirmation_that_somebody_has_sent_meanwhile_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    posted()
    compose = confirmations._compose

    def slow(message: OutboxMessage) -> Envelope:
        OutboxMessage.objects.update(state=OutboxMessage.State.SENT, finished_at=timezone.now() - timedelta(seconds=1))
        return compose(message)

    monkeypatch.setattr(confirmations, "_compose", slow)
    collector = Collector()
    assert confirmations.drain(transport=collector) == 0
    assert collector.sent == []
