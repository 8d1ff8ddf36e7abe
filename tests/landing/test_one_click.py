"""The unsubscribe button of mail programs (RFC 8058): every shape of request, at any time, changes what it says."""

import random
import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import confirmations
from profiles import address_book
from profiles.channels import Channel
from profiles.models import Act, Address, Confirmation, ConsentEvent, ErasedOptOut, Profile, Source, Subscription
from profiles.tokens import Purpose, seal
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory
from tests.landing.visitors import consents, link, one_click_url, visitor
from tests.sink import running_sink

pytestmark = pytest.mark.django_db
PART = 'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n'
MULTIPART = "multipart/form-data; boundary=---FormBoundaryjWmhtjORrn"
SHAPES = {
    "section 8.1, urlencoded": ("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click"),
    "urlencoded with a charset": ("application/x-www-form-urlencoded; charset=UTF-8", b"List-Unsubscribe=One-Click"),
    "section 8.3, its boundary corrected": (
        MULTIPART,
        f"-----FormBoundaryjWmhtjORrn\r\n{PART}-----FormBoundaryjWmhtjORrn--\r\n".encode(),
    ),
    "section 8.3 as printed, with the wrong boundary": (
        MULTIPART,
        f"---FormBoundaryjWmhtjORrn\r\n{PART}---FormBoundaryjWmhtjORrn--\r\n".encode(),
    ),
    "multipart without a boundary": ("multipart/form-data", b"List-Unsubscribe=One-Click"),
    "multipart that breaks off": (MULTIPART, b"-----FormBoundaryjWmhtjORrn\r\nContent-Dispo"),
    "empty": ("application/x-www-form-urlencoded", b""),
    "nothing at all": ("", b""),
    "text": ("text/plain", b"List-Unsubscribe=One-Click"),
    "JSON": ("application/json", b'{"List-Unsubscribe":"One-Click"}'),
    "an unknown charset": ("application/x-www-form-urlencoded; charset=klingon", b"List-Unsubscribe=One-Click"),
    "another charset": ("application/x-www-form-urlencoded; charset=utf-16", b"\xff\xfeL"),
    "bytes that are no text": ("application/x-www-form-urlencoded", bytes(range(256))),
    "five thousand fields": ("application/x-www-form-urlencoded", b"a=1&" * 5_000),
    "three megabytes": ("application/x-www-form-urlencoded", b"a=" + b"x" * 3_000_000),
}


def press(client: Client, url: str, shape: str = "section 8.1, urlencoded") -> int:
    content_type, body = SHAPES[shape]
    return client.generic("POST", url, body, content_type).status_code


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_request_unsubscribes(shape: str) -> None:
    service = ServiceFactory()
    profile = ProfileFactory(email="a@example.org", services=[service])
    content_type, body = SHAPES[shape]
    response = visitor().generic("POST", one_click_url(link("a@example.org", service)), body, content_type)
    assert response.status_code == 200
    assert not response.cookies
    assert "Location" not in response.headers
    assert not Subscription.objects.filter(profile=profile).exists()


def test_the_ledger_says_how_and_by_which_delivery() -> None:
    delivery = DeliveryFactory(label="Spring")
    ProfileFactory(email="a@example.org", services=[delivery.service])
    to = link("a@example.org", delivery.service, delivery=delivery.pk)
    visitor().post(one_click_url(to), headers={"user-agent": "Mail/1.0"}, REMOTE_ADDR="192.0.2.7")
    event = ConsentEvent.objects.get(act=Act.UNSUBSCRIBE)
    assert (event.source, event.delivery_id, event.delivery_name) == (Source.ONE_CLICK, delivery.pk, "Spring")
    assert (event.ip, event.user_agent) == ("192.0.2.7", "Mail/1.0")


def test_pressing_again_changes_nothing_more() -> None:
    service = ServiceFactory()
    ProfileFactory(email="a@example.org", services=[service])
    url = one_click_url(link("a@example.org", service))
    assert press(visitor(), url) == 200
    before, events = consents(), ConsentEvent.objects.count()
    assert press(visitor(), url) == 200
    assert (consents(), ConsentEvent.objects.count()) == (before, events)


def test_everybody_who_has_the_address_leaves_and_nobody_else() -> None:
    service = ServiceFactory()
    mine = [ProfileFactory(email="a@example.org", services=[service]) for _n in range(2)]
    other = ProfileFactory(email="b@example.org", services=[service])
    press(visitor(), one_click_url(link("A@EXAMPLE.org".casefold(), service)))
    assert list(Subscription.objects.values_list("profile_id", flat=True)) == [other.pk]
    assert len(mine) == 2


def test_without_a_service_it_stops_the_channel() -> None:
    profile = ProfileFactory(email="a@example.org")
    press(visitor(), one_click_url(link("a@example.org")))
    profile.refresh_from_db()
    assert (profile.blacklisted_email, profile.blacklisted, profile.blacklisted_sms) == (True, False, False)


def test_a_service_that_is_gone_stops_the_channel() -> None:
    profile, service = ProfileFactory(email="a@example.org"), ServiceFactory()
    url = one_click_url(link("a@example.org", service, delivery=99, log=99))
    service.delete()
    assert press(visitor(), url) == 200
    profile.refresh_from_db()
    assert profile.blacklisted_email


def test_an_opt_out_after_the_profile_is_gone_applies_to_the_next_one() -> None:
    service = ServiceFactory()
    profile = ProfileFactory(email="a@example.org", services=[service])
    url = one_click_url(link("a@example.org"))
    profile.subscriptions.all().delete()
    profile.delete()
    assert press(visitor(), url) == 200
    assert press(visitor(), url) == 200
    assert ErasedOptOut.objects.count() == 1
    again = Profile.objects.create(first_name="Zoé")
    address_book.change(again, saved=[Address.make(Channel.EMAIL, "a@example.org")], at=timezone.now())
    again.refresh_from_db()
    assert again.blacklisted_email


def test_a_person_who_opens_the_address_sees_the_choices_and_stays_subscribed() -> None:
    service = ServiceFactory()
    ProfileFactory(email="a@example.org", services=[service])
    response = visitor().get(one_click_url(link("a@example.org", service)))
    assert response.status_code == 200
    assert b"a\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2@example.org" in response.content
    assert Subscription.objects.count() == 1


def test_damaged_links_are_not_found_and_change_nothing() -> None:
    service = ServiceFactory()
    ProfileFactory(email="a@example.org", services=[service])
    url, draw, client = one_click_url(link("a@example.org", service)), random.Random(8), visitor()
    for _n in range(100):
        place = draw.randrange(3, len(url))
        damaged = url[:place] + ("A" if url[place] != "A" else "B") + url[place + 1 :]
        assert press(client, damaged) == 404
    assert press(client, url + "/") == 404
    assert Subscription.objects.count() == 1


def test_no_link_opens_the_page_of_another_purpose() -> None:
    payload = link("a@example.org").pack()
    views = {
        "landing:opt_out": Purpose.OPT_OUT_PAGE,
        "landing:one_click": Purpose.ONE_CLICK,
        "landing:confirm": Purpose.CONFIRM_OPT_IN,
        "landing:undo": Purpose.UNDO,
    }
    client = visitor()
    for view, own in views.items():
        for purpose in Purpose:
            if purpose == own:
                continue
            url = reverse(view, args=[seal(purpose, payload)])
            assert (client.get(url).status_code, client.post(url).status_code) == (404, 404), (view, purpose)
    assert not ConsentEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_answer_comes_after_the_commit() -> None:
    """Another connection sees the opt-out as soon as the answer is there."""
    service = ServiceFactory()
    ProfileFactory(email="a@example.org", services=[service])
    assert press(visitor(), one_click_url(link("a@example.org", service))) == 200
    seen: list[int] = []

    def look() -> None:
        seen.append(Subscription.objects.count())
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [0]


@pytest.mark.parametrize(("spoken", "subject"), [("fr", "Nouvelles"), ("en", "News")])
def test_the_message_about_leaving_is_in_the_persons_language(spoken: str, subject: str) -> None:
    """The program that presses says nothing about the language of its user, or its own."""
    service = ServiceFactory.create(on_unsubscribe=Confirmation.DEFAULT)
    ProfileFactory.create(email="a@example.org", language=spoken, services=[service])
    assert visitor("de").post(one_click_url(link("a@example.org", service))).status_code == 200
    with running_sink() as sink:
        confirmations.drain()
    assert subject in str(sink.caught[0].message["Subject"])


def test_pressing_takes_few_queries(django_assert_max_num_queries: Any) -> None:
    delivery = DeliveryFactory.create()
    ProfileFactory.create(email="a@example.org", services=[delivery.service])
    with django_assert_max_num_queries(10):  # three of them are the transaction's
        visitor().post(one_click_url(link("a@example.org", delivery.service, delivery=delivery.pk)))
