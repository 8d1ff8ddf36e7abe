"""Confirmations: drained from the outbox, through the same gate, with the one exception the person asks for."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deliveries import confirmations
from profiles import outbox
from profiles.channels import Channel
from profiles.digests import digest
from profiles.models import OutboxMessage
from profiles.outbox import Link
from profiles.tokens import Purpose
from quarantine.models import Cause
from tests.factories import BrandFactory, QuarantinedAddressFactory, ServiceFactory
from tests.sink import running_sink

pytestmark = pytest.mark.django_db
S = OutboxMessage.State
WHO = "julie@example.org"


def posted(**fields: Any) -> OutboxMessage:
    service = ServiceFactory.create()
    given = {
        "address": WHO, "digest": digest(Channel.EMAIL, WHO), "brand": BrandFactory.create(), "service": service,
        "language": "fr", "requested": True, "at": timezone.now() - timedelta(seconds=1),
        "link": Link(view="landing:confirm", purpose=Purpose.CONFIRM_OPT_IN, subject=7), **fields,
    }  # fmt: skip
    assert outbox.post("confirm_opt_in", **given)
    return OutboxMessage.objects.latest("pk")


def state(message: OutboxMessage) -> OutboxMessage.State:
    message.refresh_from_db()
    return S(message.state)


def test_a_confirmation_is_sent_once_in_the_language_of_the_person_without_unsubscribe_headers() -> None:
    message = posted()
    with running_sink() as sink:
        assert confirmations.drain() == 1
        assert confirmations.drain() == 0
    assert sink.recipients == [WHO]
    mail = sink.caught[0].message
    assert mail["List-Unsubscribe"] is None
    assert mail["Content-Language"] == "fr"
    assert "/c/" in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert state(message) == S.SENT


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("requested", [True, False])
def test_only_a_confirmation_asked_for_reaches_an_address_that_its_person_had_left_out(
    cause: Cause, requested: bool
) -> None:
    QuarantinedAddressFactory.create(value=WHO, cause=cause)
    message = posted(requested=requested)
    with running_sink() as sink:
        confirmations.drain()
    allowed = requested and cause == Cause.PERSON
    assert len(sink.caught) == allowed
    assert state(message) == (S.SENT if allowed else S.SUPPRESSED)


def test_the_same_message_is_posted_once() -> None:
    posted(dedupe="once")
    again = outbox.post(
        "confirm_opt_in", address=WHO, digest=digest(Channel.EMAIL, WHO), brand=BrandFactory.create(), language="fr",
        at=timezone.now(), dedupe="once",
    )  # fmt: skip
    assert not again
    assert OutboxMessage.objects.count() == 1


def test_a_temporary_refusal_is_tried_later_and_given_up_in_the_end() -> None:
    message = posted()
    with running_sink() as sink:
        sink.at_rcpt = lambda recipient: "450 Try later"
        for tried in range(1, confirmations.TRIES + 1):
            confirmations.drain()
            assert state(message) == (S.PENDING if tried < confirmations.TRIES else S.FAILED)
            assert confirmations.drain() == 0, "not before its time"
            OutboxMessage.objects.update(not_before=timezone.now())
    assert sink.caught == []


def test_one_whose_worker_died_is_in_doubt_and_not_sent_again() -> None:
    message = posted()
    OutboxMessage.objects.update(state=S.HANDING_OFF, claimed_at=timezone.now() - timedelta(minutes=6))
    with running_sink() as sink:
        confirmations.drain()
    assert sink.caught == []
    assert state(message) == S.IN_DOUBT
