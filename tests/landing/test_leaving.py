"""The page that a message links to: plain choices that act at once, and can be taken back for a day."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.utils import timezone

from landing.models import Kind, OptOutRequest
from profiles import address_book, consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import (
    Act,
    Address,
    Confirmation,
    ConsentEvent,
    ErasedOptOut,
    Profile,
    Service,
    Source,
    Subscription,
    Wording,
)
from quarantine.models import Cause, QuarantinedAddress
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory, add_address
from tests.landing.visitors import (
    changed,
    consents,
    handle,
    link,
    mails,
    opt_out_url,
    published,
    send,
    tables,
    visitor,
)

pytestmark = pytest.mark.django_db
CHOICES = ("service", "channel", "everything", "address")
OPERATOR = Evidence(source=Source.OPERATOR, reason="Asked by phone")


@pytest.fixture
def service() -> Service:
    return ServiceFactory(label={"en": "Garden news", "fr": "Nouvelles du jardin"}, validity_days=100)


@pytest.fixture
def people(service: Service) -> list[Profile]:
    """Two records of one person, one of which had stopped emails long ago, and a stranger."""
    twin = ProfileFactory(email="zoe@example.org", services=[ServiceFactory()])
    consent.opt_out([twin.pk], channel=Channel.EMAIL, evidence=OPERATOR, at=timezone.now() - timedelta(days=9))
    zoe = ProfileFactory(email="Zoe@example.org", sms="+33639980001")
    stranger = ProfileFactory(email="b@example.org")
    begun = timezone.now() - timedelta(days=30)
    consent.subscribe([zoe.pk, stranger.pk], service, evidence=OPERATOR, at=begun)
    return [twin, zoe, stranger]


def press(url: str, choice: str) -> HttpResponse:
    return visitor(REMOTE_ADDR="192.0.2.7").post(url, {"choice": choice}, headers={"user-agent": "Browser/1"})


def undo_url(response: HttpResponse) -> str:
    found = re.search(r'action="(/undo/[^"]+)"', response.content.decode())
    assert found is not None
    return found[1].replace("&amp;", "&")


def test_the_page_offers_two_plain_choices_and_nothing_to_tick_or_answer(
    service: Service, people: list[Profile]
) -> None:
    html = visitor().get(opt_out_url(link("zoe@example.org", service))).content.decode()
    in_front = html.split("<details")[0]
    buttons = re.findall(r"<button([^>]*)>([^<]*)</button>", in_front)
    assert [text for _attributes, text in buttons] == ["Stop “Garden news”", "Stop all emails from Jardins"]
    assert len({re.sub(r'value="\w+"', "", attributes) for attributes, _text in buttons}) == 1, "of equal weight"
    for field in ("<select", "<textarea", "checkbox", "radio", 'type="text"'):
        assert field not in html
    assert "<details open" not in html
    assert "z•••@" in html.lower()
    for private in ("Zoé", "Martin", "zoe@example.org", "Zoe@example.org", "b@example.org"):
        assert private not in html


def test_stopping_the_service_ends_that_subscription_only(service: Service, people: list[Profile]) -> None:
    other = ServiceFactory()
    consent.subscribe([people[1].pk], other, evidence=OPERATOR, at=timezone.now())
    response = press(opt_out_url(link("zoe@example.org", service)), "service")
    assert response.status_code == 200
    assert "A message already leaving may still arrive." in response.content.decode()
    assert list(people[1].subscriptions.values_list("service", flat=True)) == [other.pk]
    assert people[2].subscriptions.count() == 1
    people[1].refresh_from_db()
    assert not people[1].blacklisted_email


@pytest.mark.parametrize(
    ("choice", "flag", "others"),
    [
        ("channel", "blacklisted_email", ("blacklisted", "blacklisted_sms")),
        ("everything", "blacklisted", ("blacklisted_sms",)),
    ],
)
def test_a_wider_choice_touches_every_profile_that_has_the_address(
    service: Service, people: list[Profile], choice: str, flag: str, others: tuple[str, ...]
) -> None:
    press(opt_out_url(link("zoe@example.org", service)), choice)
    for profile in people:
        profile.refresh_from_db()
    assert [getattr(profile, flag) for profile in people] == [True, True, False]
    assert not any(getattr(profile, other) for profile in people for other in others)
    assert not QuarantinedAddress.objects.exists()


def test_never_again_leaves_the_address_out_for_whoever_has_it(service: Service, people: list[Profile]) -> None:
    press(opt_out_url(link("zoe@example.org", service)), "address")
    entry = QuarantinedAddress.objects.blocking(timezone.now()).get()
    assert (entry.cause, (entry.value or "").casefold()) == (Cause.PERSON, "zoe@example.org")
    people[1].refresh_from_db()
    assert people[1].blacklisted_email


def test_the_ledger_says_what_was_pressed_where_and_on_which_delivery(people: list[Profile]) -> None:
    delivery = DeliveryFactory(label="Spring")
    press(opt_out_url(link("zoe@example.org", delivery.service, delivery=delivery.pk)), "channel")
    event = ConsentEvent.objects.filter(act=Act.OPT_OUT).latest("pk")
    assert (event.source, event.ip, event.user_agent) == (Source.LANDING_PAGE, "192.0.2.7", "Browser/1")
    assert (event.delivery_id, event.delivery_name, event.language) == (delivery.pk, "Spring", "en")
    assert "Stop all emails from Jardins" in Wording.objects.get(pk=event.wording_id).text


def test_pressing_again_changes_nothing_more(service: Service, people: list[Profile]) -> None:
    url = opt_out_url(link("zoe@example.org", service))
    for choice in CHOICES:
        press(url, choice)
        before, events = consents(), ConsentEvent.objects.count()
        assert press(url, choice).status_code == 200
        assert (consents(), ConsentEvent.objects.count()) == (before, events)


@pytest.mark.parametrize("choice", ["", "nonsense", "SERVICE", "\x00", "x" * 10_000])
def test_what_is_no_choice_shows_the_choices_again(service: Service, people: list[Profile], choice: str) -> None:
    before = tables()
    response = press(opt_out_url(link("zoe@example.org", service)), choice)
    assert response.status_code == 200
    assert "Stop all emails from Jardins" in response.content.decode()
    assert changed(before) == set()


def test_it_works_when_delivery_service_log_and_profile_are_gone(people: list[Profile]) -> None:
    service = ServiceFactory()
    url = opt_out_url(link("gone@example.org", service, delivery=999, log=999))
    service.delete()
    page = visitor().get(url).content.decode()
    assert "Stop all emails from" in page
    assert "•••" not in page
    for _again in range(2):
        assert press(url, "channel").status_code == 200
    kept = ErasedOptOut.objects.get()
    assert kept.channel == Channel.EMAIL
    back = Profile.objects.create()
    address_book.change(back, saved=[Address.make(Channel.EMAIL, "gone@example.org")], at=timezone.now())
    back.refresh_from_db()
    assert back.blacklisted_email


def test_a_damaged_link_is_answered_kindly_with_the_page_that_stops_everything() -> None:
    response = visitor().get(opt_out_url(link("zoe@example.org")).replace("/o/", "/o/A"))
    assert response.status_code == 404
    assert "/p/stop/" in response.content.decode()


@pytest.mark.parametrize("choice", CHOICES)
def test_undo_works_for_an_address_that_nobody_has(service: Service, choice: str) -> None:
    before = consents()
    done = press(opt_out_url(link("nobody@example.org", service)), choice)
    assert consents() != before
    visitor().post(undo_url(done))
    assert consents() == before


def test_undo_does_not_lift_what_was_there_before_the_click(service: Service, people: list[Profile]) -> None:
    QuarantinedAddressFactory(value="zoe@example.org", cause=Cause.COMPLAINT)
    before = consents()
    done = press(opt_out_url(link("zoe@example.org", service)), "address")
    visitor().post(undo_url(done))
    assert consents() == before
    people[0].refresh_from_db()
    assert people[0].blacklisted_email


# -- typed by hand on a public page ------------------------------------------------------------------------------


def type_it(kind: Kind, address: str, **fields: Any) -> None:
    assert send(visitor(), published(kind, **fields), address).status_code == 200
    handle()


def test_a_typed_opt_out_stops_everything_for_all_who_have_the_address(people: list[Profile]) -> None:
    type_it(Kind.OPT_OUT_ALL, " ZOE@example.org ")
    for profile in people:
        profile.refresh_from_db()
    assert [profile.blacklisted for profile in people] == [True, True, False]


def test_a_typed_unsubscription_leaves_the_service_only(service: Service, people: list[Profile]) -> None:
    type_it(Kind.UNSUBSCRIPTION, "zoe@example.org", service=service)
    assert list(Subscription.objects.filter(service=service).values_list("profile", flat=True)) == [people[2].pk]
    people[1].refresh_from_db()
    assert not people[1].blacklisted_email


def test_a_typed_opt_out_of_an_unknown_address_is_kept_for_its_next_owner() -> None:
    type_it(Kind.OPT_OUT_ALL, "later@example.org")
    profile = ProfileFactory(email="")
    address_book.change(profile, saved=[Address.make(Channel.EMAIL, "later@example.org")], at=timezone.now())
    profile.refresh_from_db()
    assert profile.blacklisted


def test_a_typed_opt_out_beats_a_subscription_that_is_not_confirmed_yet(people: list[Profile]) -> None:
    """Nothing of a pending request is undone, and nothing of it is lifted either."""
    page = published()
    send(visitor(), page, "zoe@example.org")
    type_it(Kind.OPT_OUT_ALL, "zoe@example.org")
    people[1].refresh_from_db()
    assert people[1].blacklisted
    assert OptOutRequest.objects.exclude(handled_at=None).count() == 1


@pytest.mark.parametrize(("wanted", "count"), [(Confirmation.DEFAULT, 1), (Confirmation.NONE, 0)])
def test_leaving_is_confirmed_by_a_message_where_the_service_wants_one(wanted: str, count: int) -> None:
    service = ServiceFactory(on_unsubscribe=wanted)
    ProfileFactory(email="a@example.org", services=[service])
    type_it(Kind.UNSUBSCRIPTION, "A@example.org", service=service)
    type_it(Kind.UNSUBSCRIPTION, "A@example.org", service=service)
    assert [mail.address for mail in mails("unsubscribed")] == ["a@example.org"] * count


def test_a_second_address_of_a_person_stops_them_as_well(service: Service) -> None:
    profile = ProfileFactory(email="first@example.org", services=[service])
    add_address(profile, Channel.EMAIL, "second@example.org")
    press(opt_out_url(link("second@example.org", service)), "service")
    assert not profile.subscriptions.exists()
