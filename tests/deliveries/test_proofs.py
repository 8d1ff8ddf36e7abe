"""Tests of a message: to a list of addresses, marked as tests, through the same gate."""

from datetime import timedelta

import pytest
from django.utils import timezone

from deliveries import proofs, tasks
from deliveries.models import Delivery, LogStatus, Proof, Reason
from quarantine.models import Cause
from tests.factories import DeliveryFactory, QuarantinedAddressFactory, UserFactory
from tests.sink import running_sink

pytestmark = pytest.mark.django_db
ME = "me@jardins.example"


def asked(delivery: Delivery, language: str = "fr") -> Proof:
    return proofs.ask(delivery, ME, language=language, by=UserFactory.create(), at=timezone.now())


def test_a_test_is_marked_rendered_and_can_be_left() -> None:
    proof = asked(DeliveryFactory.create())
    with running_sink() as sink:
        proofs.send(proof.pk)
        proofs.send(proof.pk)
    assert sink.recipients == [ME]
    message = sink.caught[0].message
    assert message["Subject"].startswith("[Test] Bonjour")
    assert message["List-Unsubscribe-Post"]
    proof.refresh_from_db()
    assert (proof.status, proof.answer) == (LogStatus.SENT, "250 OK")


@pytest.mark.parametrize("cause", list(Cause))
def test_an_address_left_out_gets_no_test(cause: Cause) -> None:
    QuarantinedAddressFactory.create(value=ME, cause=cause)
    proof = asked(DeliveryFactory.create())
    with running_sink() as sink:
        proofs.send(proof.pk)
    proof.refresh_from_db()
    assert sink.caught == []
    assert proof.status == LogStatus.SUPPRESSED
    assert Reason(proof.reason).name == f"QUARANTINED_{cause.name}"


def test_a_test_that_is_refused_says_what_was_answered() -> None:
    proof = asked(DeliveryFactory.create())
    with running_sink() as sink:
        sink.at_rcpt = lambda recipient: "450 4.2.0 Try later"
        proofs.send(proof.pk)
    proof.refresh_from_db()
    assert (proof.status, proof.answer) == (LogStatus.FAILED, "450 4.2.0 Try later")


def test_a_test_of_a_message_that_cannot_be_rendered_says_why() -> None:
    delivery = DeliveryFactory.create()
    delivery.contents.update(html="{% if %}")
    proof = asked(delivery)
    with running_sink() as sink:
        proofs.send(proof.pk)
    proof.refresh_from_db()
    assert sink.caught == []
    assert proof.status == LogStatus.FAILED
    assert proof.answer.startswith("HTML")


def test_a_test_whose_ring_was_lost_is_rung_for_and_one_whose_worker_died_is_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost, died = asked(DeliveryFactory.create()), asked(DeliveryFactory.create())
    Proof.objects.filter(pk=died.pk).update(status=LogStatus.HANDING_OFF)
    assert proofs.to_ring_again(timezone.now()) == []
    Proof.objects.update(created_at=timezone.now() - timedelta(minutes=3))
    rung: list[int] = []
    monkeypatch.setattr(tasks.send_proof, "delay", rung.append)
    tasks.ring_again()
    died.refresh_from_db()
    assert rung == [lost.pk]
    assert died.status == LogStatus.IN_DOUBT
