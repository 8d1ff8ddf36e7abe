"""Limits of public forms: robots are slowed down, people are not, and whoever wants to stop messages can."""

import logging
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import caches
from django.db import DatabaseError
from django.http import HttpResponse
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisIsDown

from landing import limits
from landing.limits import Room
from landing.models import Kind, LandingPage, OptOutRequest, PendingOptIn, PreferencesRequest
from profiles.models import Profile, Subscription
from tests.factories import ProfileFactory, ServiceFactory
from tests.landing.visitors import digest_of, handle, link, one_click_url, opt_out_url, published, send, visitor

pytestmark = pytest.mark.django_db
ASKING = [Kind.OPT_IN, Kind.SUBSCRIPTION, Kind.PREFERENCES]
STOPPING = [Kind.UNSUBSCRIPTION, Kind.OPT_OUT_ALL]
NOON = timezone.now().replace(hour=12, minute=0, second=5, microsecond=0)


@pytest.fixture(autouse=True)
def _at_noon() -> Any:
    """Keep a test within one hour of the clock."""
    with time_machine.travel(NOON, tick=False):
        yield


def rows() -> int:
    return sum(model.objects.count() for model in (PendingOptIn, OptOutRequest, PreferencesRequest))


def from_network(ip: str, page: LandingPage, address: str, **more: Any) -> HttpResponse:
    return send(visitor(REMOTE_ADDR=ip, **more), page, address)


# -- per network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ASKING)
def test_a_network_that_asks_for_much_is_asked_to_wait(kind: Kind, settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_HOUR = 3
    page = published(kind)
    answers = [from_network("192.0.2.1", page, f"a{n}@example.org") for n in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["Retry-After"] == "3600"
    assert "Yours has not been recorded" in answers[-1].content.decode()
    assert "bonjour@jardins.example" in answers[-1].content.decode()
    assert rows() == 3
    assert from_network("198.51.100.1", page, "b@example.org").status_code == 200


def test_the_next_hour_a_network_may_ask_again(settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_HOUR = 1
    page = published()
    assert [from_network("192.0.2.1", page, f"a{n}@example.org").status_code for n in range(2)] == [200, 429]
    with time_machine.travel(NOON + timedelta(minutes=58), tick=False):
        assert from_network("192.0.2.1", page, "a2@example.org").status_code == 429
    with time_machine.travel(NOON + timedelta(minutes=60), tick=False):
        assert from_network("192.0.2.1", page, "a3@example.org").status_code == 200


def test_a_count_is_kept_for_the_whole_hour(settings: Any) -> None:
    """Django's cache in a database keeps what it has counted for five minutes, unless it is told otherwise."""
    settings.PUBLIC_POSTS_PER_HOUR = 2
    found = []
    for minutes in (0, 1, 20, 40, 59):
        at = NOON + timedelta(minutes=minutes)
        with time_machine.travel(at, tick=False):
            found.append(limits.room_to_ask("page", digest_of(f"{minutes}@example.org"), ip="192.0.2.1", at=at))
    assert found == [Room.TAKE, Room.TAKE, *[Room.NETWORK_FULL] * 3]


def test_an_ipv6_subscriber_is_one_network(settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_HOUR = 2
    page = published()
    inside = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2:3:4:5:6"]
    statuses = [from_network(ip, page, f"a{n}@example.org").status_code for n, ip in enumerate(inside)]
    assert statuses == [200, 200, 429]
    assert from_network("2001:db8:1:3::1", page, "b@example.org").status_code == 200


def test_ipv4_addresses_written_as_ipv6_are_networks_of_their_own(settings: Any) -> None:
    """Otherwise all of IPv4 would be one network, where the server listens on IPv6."""
    settings.PUBLIC_POSTS_PER_HOUR = 1
    page = published()
    assert from_network("::ffff:192.0.2.1", page, "a@example.org").status_code == 200
    assert from_network("::ffff:192.0.2.2", page, "b@example.org").status_code == 200
    assert from_network("192.0.2.1", page, "c@example.org").status_code == 429


@pytest.mark.parametrize("written", ["{}", "10.9.9.9, {}", "spoofed,10.0.0.1,{}", "{}:51234", "10.9.9.9,  {}:443 "])
def test_behind_a_proxy_only_what_the_proxy_wrote_counts(written: str, settings: Any) -> None:
    """What stands before the last comma was sent by the visitor, who could write anything there."""
    settings.BEHIND_PROXY, settings.PUBLIC_POSTS_PER_HOUR = True, 1
    page = published()

    def status(ip: str, address: str) -> int:
        return from_network("10.0.0.2", page, address, HTTP_X_FORWARDED_FOR=written.format(ip)).status_code

    assert [status("192.0.2.1", "a@example.org"), status("192.0.2.2", "b@example.org")] == [200, 200]
    assert status("192.0.2.1", "c@example.org") == 429
    assert sorted(PendingOptIn.objects.values_list("ip", flat=True)) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("written", "seen"),
    [("[2001:db8::7]:443", "2001:db8::7"), ("[2001:db8::7]", "2001:db8::7"), ("2001:db8::7", "2001:db8::7")],
)
def test_an_ipv6_visitor_behind_a_proxy_is_known_by_their_address(written: str, seen: str, settings: Any) -> None:
    settings.BEHIND_PROXY = True
    from_network("10.0.0.2", published(), "a@example.org", HTTP_X_FORWARDED_FOR=written)
    assert PendingOptIn.objects.get().ip == seen


def test_without_a_proxy_a_visitor_cannot_choose_their_network(settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_HOUR = 1
    page = published()
    statuses = [
        from_network("192.0.2.1", page, f"a{n}@example.org", HTTP_X_FORWARDED_FOR=f"198.51.100.{n}").status_code
        for n in range(2)
    ]
    assert statuses == [200, 429]


# -- per address, and altogether ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ASKING)
def test_an_address_that_is_typed_again_and_again_gets_the_same_answer_and_no_more_rows(
    kind: Kind, settings: Any
) -> None:
    settings.PUBLIC_POSTS_PER_ADDRESS = 4
    page = published(kind)
    answers = [from_network(f"192.0.2.{n}", page, "victim@example.org") for n in range(9)]
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert rows() == 4
    assert from_network("192.0.2.99", page, "somebody@example.org").status_code == 200
    assert rows() == 5


def test_the_next_day_the_address_is_taken_again(settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_ADDRESS = 1
    page = published()
    for hours, stored in ((0, 1), (6, 1), (24, 2)):
        with time_machine.travel(NOON + timedelta(hours=hours), tick=False):
            from_network("192.0.2.1", page, "a@example.org")
            assert rows() == stored


def test_one_page_does_not_use_up_the_room_of_another(settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_ADDRESS = 1
    for page in (published(), published(), published(Kind.OPT_IN)):
        from_network("192.0.2.1", page, "a@example.org")
    assert rows() == 3


def test_a_flood_from_everywhere_is_bounded_and_said_aloud(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.PUBLIC_POSTS_ALTOGETHER = 3
    page = published()
    answers = [from_network(f"192.0.2.{n}", page, f"a{n}@example.org") for n in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 503, 503]
    assert answers[-1].headers["Retry-After"] == "3600"
    assert "could not be recorded" in answers[-1].content.decode()
    assert rows() == 3
    ours = [record for record in caplog.records if record.name == limits.__name__]
    assert [record.levelno for record in ours] == [logging.ERROR] * 2
    assert "example.org" not in caplog.text


def test_neither_one_network_nor_one_address_uses_up_the_room_of_all(settings: Any) -> None:
    settings.PUBLIC_POSTS_ALTOGETHER, settings.PUBLIC_POSTS_PER_HOUR, settings.PUBLIC_POSTS_PER_ADDRESS = 5, 2, 2
    page = published()
    for n in range(9):
        from_network("192.0.2.1", page, f"a{n}@example.org")
        from_network(f"192.0.2.{n + 2}", page, "victim@example.org")
    assert from_network("198.51.100.1", page, "b@example.org").status_code == 200


def test_the_button_that_mails_a_link_has_the_same_limits(settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_ADDRESS = 2
    ProfileFactory.create(email="zoe@example.org")
    url = opt_out_url(link("zoe@example.org"))
    answers = [visitor(REMOTE_ADDR=f"192.0.2.{n}").post(url, {"choice": "preferences"}) for n in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert PreferencesRequest.objects.count() == 2
    settings.PUBLIC_POSTS_PER_HOUR = 0
    assert visitor().post(url, {"choice": "preferences"}).status_code == 429


# -- stopping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STOPPING)
def test_an_office_behind_one_address_can_leave_within_an_hour(kind: Kind, settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_HOUR = settings.PUBLIC_POSTS_PER_ADDRESS = settings.PUBLIC_POSTS_ALTOGETHER = 1
    service = ServiceFactory.create()
    people = [ProfileFactory.create(email=f"p{n}@example.org", services=[service]) for n in range(40)]
    page = published(kind, service=service)
    for n in range(40):
        assert from_network("192.0.2.1", page, f"p{n}@example.org").status_code == 200
    handle()
    stopped = Profile.objects.filter(blacklisted=True).count()
    left = len(people) - Subscription.objects.count()
    assert (left if kind == Kind.UNSUBSCRIPTION else stopped) == 40


def test_what_asks_and_what_stops_do_not_use_up_each_others_room(settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_HOUR, settings.PUBLIC_OPT_OUTS_PER_HOUR = 2, 2
    asking, stopping = published(), published(Kind.OPT_OUT_ALL)
    found = [
        (
            from_network("192.0.2.1", asking, f"a{n}@example.org").status_code,
            from_network("192.0.2.1", stopping, f"b{n}@example.org").status_code,
        )
        for n in range(3)
    ]
    assert found == [(200, 200), (200, 200), (429, 429)]


def test_somebody_who_is_asked_to_wait_is_told_what_works_meanwhile(settings: Any) -> None:
    settings.PUBLIC_OPT_OUTS_PER_HOUR = 0
    answer = from_network("192.0.2.1", published(Kind.OPT_OUT_ALL), "a@example.org")
    assert answer.status_code == 429
    assert "The link at the end of each of our messages works at any time." in answer.content.decode()
    assert "bonjour@jardins.example" in answer.content.decode()


def test_links_and_buttons_of_messages_have_no_limit(settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_HOUR = settings.PUBLIC_OPT_OUTS_PER_HOUR = settings.PUBLIC_POSTS_ALTOGETHER = 0
    for n in range(30):
        to = link(f"p{n}@example.org")
        url, data = (one_click_url(to), {}) if n % 2 else (opt_out_url(to), {"choice": "channel"})
        answer = visitor().post(url, data)
        assert answer.status_code == 200
        if answer.context:
            assert visitor().post(answer.context["undo"]).status_code == 200


def test_a_request_pressed_again_while_it_waits_is_one_row_and_counts_again_afterwards() -> None:
    ProfileFactory.create(email="zoe@example.org")
    page = published(Kind.OPT_OUT_ALL)
    for _n in range(5):
        assert from_network("192.0.2.1", page, "zoe@example.org").status_code == 200
    assert OptOutRequest.objects.count() == 1
    assert handle() == 1
    Profile.objects.update(blacklisted=False)  # opted in meanwhile
    from_network("192.0.2.1", page, "ZOE@example.org")
    assert handle() == 1
    assert Profile.objects.filter(blacklisted=True).count() == 1


# -- without the shared cache -------------------------------------------------------------------------------------


@pytest.fixture(
    params=[RedisIsDown("down"), DatabaseError("down"), TimeoutError("down")], ids=lambda e: type(e).__name__
)
def cache_is_down(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise request.param

    for name in ("get", "set", "add", "incr", "touch", "get_many"):
        monkeypatch.setattr(caches["default"], name, refuse)


@pytest.mark.usefixtures("cache_is_down")
@pytest.mark.parametrize("kind", Kind)
def test_without_the_cache_people_can_stop_messages_and_robots_cannot_start_any(kind: Kind) -> None:
    page = published(kind)
    answer = from_network("192.0.2.1", page, "a@example.org")
    assert answer.status_code == (200 if kind in STOPPING else 503)
    assert rows() == (1 if kind in STOPPING else 0)


@pytest.mark.usefixtures("cache_is_down")
def test_without_the_cache_pages_show_and_links_of_messages_act() -> None:
    service = ServiceFactory.create()
    ProfileFactory.create(email="zoe@example.org", services=[service])
    to = link("zoe@example.org", service, delivery=1)
    for kind in Kind:
        assert visitor().get(f"/p/{published(kind).slug}/").status_code == 200
    assert visitor().get(opt_out_url(to)).status_code == 200
    assert visitor().post(one_click_url(to)).status_code == 200
    stopped = visitor().post(opt_out_url(to), {"choice": "channel"})
    assert not Subscription.objects.exists()
    assert Profile.objects.get().blacklisted_email
    assert visitor().post(stopped.context["undo"]).status_code == 200
    assert not Profile.objects.get().blacklisted_email


def test_a_cache_that_cannot_write_and_does_not_say_so_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does Django's cache in a database whose disk is full."""
    monkeypatch.setattr(caches["default"], "add", lambda *args, **kwargs: False)
    assert from_network("192.0.2.1", published(), "a@example.org").status_code == 503
    assert from_network("192.0.2.1", published(Kind.OPT_OUT_ALL), "a@example.org").status_code == 200
