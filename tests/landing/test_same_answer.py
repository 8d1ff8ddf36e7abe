"""No page tells who is known: every address gets the same answer, by the same queries; nobody is flooded."""

import re
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries import confirmations
from landing.models import Kind, OptOutRequest, PendingOptIn
from profiles import consent
from profiles.consent import Evidence
from profiles.models import OutboxMessage, Source
from quarantine.models import Cause
from tests.factories import ProfileFactory, QuarantinedAddressFactory
from tests.landing.visitors import digest_of, handle, mails, published, send, visitor
from tests.sink import running_sink

pytestmark = pytest.mark.django_db


@pytest.fixture
def kinds_of_address() -> list[str]:
    """An unknown, a known, an opted out and a quarantined address, all of one length."""
    ProfileFactory(email="known1@example.org")
    consent.opt_out(
        [ProfileFactory(email="optout@example.org").pk], channel=None, evidence=Evidence(source=Source.OPERATOR),
        at=timezone.now(),
    )  # fmt: skip
    QuarantinedAddressFactory(value="quaran@example.org", cause=Cause.BOUNCE)
    return ["nobody@example.org", "known1@example.org", "optout@example.org", "quaran@example.org"]


def fingerprint(response: HttpResponse) -> tuple[Any, ...]:
    return response.status_code, sorted(response.headers.items()), response.content


def shape(sql: str) -> str:
    """Return a query without what it is about: its values, and the names of savepoints."""
    return re.sub(r"VALUES.*|'[^']*'|\d+", "", re.sub(r'"s\d+_x\d+"', "", sql), flags=re.DOTALL)


@pytest.mark.parametrize("kind", Kind)
def test_unknown_known_opted_out_and_quarantined_addresses_get_the_same_answer(
    kind: Kind, kinds_of_address: list[str]
) -> None:
    page = published(kind)
    send(visitor(REMOTE_ADDR="192.0.2.99"), page, "before@example.org")  # the first form of an hour begins a count
    seen = set()
    for number, address in enumerate(kinds_of_address):
        with CaptureQueriesContext(connection) as queries:
            response = send(visitor(REMOTE_ADDR=f"192.0.2.{number}"), page, address)
        assert response.status_code == 200
        seen.add((repr(fingerprint(response)), tuple(shape(q["sql"]) for q in queries.captured_queries)))
    assert len(seen) == 1


def test_the_answer_says_how_to_reach_a_human() -> None:
    response = send(visitor(), published(), "a@example.org")
    assert "bonjour@jardins.example" in response.content.decode()


def test_a_quarantined_address_gets_no_confirmation(kinds_of_address: list[str]) -> None:
    send(visitor(), published(), "quaran@example.org")
    handle()
    with running_sink() as sink:
        confirmations.drain()
    assert sink.recipients == []


def test_an_address_left_out_at_its_owners_request_gets_the_confirmation_that_they_ask_for() -> None:
    QuarantinedAddressFactory(value="a@example.org", cause=Cause.PERSON)
    send(visitor(), published(), "a@example.org")
    handle()
    with running_sink() as sink:
        confirmations.drain()
    assert sink.recipients == ["a@example.org"]


def test_a_confirmation_can_not_be_unsubscribed_from() -> None:
    """It is no marketing: such a header on it would let a mail program opt people out of what they just asked for."""
    send(visitor(), published(), "a@example.org")
    handle()
    with running_sink() as sink:
        confirmations.drain()
    assert "List-Unsubscribe" not in sink.caught[0].message


def test_the_same_task_twice_does_everything_once() -> None:
    page, leaving = published(), published(Kind.OPT_OUT_ALL)
    ProfileFactory(email="b@example.org")
    send(visitor(), page, "a@example.org")
    send(visitor(), leaving, "b@example.org")
    assert handle() == 2
    assert handle() == 0
    assert OutboxMessage.objects.count() == 1
    assert not OptOutRequest.objects.filter(handled_at=None).exists()


@pytest.mark.parametrize(
    "fields", [{"after": 0.5}, {"after": 90_000}, {"company_site": "https://spam.example"}, {"stamp": "forged"}]
)
def test_what_robots_send_is_shown_again_and_stores_nothing(fields: dict[str, Any]) -> None:
    page = published()
    response = send(visitor(), page, "a@example.org", **fields)
    assert response.status_code == 422
    assert 'value="a@example.org"' in response.content.decode()
    assert not PendingOptIn.objects.exists()


def test_the_digest_stored_is_that_of_the_address() -> None:
    send(visitor(), published(), " Zoe@EXAMPLE.org ")
    assert bytes(PendingOptIn.objects.get().digest) == digest_of("zoe@example.org")
    assert mails("confirm_opt_in") == []
