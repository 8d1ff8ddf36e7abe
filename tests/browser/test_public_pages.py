"""People subscribe and leave, on real pages and by real mail: with and without scripts, and by the keyboard alone.

Every visit also checks what holds for all public pages: no cookie, no other host, no complaint of the browser, no
page wider than the screen, no word that people should not meet. See tests/browser/visiting.py.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deliveries import analysis, sending
from deliveries.models import Delivery
from landing import limits, publishing
from landing.models import Kind as PageKind
from landing.models import LandingPage, PendingOptIn
from profiles.channels import Channel
from profiles.models import Profile, Service, Subscription
from quarantine.models import Cause, QuarantinedAddress
from tests.browser.visiting import KINDS, Kind, Visit, link_in
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory
from tests.landing.visitors import published
from tests.sink import Sink

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Visitors = Callable[[Kind], Visit]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
two_kinds = pytest.mark.parametrize("kind", KINDS[:2], ids=str)


@pytest.fixture
def letter() -> Service:
    label = {"en": "Garden letter", "fr": "Lettre du jardin"}
    service: Service = ServiceFactory.create(name="letter", label=label, description={})
    return service


@pytest.fixture
def zoe(letter: Service) -> Profile:
    person: Profile = ProfileFactory.create(email="zoe@example.org", sms="+33639980001", services=[letter])
    return person


def sent(service: Service) -> Delivery:
    """Send a marketing message to the subscribers of a service."""
    delivery: Delivery = DeliveryFactory.create(service=service)
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    sending.start(delivery, at=timezone.now())
    sending.work(delivery.pk)
    return delivery


def name_of(letter: Service, visit: Visit) -> str:
    return str(letter.label[visit.kind.language])


def subscriptions() -> set[tuple[str, str]]:
    """Return who is subscribed to what."""
    rows = Subscription.objects.active(timezone.now()).filter(profile__addresses__channel=Channel.EMAIL)
    return set(rows.values_list("profile__addresses__key", "service__name"))


# -- joining -----------------------------------------------------------------------------------------------------------


@every_kind
def test_somebody_subscribes_by_form_message_and_button(visitors: Visitors, letter: Service, kind: Kind) -> None:
    visit = visitors(kind)
    visit.to(f"/p/{published(service=letter, title={}).slug}/")
    visit.write("Email address", "julie@example.org")
    visit.press("Subscribe")
    visit.reads("One last step: look in your mailbox")
    message = visit.mail()
    assert message["To"] == "julie@example.org"
    assert not Profile.objects.exists()

    visit.to(link_in(message, "c"))
    told = {"service": name_of(letter, visit), "brand": "Jardins"}
    visit.reads("You are about to subscribe to “%(service)s” by %(brand)s.", **told)
    assert "j•••@example.org" in visit.page.inner_text("main")
    assert not Profile.objects.exists(), "looking is not confirming"
    visit.press("Confirm")
    visit.reads("Confirmed.")
    assert subscriptions() == {("julie@example.org", "letter")}
    assert name_of(letter, visit) in visit.mail()["Subject"]
    visit.no_mail()


@two_kinds
def test_somebody_who_had_opted_out_is_told_so_and_gets_mail_again_by_their_own_tick(
    visitors: Visitors, letter: Service, zoe: Profile, kind: Kind
) -> None:
    Profile.objects.update(blacklisted_email=True)
    Subscription.objects.all().delete()
    visit = visitors(kind)
    visit.to(f"/p/{published(service=letter).slug}/")
    visit.write("Email address", "zoe@example.org")
    visit.press("Subscribe")
    visit.to(link_in(visit.mail(), "c"))
    visit.tick("I would like to receive emails from %(brand)s again.", brand="Jardins")
    visit.press("Confirm")
    visit.reads("Confirmed.")
    zoe.refresh_from_db()
    assert not zoe.blacklisted_email


@two_kinds
def test_a_mistake_is_told_at_its_field_has_the_focus_and_nothing_else_is_lost(
    visitors: Visitors, letter: Service, kind: Kind
) -> None:
    page = published(service=letter, agreement={"en": "I agree to the rules.", "fr": "J’accepte les règles."})
    visit = visitors(kind)
    visit.to(f"/p/{page.slug}/")
    visit.write("Email address", "julie@example")
    visit.page.fill("#first_name", "Julie")
    visit.tick(page.agreement[kind.language])
    visit.press("Subscribe")
    box = visit.page.locator("#address")
    assert box.evaluate("element => element === document.activeElement")
    assert box.get_attribute("aria-invalid") == "true"
    told = visit.page.locator(f"#{box.get_attribute('aria-describedby')}")
    below = told.bounding_box()["y"] - box.bounding_box()["y"] - box.bounding_box()["height"]
    assert told.inner_text()
    assert 0 <= below < 20
    assert visit.page.title().startswith(visit.words("To correct:"))
    assert (box.input_value(), visit.page.input_value("#first_name")) == ("julie@example", "Julie")
    assert visit.is_ticked(page.agreement[kind.language])
    assert visit.page.locator("[aria-invalid]").count() == 1
    visit.write("Email address", "julie@example.org")
    visit.press("Subscribe")
    visit.reads("One last step: look in your mailbox")
    visit.to(link_in(visit.mail(), "c"))
    visit.press("Confirm")
    visit.reads("Confirmed.")
    assert Profile.objects.get().first_name == "Julie"


def test_two_mistakes_are_both_told_and_the_first_has_the_focus(visitors: Visitors, letter: Service) -> None:
    page = published(service=letter, agreement={"en": "I agree to the rules."})
    visit = visitors(KINDS[2])
    visit.to(f"/p/{page.slug}/")
    visit.press("Subscribe")
    visit.reads("Write your address.")
    visit.reads("Tick this box if you agree. Without it, nothing can be sent to you.")
    assert visit.page.evaluate("document.activeElement.id") == "address"
    visit.no_mail()


def test_whoever_is_as_fast_as_a_robot_presses_once_more(visitors: Visitors, letter: Service, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "TOO_FAST", timedelta(hours=1))
    visit = visitors(KINDS[0])
    visit.to(f"/p/{published(service=letter).slug}/")
    visit.write("Email address", "julie@example.org")
    visit.press("Subscribe")
    visit.reads("Nothing has been sent yet: please check what you wrote, and press the button once more.")
    visit.no_mail()
    monkeypatch.setattr(limits, "TOO_FAST", timedelta(0))
    visit.press("Subscribe")
    visit.reads("One last step: look in your mailbox")
    visit.mail()


# -- leaving -----------------------------------------------------------------------------------------------------------


@every_kind
def test_two_actions_stop_a_newsletter_and_one_more_undoes_it(
    visitors: Visitors, letter: Service, zoe: Profile, sink: Sink, kind: Kind
) -> None:
    sent(letter)
    visit = visitors(kind)
    visit.to(link_in(sink.caught[-1].message, "o"))
    assert "z•••@example.org" in visit.page.inner_text("main")
    visit.press("Stop “%(service)s”", service=name_of(letter, visit))
    assert visit.actions == 2
    assert subscriptions() == set()
    visit.reads("Done.")
    visit.reads("A message already leaving may still arrive.")
    assert visit.page.locator("nav").count() == 0, "the link to the other language would lead away from the undo"
    visit.press("Undo")
    visit.reads("Undone.")
    assert subscriptions() == {("zoe@example.org", "letter")}


@two_kinds
def test_two_actions_stop_all_emails_and_three_all_there_is(
    visitors: Visitors, letter: Service, zoe: Profile, sink: Sink, kind: Kind
) -> None:
    sent(letter)
    visit = visitors(kind)
    link = link_in(sink.caught[-1].message, "o")
    visit.to(link)
    visit.press("Stop all emails from %(brand)s", brand="Jardins")
    assert visit.actions == 2
    zoe.refresh_from_db()
    assert (zoe.blacklisted_email, zoe.blacklisted) == (True, False)
    visit.follow("Back to the choices")
    visit.unfold("Other choices")
    visit.press("Never write to this address again")
    assert QuarantinedAddress.objects.get().cause == Cause.PERSON
    visit.press("Undo")
    visit.reads("Undone.")
    zoe.refresh_from_db()
    assert zoe.blacklisted_email, "only the last press is undone"
    assert not QuarantinedAddress.objects.blocking(timezone.now()).exists()


@every_kind
def test_everything_stops_by_a_typed_address(visitors: Visitors, zoe: Profile, kind: Kind) -> None:
    visit = visitors(kind)
    visit.to(f"/p/{LandingPage.objects.get(kind=PageKind.OPT_OUT_ALL).slug}/")
    visit.write("Email address", "ZOE@example.org")
    visit.press("Stop all messages")
    visit.reads("Done.")
    visit.no_mail()
    zoe.refresh_from_db()
    assert zoe.blacklisted


# -- what is over ------------------------------------------------------------------------------------------------------


@two_kinds
def test_a_confirmation_that_has_expired_says_so_and_leads_to_the_form(
    visitors: Visitors, letter: Service, kind: Kind
) -> None:
    visit = visitors(kind)
    visit.to(f"/p/{published(service=letter).slug}/")
    visit.write("Email address", "julie@example.org")
    visit.press("Subscribe")
    link = link_in(visit.mail(), "c")
    PendingOptIn.objects.update(expires_at=timezone.now())
    visit.to(link)
    visit.reads("This link is no longer valid")
    visit.follow("Ask for a new link")
    assert visit.has("button", "Subscribe")


@two_kinds
def test_a_damaged_link_says_so_and_leads_to_where_everything_stops(
    visitors: Visitors, letter: Service, zoe: Profile, sink: Sink, kind: Kind
) -> None:
    sent(letter)
    visit = visitors(kind)
    visit.to(link_in(sink.caught[-1].message, "o")[:-6])
    visit.reads("This page does not exist")
    visit.follow("Stop all messages")
    visit.write("Email address", "zoe@example.org")
    visit.press("Stop all messages")
    visit.reads("Done.")


@two_kinds
def test_a_closed_page_and_one_not_yet_open_say_so(visitors: Visitors, letter: Service, kind: Kind) -> None:
    closed, later = published(service=letter), published(opens_at=timezone.now() + timedelta(days=2))
    publishing.close(closed)
    visit = visitors(kind)
    visit.to(f"/p/{closed.slug}/")
    visit.reads("This page is closed")
    visit.to(f"/p/{later.slug}/")
    visit.reads("This page is not open yet")
    assert visit.page.locator("form").count() == 0
