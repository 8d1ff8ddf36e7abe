"""Thousands of forms about one victim: one mail, a handful of rows, and the same answer each time.

Each form takes the view some 2 ms, most of it reading the page and its form, and a tenth counting. So the suite sends
two thousand of them, and counts the ten thousand; `FLOOD=10000` sends them all.
"""

import os
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone

from deliveries import confirmations
from landing import limits
from landing.limits import Room
from landing.models import Kind, LandingPage, OptOutRequest, PendingOptIn, PreferencesRequest
from landing.tasks import handle_requests
from landing.views.pages import page as view
from profiles.models import Confirmation, ConsentEvent, OutboxMessage, Profile, Subscription
from tests.factories import ProfileFactory, ServiceFactory
from tests.landing.visitors import digest_of, published
from tests.sink import running_sink

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
VICTIM = "victim@example.org"
FLOOD = int(os.environ.get("FLOOD", "2000"))


@pytest.fixture(autouse=True)
def _at_noon() -> Any:
    """Keep a test within one day of the clock."""
    with time_machine.travel(timezone.now().replace(hour=12, minute=10)):
        yield


def flood(rf: Any, page: LandingPage, number: int) -> set[tuple[int, int]]:
    """Send the form of a page from as many networks, the task now and then; return statuses and sizes of answers."""
    stamp = limits.seal_stamp(page.pk, at=timezone.now() - timedelta(seconds=10))
    url = reverse("landing:page", args=[page.slug])
    found: set[tuple[int, int]] = set()
    for n in range(number):
        typed = {"address": VICTIM, "stamp": stamp, "first_name": f"Buy now {n}"}
        ip = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
        response: HttpResponse = view(rf.post(url, typed, REMOTE_ADDR=ip), page.slug)
        found.add((response.status_code, len(response.content)))
        if n in (3, 30, number // 2):
            handle_requests()
    return found


def mailed() -> list[str]:
    """Have everything done and sent that is waiting, twice; return to whom something was sent."""
    with running_sink() as sink:
        for _again in range(2):
            handle_requests()
            confirmations.drain()
    assert not any("Buy now" in caught.message.as_string() for caught in sink.caught)
    return sink.recipients


def test_a_flood_of_forms_from_as_many_networks_sends_one_mail_and_fills_no_table(rf: Any, settings: Any) -> None:
    page = published(Kind.SUBSCRIPTION)
    assert len(flood(rf, page, FLOOD)) == 1
    assert PendingOptIn.objects.count() == settings.PUBLIC_POSTS_PER_ADDRESS
    assert mailed() == [VICTIM]
    assert OutboxMessage.objects.count() == 1
    assert not Profile.objects.exists()


def test_of_ten_thousand_forms_for_one_address_a_handful_is_stored(settings: Any) -> None:
    at, digest = timezone.now().replace(minute=30), digest_of(VICTIM)
    found = Counter(limits.room_to_ask("1", digest, ip=f"10.0.{n >> 8}.{n & 255}", at=at) for n in range(10_000))
    few = settings.PUBLIC_POSTS_PER_ADDRESS
    assert found == {Room.TAKE: few, Room.FORGET: 10_000 - few}
    assert limits.room_to_ask("1", digest_of("somebody@example.org"), ip="192.0.2.1", at=at) == Room.TAKE


def test_even_if_all_were_stored_one_mail_would_be_sent(rf: Any, settings: Any) -> None:
    """The limits stand in a cache, which may be lost; the one mail a day is a unique row."""
    settings.PUBLIC_POSTS_PER_ADDRESS = 10_000
    for page in (published(Kind.SUBSCRIPTION), published(Kind.OPT_IN)):
        flood(rf, page, 150)
    assert PendingOptIn.objects.count() == 300
    assert mailed() == [VICTIM]


@pytest.mark.parametrize("kind", [Kind.OPT_IN, Kind.SUBSCRIPTION])
def test_a_page_that_asks_for_no_confirmation_sends_one_mail_as_well(kind: Kind, rf: Any) -> None:
    service = ServiceFactory.create(on_subscribe=Confirmation.DEFAULT)
    page = published(kind, service=service, double_opt_in=False, confirmation=Confirmation.DEFAULT)
    flood(rf, page, 100)
    assert mailed() == [VICTIM]
    assert Profile.objects.count() == 1
    assert Subscription.objects.count() == (kind == Kind.SUBSCRIPTION)


@pytest.mark.parametrize("known", [True, False])
def test_asking_for_the_link_to_the_preferences_again_and_again_sends_one_mail(
    known: bool, rf: Any, settings: Any
) -> None:
    if known:
        ProfileFactory.create(email=VICTIM)
    flood(rf, published(Kind.PREFERENCES), 100)
    assert PreferencesRequest.objects.count() == settings.PUBLIC_POSTS_PER_ADDRESS
    assert mailed() == [VICTIM] * known


@pytest.mark.parametrize("kind", [Kind.UNSUBSCRIPTION, Kind.OPT_OUT_ALL])
def test_opting_somebody_out_again_and_again_is_noted_once_and_mailed_once(kind: Kind, rf: Any) -> None:
    service = ServiceFactory.create(on_unsubscribe=Confirmation.DEFAULT)
    ProfileFactory.create(email=VICTIM, services=[service])
    page = published(kind, service=service, confirmation=Confirmation.DEFAULT)
    flood(rf, page, 100)
    handle_requests()
    assert OptOutRequest.objects.count() == 4, "one for each time that the task came by"
    assert ConsentEvent.objects.count() == 1
    assert len(mailed()) <= 1
