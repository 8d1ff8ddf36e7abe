"""One page and one file show what a person agreed to, when, how, and what they were told."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from profiles import address_book, consent, seals
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Address, AuditEvent, Profile, Source
from quarantine.escalation import Target, quarantine
from quarantine.models import Cause
from tests.campaign.test_roles import somebody
from tests.factories import ProfileFactory, ServiceFactory, UserFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now()
BANNED = ("blacklist", "denylist", "quarantine", "quarantaine")


@pytest.fixture
def person() -> Profile:
    """Somebody who subscribed on a page, and whom an operator opted out after a complaint by phone."""
    profile = ProfileFactory(first_name="Zoé", last_name="Martin", email="zoe@example.org")
    service = ServiceFactory(name="garden", label={"en": "Garden news", "fr": "Nouvelles du jardin"})
    told = consent.cite("I would like to receive the garden news.", "en")
    shown = Evidence(
        source=Source.LANDING_PAGE, language="en", wording_id=told.pk, ip="192.0.2.7", user_agent="Firefox"
    )
    consent.subscribe([profile.pk], service, evidence=shown, at=NOW - timedelta(days=9))
    seals.seal(NOW)
    operator = Evidence(source=Source.OPERATOR, actor_name="lea", reason="Called us.")
    consent.opt_out([profile.pk], channel=Channel.EMAIL, evidence=operator, at=NOW)
    held = profile.addresses.get()
    quarantine([Target(Channel.EMAIL, bytes(held.digest))], cause=Cause.PERSON, evidence=operator, at=NOW)
    return profile


@pytest.fixture(autouse=True)
def _admin(client: Client) -> None:
    client.force_login(UserFactory(admin=True, username="root"))


def sheet(client: Client, person: Profile, language: str = "en") -> str:
    response = client.get(reverse("admin:person_consent", args=[person.pk]), {"lang": language})
    assert response.status_code == 200
    return str(response.content.decode())


def file(client: Client, person: Profile, language: str = "en") -> dict[str, Any]:
    response = client.post(reverse("admin:person_consent_file", args=[person.pk]), {"lang": language})
    assert response.status_code == 200
    assert response.headers["Content-Disposition"] == f'attachment; filename="consent-{person.pk}.json"'
    return dict(json.loads(response.content))


def test_the_page_says_who_when_how_and_what_they_were_told(client: Client, person: Profile) -> None:
    text = sheet(client, person)
    for told in (
        "Consent of Zoé Martin", "zoe@example.org", "Subscribed", "Garden news", "Public page", "192.0.2.7", "Firefox",
        "I would like to receive the garden news.", "Called us.", "lea", "closed by seal 1",
        "to be sealed within a minute", "No: does not wish to be contacted", "Address no longer used",
    ):  # fmt: skip
        assert told in text, told


def test_who_opted_out_of_everything_may_be_reached_on_no_channel(client: Client) -> None:
    person = ProfileFactory(email="zoe@example.org")
    operator = Evidence(source=Source.OPERATOR, reason="Called us.")
    consent.opt_out([person.pk], channel=None, evidence=operator, at=NOW)
    channels = file(client, person)["channels"]
    assert {channel["on"] for channel in channels} == {False}
    assert {channel["since"] for channel in channels} == {NOW.isoformat()}


def test_an_opt_out_that_was_kept_for_the_address_is_not_called_an_erasure(client: Client) -> None:
    held = Address.make(Channel.EMAIL, "gone@example.org")
    asked = Evidence(source=Source.LANDING_PAGE)
    consent.opt_out_address(Channel.EMAIL, bytes(held.digest), service=None, evidence=asked, at=NOW)
    person = ProfileFactory()
    address_book.change(person, saved=[Address.make(Channel.EMAIL, "gone@example.org")], at=NOW)
    text = sheet(client, person)
    assert "Earlier request for this address" in text
    assert "Erasure" not in text


def test_the_file_holds_the_same(client: Client, person: Profile) -> None:
    found = file(client, person)
    assert found["person"]["addresses"] == [{"channel": "Email", "address": "zoe@example.org"}]
    assert [line["act"] for line in found["history"]] == ["subscribe", "opt_out", "address_no_longer_used"]
    assert found["history"][0]["text_shown"] == "I would like to receive the garden news."
    assert [line["seal"] for line in found["history"]] == [1, None, None]
    assert {one["name"]: one["on"] for one in found["channels"]}["Email"] is False
    assert [(one["name"], one["on"]) for one in found["subscriptions"]] == [("Garden news", True)]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_it_can_be_handed_to_the_person(client: Client, person: Profile, language: str) -> None:
    for text in (sheet(client, person, language), json.dumps(file(client, person, language))):
        assert not [word for word in BANNED if word in text.lower()]
    assert ("Nouvelles du jardin" in sheet(client, person, language)) is (language == "fr")


def test_taking_the_file_leaves_a_trace_without_a_name(client: Client, person: Profile) -> None:
    file(client, person)
    event = AuditEvent.objects.get()
    assert (event.action, event.subject, event.subject_id, event.rows) == (
        "exported",
        "profiles.Profile",
        str(person.pk),
        3,
    )
    assert (event.actor_name, event.label) == ("root", str(person.pk))


def test_a_visit_takes_no_file_and_leaves_no_trace(client: Client, person: Profile) -> None:
    assert client.get(reverse("admin:person_consent_file", args=[person.pk])).status_code == 405
    sheet(client, person)
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 403), ("administrator", 200)])
def test_the_file_needs_its_own_permission(client: Client, person: Profile, role: str, status: int) -> None:
    client.force_login(somebody(role))
    url = reverse("admin:person_consent_file", args=[person.pk])
    assert client.post(url).status_code == status
    assert (url in sheet(client, person)) is (status == 200)


def test_a_long_story_takes_no_more_queries(
    client: Client, person: Profile, django_assert_max_num_queries: Any
) -> None:
    for day in range(40):
        at = NOW + timedelta(days=day)
        by = Evidence(source=Source.OPERATOR, reason="again")
        consent.opt_in([person.pk], channel=Channel.EMAIL, evidence=by, at=at)
        consent.opt_out([person.pk], channel=Channel.EMAIL, evidence=by, at=at)
    seals.seal(NOW)
    with django_assert_max_num_queries(18):
        sheet(client, person)
