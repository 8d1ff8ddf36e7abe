"""Somebody forwards a message: its new reader sees a masked address and the choices, and nothing about the person."""

import re
from datetime import date
from typing import Any

import pytest
from django.utils import timezone

from deliveries.models import Delivery
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile, Source
from quarantine.models import Cause
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory, add_address
from tests.landing.crawling import in_page
from tests.landing.visitors import link, one_click_url, opt_out_url, visitor

pytestmark = pytest.mark.django_db
ADDRESS = "josephine.dupont@example.org"
BY_OPERATOR = Evidence(source=Source.OPERATOR, reason="Asked by phone", actor_name="Paul Opérateur")
# What must stand on no page that a link of a message opens, in either language, in any case of letters.
PRIVATE = (
    "joséphine", "josephine", "dupont", "second@", "+336", "0639980", "1987", "87-", "lyon-private", "rue du secret",
    "wine club", "club du vin", "old letter", "ancienne lettre", "external-4711", "vip", "asked by phone", "paul",
    "spring sale",
)  # fmt: skip
MASKED = "j•••@example.org"


@pytest.fixture
def delivery() -> Delivery:
    label = {"en": "Garden news", "fr": "Nouvelles du jardin"}
    delivery: Delivery = DeliveryFactory.create(label="Spring sale VIP", service=ServiceFactory.create(label=label))
    return delivery


@pytest.fixture
def person(delivery: Delivery) -> Profile:
    """Somebody about whom there is much to tell."""
    other = ServiceFactory.create(label={"en": "Wine club", "fr": "Club du vin"})
    former = ServiceFactory.create(label={"en": "Old letter", "fr": "Ancienne lettre"})
    person: Profile = ProfileFactory.create(
        first_name="Joséphine", last_name="Dupont", birth_date=date(1987, 3, 2), external_id="external-4711",
        attributes={"segment": "VIP"}, email=ADDRESS, sms="+33639980001", services=[delivery.service, other],
    )  # fmt: skip
    add_address(person, Channel.EMAIL, "second@example.org")
    add_address(person, Channel.DIRECT_MAIL, "7 rue du Secret, 69001 Lyon-private")
    ProfileFactory.create(first_name="Paul", last_name="Other", email=ADDRESS, services=[former])
    at = timezone.now()
    consent.unsubscribe([person.pk], former, evidence=BY_OPERATOR, at=at)
    consent.opt_out([person.pk], channel=Channel.SMS, evidence=BY_OPERATOR, at=at)
    return person


def shown(html: str) -> str:
    """Return all that stands in a page, attributes and comments too, without its signed links."""
    return re.sub(r"/(o|u|undo|m|c)/[A-Za-z0-9_-]+", "", html).casefold()


def no_secret(html: str) -> None:
    assert [word for word in PRIVATE if word in shown(html)] == []
    # No list of services, no date, no number, no field that is filled in.
    assert not re.search(r"\b(19|20)\d\d\b", shown(html))
    assert "<input" not in html
    assert "<table" not in html


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("way", [opt_out_url, one_click_url])
def test_the_page_shows_a_masked_address_and_the_choices_only(
    way: Any, language: str, person: Profile, delivery: Delivery
) -> None:
    url = way(link(ADDRESS, delivery.service, delivery=delivery.pk, log=99))
    html = visitor(language).get(url).content.decode()
    no_secret(html)
    assert html.count(MASKED) == 1
    assert ("Garden news" if language == "en" else "Nouvelles du jardin") in html
    buttons = re.findall(r"<button[^>]*>([^<]*)</button>", html)
    assert len(buttons) == 5  # the service, the channel; everything, the address; a link to choose, by mail
    assert len(re.findall("<form", html)) == 1
    leading = {re.sub(r"[A-Za-z0-9_-]{30,}", "", target).split("?")[0] for target in in_page(html)}
    files = {"/static/landing/public.css", "/accent/1f6f5c.css", "data:,"}
    assert leading == {"", "/o//", "mailto:bonjour@jardins.example", *files}


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("choice", ["service", "channel", "everything", "address", "preferences"])
def test_what_comes_after_a_press_tells_no_more(
    choice: str, language: str, person: Profile, delivery: Delivery
) -> None:
    url = opt_out_url(link(ADDRESS, delivery.service, delivery=delivery.pk, log=99))
    done = visitor(language).post(url, {"choice": choice})
    assert done.status_code == 200
    no_secret(done.content.decode())
    if choice == "preferences":
        assert "/m/" not in done.content.decode(), "the link goes to the owner, and to nobody else"
        return
    undo = visitor(language).get(done.context["undo"]).content.decode()
    no_secret(undo)
    no_secret(visitor(language).post(done.context["undo"]).content.decode())


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_page_is_the_same_whatever_the_person_has_done_since(
    language: str, person: Profile, delivery: Delivery
) -> None:
    url = opt_out_url(link(ADDRESS, delivery.service, delivery=delivery.pk, log=99))

    def page() -> tuple[int, str]:
        response = visitor(language).get(url)
        return response.status_code, response.content.decode()

    before, at = page(), timezone.now()
    consent.unsubscribe([person.pk], delivery.service, evidence=BY_OPERATOR, at=at)
    assert page() == before
    consent.opt_out([person.pk], channel=None, evidence=BY_OPERATOR, at=at)
    assert page() == before
    QuarantinedAddressFactory.create(value=ADDRESS, cause=Cause.COMPLAINT)
    assert page() == before
    Profile.objects.filter(pk=person.pk).update(first_name="Another", last_name="Name")
    assert page() == before


def test_opening_it_tells_the_sites_beyond_it_nothing(person: Profile, delivery: Delivery) -> None:
    """A link on the page must not hand over the address of the page, which acts for the person."""
    response = visitor().get(opt_out_url(link(ADDRESS, delivery.service, delivery=delivery.pk, log=99)))
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert not [url for url in in_page(response.content.decode()) if url.startswith(("http", "//"))]


def test_nothing_of_the_person_stands_in_an_address(person: Profile, delivery: Delivery) -> None:
    html = visitor().get(one_click_url(link(ADDRESS, delivery.service, delivery=delivery.pk, log=99))).content.decode()
    for url in in_page(html):
        if not url.startswith("mailto:"):
            assert "@" not in url
            assert "%40" not in url
            assert not [word for word in PRIVATE if word in re.sub(r"[A-Za-z0-9_-]{30,}", "", url).casefold()]
