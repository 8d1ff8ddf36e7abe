"""Taking a click back: exactly what it took away, for a day, and only if nothing newer has happened."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from landing.stopping import Choice
from profiles import consent
from profiles.consent import Evidence
from profiles.models import Profile, Service, Source
from profiles.tokens import OptOutLink
from tests.factories import ProfileFactory, ServiceFactory

from .visitors import consents, link, opt_out_url, visitor

pytestmark = pytest.mark.django_db

ADDRESS = "zoe@example.org"
CHOICES = [choice.name.lower() for choice in Choice]
PERSON = Evidence(source=Source.LANDING_PAGE)


@pytest.fixture
def service() -> Service:
    return ServiceFactory.create(validity_days=30)


@pytest.fixture
def person(service: Service) -> Profile:
    """Somebody subscribed ten days ago, whose twin has opted out of emails before."""
    person: Profile = ProfileFactory.create(email=ADDRESS)
    ProfileFactory.create(email=ADDRESS, blacklisted_email=True)
    consent.subscribe([person.pk], service, evidence=PERSON, at=timezone.now() - timedelta(days=10))
    return person


@pytest.fixture
def to(person: Profile, service: Service) -> OptOutLink:
    return link(ADDRESS, service, delivery=5)


def stop(to: OptOutLink, choice: str) -> str:
    """Press a button of the page; return the address of the undo button, empty when there is none."""
    return str(visitor().post(opt_out_url(to), {"choice": choice}).context["undo"])


def undo(url: str) -> str:
    return str(visitor().post(url).context["title"])


@pytest.mark.parametrize("choice", CHOICES)
def test_an_undo_restores_exactly_what_the_click_removed(to: OptOutLink, choice: str) -> None:
    before = consents()
    url = stop(to, choice)
    assert consents() != before
    assert undo(url) == "Undone."
    assert consents() == before


@pytest.mark.parametrize("choice", CHOICES)
def test_an_undo_also_works_when_nobody_has_the_address_any_more(person: Profile, to: OptOutLink, choice: str) -> None:
    Profile.objects.all().delete()
    before = consents()
    url = stop(to, choice)
    assert consents() != before
    assert undo(url) == "Undone."
    assert consents() == before


@pytest.mark.parametrize("choice", CHOICES)
def test_a_second_press_of_the_same_button_still_offers_to_undo_the_first(to: OptOutLink, choice: str) -> None:
    assert stop(to, choice) == stop(to, choice) != ""


def test_an_undo_pressed_twice_says_the_same_and_changes_nothing_more(to: OptOutLink) -> None:
    url = stop(to, "channel")
    assert undo(url) == "Undone."
    after = consents()
    assert undo(url) == "Undone."
    assert consents() == after


def test_opening_the_address_of_an_undo_takes_nothing_back(to: OptOutLink) -> None:
    url = stop(to, "service")
    after = consents()
    assert visitor().get(url).status_code == 200
    assert consents() == after


def test_an_undo_leaves_what_was_decided_after_it_alone(to: OptOutLink) -> None:
    first = stop(to, "service")
    stop(to, "channel")
    after = consents()
    assert undo(first) == "Nothing was changed"
    assert consents() == after


def test_an_opt_out_by_an_operator_in_the_meantime_stays(person: Profile, to: OptOutLink) -> None:
    url = stop(to, "service")
    consent.opt_out([person.pk], channel=None, evidence=Evidence(source=Source.OPERATOR), at=timezone.now())
    after = consents()
    assert undo(url) == "Nothing was changed"
    assert consents() == after


def test_an_undo_ends_after_a_day(to: OptOutLink) -> None:
    url = stop(to, "channel")
    after = consents()
    with time_machine.travel(timezone.now() + timedelta(days=1, minutes=1)):
        assert undo(url) == "This can no longer be undone here"
        assert consents() == after


def test_a_subscription_comes_back_with_the_end_that_it_had(person: Profile, to: OptOutLink) -> None:
    end = person.subscriptions.get().expires_at
    undo(stop(to, "service"))
    assert person.subscriptions.get().expires_at == end


def test_where_nothing_was_left_to_stop_there_is_nothing_to_undo(service: Service) -> None:
    ProfileFactory.create(email="off@example.org", blacklisted_email=True)
    assert stop(link("off@example.org", delivery=5), "channel") == ""
