"""No page tells who is known: every address gets the same answer, by the same queries; nobody is flooded."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deliveries import confirmations
from landing.forms import EMBEDDED
from landing.models import Kind, LandingPage, OptOutRequest, PendingOptIn
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


def shape(sql: str) -> str:
    """Return a query without what it is about: its values, and the names of savepoints."""
    return re.sub(r"VALUES.*|'[^']*'|\d+", "", re.sub(r'"s\d+_x\d+"', "", sql), flags=re.DOTALL)


def told(page: LandingPage, address: str, *, ip: str, language: str, **fields: str) -> tuple[Any, ...]:
    """Return all that a visitor can learn by sending a form: the answer without what they typed, and its queries."""
    with CaptureQueriesContext(connection) as queries:
        response = send(visitor(language, REMOTE_ADDR=ip), page, address, **fields)
    assert response.status_code == 200
    assert not response.cookies
    content = response.content.decode().replace(address, "")
    content = re.sub(r'name="stamp" value="[^"]+"', "", content)
    asked = [shape(query["sql"]) for query in queries.captured_queries]
    return sorted(response.headers.items()), content, len(asked), tuple(asked)


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("kind", Kind)
def test_unknown_known_opted_out_and_quarantined_addresses_get_the_same_answer(
    kind: Kind, language: str, kinds_of_address: list[str]
) -> None:
    page = published(kind)
    told(page, "before@example.org", ip="192.0.2.99", language=language)  # the first form of an hour begins a count
    answers = [
        told(page, address, ip=f"192.0.2.{number}", language=language)
        for number, address in enumerate(kinds_of_address)
    ]
    assert [answer == answers[0] for answer in answers] == [True] * 4
    handle()
    # Sent again by everybody, from one network, when the task has done what was asked.
    again = [told(page, address, ip="192.0.2.99", language=language) for address in kinds_of_address]
    assert [answer == again[0] for answer in again] == [True] * 4
    assert again[0][:2] == answers[0][:2]


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("kind", Kind)
def test_a_form_on_another_site_gives_the_same_answer_for_all_addresses(
    kind: Kind, language: str, kinds_of_address: list[str]
) -> None:
    page, sent_on = published(kind), {EMBEDDED: "1"}
    answers = [told(page, address, ip="192.0.2.1", language=language, **sent_on) for address in kinds_of_address]
    assert [answer == answers[0] for answer in answers] == [True] * 4


@pytest.mark.parametrize("kind", Kind)
def test_looking_at_a_page_tells_nothing_about_an_address_in_its_query(kind: Kind, kinds_of_address: list[str]) -> None:
    url = reverse("landing:page", args=[published(kind).slug])
    for method in ("get", "head", "options"):
        answers = []
        for address in kinds_of_address:
            typed = quote(address)
            response = getattr(visitor(), method)(f"{url}?address={typed}")
            content = re.sub(r'name="stamp" value="[^"]+"', "", response.content.decode()).replace(typed, "")
            headers = {name: text for name, text in response.headers.items() if name != "Content-Length"}
            answers.append((response.status_code, headers, content))
        assert [answer == answers[0] for answer in answers] == [True] * 4, method


@pytest.mark.parametrize("kind", [Kind.OPT_IN, Kind.SUBSCRIPTION])
def test_without_confirmation_the_answer_is_the_same_too(kind: Kind, kinds_of_address: list[str]) -> None:
    page = published(kind)
    assert page.published
    page.published.double_opt_in = False
    page.published.save()
    told(page, "before@example.org", ip="192.0.2.99", language="en")
    answers = [told(page, address, ip="192.0.2.1", language="en") for address in kinds_of_address]
    handle()
    answers += [told(page, address, ip="192.0.2.1", language="en") for address in kinds_of_address]
    assert len({(repr(headers), content) for headers, content, _number, _asked in answers}) == 1
    assert len({number for *_rest, number, _asked in answers[1:4] + answers[5:]}) <= 2, "the counts begin, then go on"


def test_what_cannot_be_read_or_is_sent_too_soon_says_nothing_either(kinds_of_address: list[str]) -> None:
    page = published()
    for fields in ({"after": 0.1}, {"company_site": "x"}, {"stamp": ""}):
        answers = []
        for address in kinds_of_address:
            response = send(visitor(), page, address, **fields)
            content = re.sub(r'name="stamp" value="[^"]+"', "", response.content.decode()).replace(address, "")
            answers.append((response.status_code, content))
        assert [answer == answers[0] for answer in answers] == [True] * 4
    assert not PendingOptIn.objects.exists()


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
