"""How a service grows: the sums of its own events, day by day, and no large table counted by a page."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from profiles import consent, growth
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.digests import digest
from profiles.growth import Subscribers
from profiles.models import Service, Source, Subscription
from profiles.tasks import count_subscribers
from tests.factories import ProfileFactory, ServiceFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
BY = Evidence(source=Source.LANDING_PAGE)


@pytest.fixture(autouse=True)
def _no_kept_sums() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def people(number: int) -> list[int]:
    return [ProfileFactory(email=False).pk for _n in range(number)]


def told(service: Service, *, at: datetime = NOW) -> dict[date, tuple[int, int]]:
    return {day.day: (day.joined, day.left) for day in growth.growth(service, at=at) if day.joined or day.left}


def test_each_day_says_how_many_subscribed_and_left() -> None:
    service, other, ids = ServiceFactory(), ServiceFactory(), people(5)
    consent.subscribe(ids, service, evidence=BY, at=ago(3))
    consent.subscribe(ids, other, evidence=BY, at=ago(2))
    consent.unsubscribe(ids[:2], service, evidence=BY, at=ago(1))
    consent.subscribe(ids[:1], service, evidence=BY, at=ago(1))
    assert told(service) == {ago(3).date(): (5, 0), ago(1).date(): (1, 2)}
    days = growth.growth(service, at=NOW)
    assert (len(days), days[0].day, days[-1].day) == (90, ago(89).date(), NOW.date())
    assert sum(day.net for day in days) == Subscription.objects.filter(service=service).count() == 4


def test_what_ends_by_itself_counts_as_left() -> None:
    service, ids = ServiceFactory(validity_days=2), people(3)
    consent.subscribe(ids, service, evidence=BY, at=ago(4))
    consent.expire_subscriptions(ago(1))
    assert told(service) == {ago(4).date(): (3, 0), ago(1).date(): (0, 3)}


def test_an_opt_out_kept_for_an_address_that_nobody_has_is_no_departure() -> None:
    service = ServiceFactory()
    unknown = digest(Channel.EMAIL, "nobody@example.org")
    consent.opt_out_address(Channel.EMAIL, unknown, service=service, evidence=BY, at=ago(1))
    assert told(service) == {}


def test_days_are_those_of_the_reader() -> None:
    service = ServiceFactory()
    consent.subscribe(people(1), service, evidence=BY, at=datetime(2026, 6, 10, 23, 30, tzinfo=UTC))
    assert set(told(service)) == {date(2026, 6, 10)}
    with timezone.override(ZoneInfo("Europe/Paris")):
        assert set(told(service)) == {date(2026, 6, 11)}


def test_past_days_are_read_once_and_today_again_after_some_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    service, ids = ServiceFactory(), people(2)
    consent.subscribe(ids[:1], service, evidence=BY, at=ago(1))
    told(service)
    consent.subscribe(ids[1:], service, evidence=BY, at=NOW)
    with CaptureQueriesContext(connection) as captured:
        assert told(service) == {ago(1).date(): (1, 0)}
    assert not [query for query in captured.captured_queries if "consentevent" in query["sql"]]
    monkeypatch.setattr(growth, "FRESH", timedelta(0))
    cache.clear()
    assert told(service) == {ago(1).date(): (1, 0), NOW.date(): (1, 0)}


class TestSubscribers:
    @pytest.fixture(autouse=True)
    def _few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(growth, "COUNTED_AT_ONCE", 3)

    def test_few_are_counted_without_those_that_have_ended(self) -> None:
        service, ids = ServiceFactory(validity_days=2), people(4)
        consent.subscribe(ids[:1], service, evidence=BY, at=ago(5))
        consent.subscribe(ids[1:], service, evidence=BY, at=ago(1))
        assert growth.subscribers(service, at=NOW) == Subscribers(3)

    def test_many_are_said_to_be_many_until_something_has_counted_them(self) -> None:
        service, ids = ServiceFactory(), people(5)
        consent.subscribe(ids, service, evidence=BY, at=ago(2))
        assert growth.subscribers(service, at=NOW) == Subscribers(3, at_least=True)
        growth.count_all(ago(1))
        assert growth.subscribers(service, at=NOW) == Subscribers(5)

    def test_what_has_happened_since_the_count_is_added(self) -> None:
        service, ids = ServiceFactory(), people(7)
        consent.subscribe(ids[:6], service, evidence=BY, at=ago(2))
        growth.count_all(ago(1))
        consent.subscribe(ids[6:], service, evidence=BY, at=ago(0.5))
        consent.unsubscribe(ids[:2], service, evidence=BY, at=ago(0.4))
        assert growth.subscribers(service, at=NOW) == Subscribers(5)

    def test_the_task_counts_them(self) -> None:
        service, ids = ServiceFactory(), people(5)
        consent.subscribe(ids, service, evidence=BY, at=timezone.now())
        count_subscribers()
        assert growth.subscribers(service, at=timezone.now()) == Subscribers(5)


def test_no_more_than_the_bound_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    service = ServiceFactory()
    consent.subscribe(people(5), service, evidence=BY, at=ago(1))
    monkeypatch.setattr(growth, "COUNTED_AT_ONCE", 2)
    with CaptureQueriesContext(connection) as captured:
        growth.subscribers(service, at=NOW)
    counting = next(query["sql"] for query in captured.captured_queries if "subscription" in query["sql"])
    assert "LIMIT 3" in counting
