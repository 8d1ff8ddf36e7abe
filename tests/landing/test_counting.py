"""How often pages are opened, sent and confirmed: counted once, by whoever folds, and in nobody's way."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.db import DatabaseError, connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from redis.exceptions import RedisError

from landing import counting, publishing
from landing.models import Count, Counted, Kind, LandingPage, PendingOptIn
from landing.tasks import fold_counts
from tests.factories import DeliveryFactory, LandingPageFactory, ProfileFactory, UserFactory
from tests.landing.visitors import (
    confirm_url,
    digest_of,
    handle,
    link,
    one_click_url,
    opt_out_url,
    published,
    send,
    visitor,
)

pytestmark = pytest.mark.django_db


def url(page: LandingPage) -> str:
    return reverse("landing:page", args=[page.slug])


def number(kind: Counted, subject: int) -> int:
    return sum(Count.objects.filter(kind=kind, subject=subject).values_list("number", flat=True))


def started(**fields: Any) -> Any:
    return DeliveryFactory(started_at=timezone.now(), **fields)


def test_each_opening_of_the_form_is_counted_and_nothing_else_is() -> None:
    page, closed = published(), published()
    publishing.close(closed)
    for _n in range(3):
        assert visitor().get(url(page)).status_code == 200
    visitor().head(url(page))
    visitor().options(url(page))
    visitor().get(url(closed))
    send(visitor(), page, "no address")
    staff = visitor()
    staff.force_login(UserFactory(admin=True))
    staff.get(url(page) + "?preview=form")
    assert not Count.objects.exists(), "looking writes no row"
    fold_counts()
    assert number(Counted.VIEW, page.pk) == 3
    assert Count.objects.count() == 1


def test_folding_again_or_twice_at_once_counts_nothing_twice() -> None:
    page, now = published(), timezone.now()
    for round_ in range(1, 4):
        counting.seen(Counted.VIEW, page.pk, at=now)
        assert counting.fold(now) == 1
        assert counting.fold(now) == 0
        assert number(Counted.VIEW, page.pk) == round_


def test_a_cache_that_was_emptied_begins_from_the_row() -> None:
    page, now = published(), timezone.now()
    for _n in range(5):
        counting.seen(Counted.VIEW, page.pk, at=now)
    counting.fold(now)
    cache.clear()
    counting.seen(Counted.VIEW, page.pk, at=now)
    counting.fold(now)
    assert number(Counted.VIEW, page.pk) == 6


def test_the_last_minute_of_a_day_is_counted_on_that_day() -> None:
    page, late = published(), timezone.now().replace(hour=23, minute=59, second=59)
    counting.seen(Counted.VIEW, page.pk, at=late)
    counting.seen(Counted.VIEW, page.pk, at=late + timedelta(seconds=2))
    counting.fold(late + timedelta(seconds=30))
    assert dict(Count.objects.values_list("day", "number")) == {
        late.date(): 1,
        late.date() + timedelta(days=1): 1,
    }


@pytest.mark.parametrize("error", [RedisError("away"), DatabaseError("locked"), OSError("no route")])
def test_without_a_cache_every_page_is_shown_all_the_same(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    page, delivery = published(), started()
    to = link("a@example.org", delivery.service, delivery=delivery.pk)
    for name in ("incr", "add", "get"):
        monkeypatch.setattr(caches["default"], name, fail)
    for address in (url(page), opt_out_url(to), one_click_url(to)):
        assert visitor().get(address).status_code == 200
    assert visitor().post(opt_out_url(to), {"choice": "service"}).status_code == 200


def test_what_was_sent_and_confirmed_is_counted_once_by_whoever_handles_it() -> None:
    page, leaving = published(), published(Kind.OPT_OUT_ALL)
    for address in ("a@example.org", "b@example.org", "c@example.org"):
        send(visitor(), page, address)
    send(visitor(), leaving, "d@example.org")
    for _again in range(2):
        handle()
    assert (number(Counted.SUBMIT, page.pk), number(Counted.SUBMIT, leaving.pk)) == (3, 1)
    pending = PendingOptIn.objects.filter(digest=digest_of("a@example.org")).get()
    for _again in range(2):
        assert visitor().post(confirm_url(pending)).status_code == 200
    assert number(Counted.CONFIRM, page.pk) == 1


def test_links_that_are_opened_and_not_used_are_counted_for_their_delivery() -> None:
    delivery, other = started(), started()
    ProfileFactory(email="a@example.org", services=[delivery.service])
    to = link("a@example.org", delivery.service, delivery=delivery.pk)
    visitor().get(opt_out_url(to))
    visitor().head(one_click_url(to))
    visitor().get(one_click_url(to))
    visitor().options(opt_out_url(to))
    visitor().post(one_click_url(to))
    fold_counts()
    assert (counting.prefetches(delivery.pk), counting.prefetches(other.pk)) == (3, 0)
    visitor().post(opt_out_url(to), {"choice": "channel"})
    fold_counts()
    assert counting.prefetches(delivery.pk) == 2, "whoever pressed had opened it"


def test_a_press_without_an_opening_does_not_count_below_zero() -> None:
    delivery = started()
    visitor().post(opt_out_url(link("a@example.org", delivery.service, delivery=delivery.pk)), {"choice": "channel"})
    fold_counts()
    assert counting.prefetches(delivery.pk) == 0


def test_thirty_days_are_shown_with_their_empty_ones() -> None:
    page, now = published(), timezone.now()
    counting.add(Counted.SUBMIT, page.pk, at=now)
    counting.add(Counted.SUBMIT, page.pk, at=now - timedelta(days=29))
    counting.add(Counted.SUBMIT, page.pk, at=now - timedelta(days=30))
    views, submits = counting.over(page.pk, (Counted.VIEW, Counted.SUBMIT), at=now)
    assert (views.total, submits.total) == (0, 2)
    assert len(submits.days) == 30
    assert [day for day, _n in submits.days] == sorted(day for day, _n in submits.days)
    assert (submits.days[0][1], submits.days[-1][1]) == (1, 1)


# -- in the admin --------------------------------------------------------------------------------------------------


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(UserFactory(admin=True))
    return client


def shown(client: Client, page: LandingPage) -> str:
    html = client.get(reverse("admin:landing_landingpage_change", args=[page.pk])).content.decode()
    return re.sub(r"\s+", " ", html)


def test_the_page_of_a_page_shows_its_numbers(client: Client) -> None:
    page, now = published(), timezone.now()
    for kind, times in ((Counted.VIEW, 12), (Counted.SUBMIT, 5), (Counted.CONFIRM, 3)):
        fill(kind, page, times, now)
    text = shown(client, page)
    assert "The last 30 days" in text
    for label, times in (("Times opened", 12), ("Forms sent", 5), ("Requests confirmed", 3)):
        assert re.search(rf"<th scope=\"row\">{label}</th> <td class=\"c-number\">{times}</td>", text), label
        assert f"{label}, day by day" in text


def fill(kind: Counted, page: LandingPage, times: int, at: datetime) -> None:
    for _n in range(times):
        counting.add(kind, page.pk, at=at)


def test_nothing_is_confirmed_on_a_page_to_leave_and_a_draft_has_no_numbers(client: Client) -> None:
    leaving = shown(client, published(Kind.OPT_OUT_ALL))
    assert "Times opened, day by day" in leaving
    assert "Requests confirmed, day by day" not in leaving
    assert "The last 30 days" not in shown(client, LandingPageFactory())


# -- at the same moment --------------------------------------------------------------------------------------------


def together(work: Callable[[], object], workers: int = 4) -> None:
    """Do the same at the same moment in several threads, each with a connection of its own."""
    start = threading.Barrier(workers)

    def run() -> None:
        try:
            start.wait(timeout=30)
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(run) for _n in range(workers)]:
            done.result(timeout=60)


@pytest.mark.django_db(transaction=True)
def test_what_is_counted_by_several_workers_at_once_is_counted_fully() -> None:
    page, now = published(), timezone.now()

    def confirm_ten() -> None:
        for _n in range(10):
            with transaction.atomic():
                counting.add(Counted.CONFIRM, page.pk, at=now)

    together(confirm_ten)
    assert number(Counted.CONFIRM, page.pk) == 40


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_openings_at_the_same_moment_are_all_counted_and_folded_once() -> None:
    page, now = published(), timezone.now()
    Count.objects.create(kind=Counted.VIEW, subject=page.pk, day=counting.day_of(now), number=5)

    def open_ten() -> None:
        for _n in range(10):
            counting.seen(Counted.VIEW, page.pk, at=now)

    together(open_ten)
    together(lambda: counting.fold(now))
    assert number(Counted.VIEW, page.pk) == 45
