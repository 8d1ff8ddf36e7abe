"""How fast messages leave, what failing ones cost, and what was sent by the minute."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries import durations, pace, sending
from deliveries.admin import standing
from deliveries.models import (
    Delivery,
    DeliveryLog,
    Lease,
    SendingMinute,
    State,
)
from deliveries.pace import Slice
from deliveries.transports import Outcome
from deliveries.transports.base import Blame
from profiles.models import Profile
from quarantine import answer_rules
from tests.deliveries.working import S, Slow, analysed, draft, marketer, ok, only_noted, sent, shown, words
from tests.factories import QuarantinedAddressFactory

pytestmark = pytest.mark.django_db
# PostgreSQL: one query text, which is not counted here as it goes by libpq itself.
STATEMENTS_PER_MESSAGE = {"sqlite": 13, "postgresql": 0}


@pytest.fixture
def client() -> Client:
    return marketer()


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    return only_noted(monkeypatch)


def test_hand_offs_are_timed_by_how_they_end(client: Client) -> None:
    delivery = draft(6)
    refused, later = (person.addresses.get().value for person in Profile.objects.order_by("pk")[:2])
    gone = Profile.objects.order_by("pk")[2].addresses.get().value
    QuarantinedAddressFactory.create(value=gone)

    def outcome(recipient: str) -> Outcome:
        if recipient == refused:
            return Outcome(S.FAILED, 550, "no")
        return Outcome(S.RETRY, 451, "later") if recipient == later else ok(recipient)

    sent(delivery, Slow(outcome))
    Delivery.objects.update(state=State.SENDING)
    DeliveryLog.objects.filter(status=S.RETRY).update(not_before=None)
    Lease.objects.update(not_before=None)
    sending.work(delivery.pk, transport=Slow(outcome))
    found = pace.cost(delivery.current_run)
    assert (found.sent, found.failed) == (3, 3), "one refused for good, one tried twice"
    assert found.failed_time >= timedelta(seconds=0.09)
    assert found.sent_time < found.failed_time
    assert found.rate == 0.5
    assert found.each_failed is not None
    assert found.each_failed >= timedelta(seconds=0.03)
    Lease.objects.update(failed_ms=48_000, sent_ms=3_000)
    told = words(shown(client, delivery))
    assert "Error rate: 50.0%. 3 of 6 attempts failed." in told
    assert "took 48 s of the 51 s of handing over: 16 s each, against 1.0 s for one that worked." in told
    assert "1 address in error had been left out before." in told
    assert "has saved about 16 seconds." in told


def test_what_was_never_handed_over_costs_nothing() -> None:
    delivery = sent(draft(2), Slow(lambda recipient: Outcome(S.SUPPRESSED, 0, "SMTPUTF8")))
    found = pace.cost(delivery.current_run)
    assert (found.handed_over, found.rate, found.each_failed, found.each_sent) == (0, 0.0, None, None)


def test_measuring_takes_no_statement_of_its_own_per_message() -> None:
    taken = []
    answer_rules.own_rules()  # a process reads them once a minute
    for people in (2, 5):
        delivery = analysed(draft(people))
        sending.start(delivery, at=timezone.now())
        with CaptureQueriesContext(connection) as statements:
            sending.work(delivery.pk, transport=Slow(ok))
        taken.append(len(statements))
    assert taken[1] - taken[0] == 3 * STATEMENTS_PER_MESSAGE[connection.vendor]


def test_what_was_sent_is_kept_by_the_minute_and_adds_up_over_workers(client: Client) -> None:
    delivery = draft(4)
    refused = Profile.objects.earliest("pk").addresses.get().value
    sent(delivery, Slow(lambda to: Outcome(S.FAILED, 550, "no") if to == refused else ok(to)))
    rows = SendingMinute.objects.filter(run=delivery.current_run)
    assert (sum(row.sent for row in rows), sum(row.failed for row in rows)) == (3, 1)
    one, other = (pace.Minutes(delivery.current_run) for _n in range(2))
    at = rows[0].at - timedelta(minutes=10, seconds=-7)
    for worker in (one, other, one):
        worker.note(S.SENT, at=at)
        worker.note(S.RETRY, at=at)
    one.add_up()
    other.add_up()
    one.add_up()  # nothing twice
    assert SendingMinute.objects.get(at=at.replace(second=0, microsecond=0)).sent == 3
    assert "Messages over time, in slices of 1 minute" in shown(client, delivery)


def test_minutes_are_drawn_as_few_slices_with_those_in_which_nothing_was_sent() -> None:
    start = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    width, slices = pace.over_time([Slice(start, 5, 1), Slice(start + timedelta(minutes=3), 7, 0)])
    assert width == timedelta(minutes=1)
    assert [(one.sent, one.failed) for one in slices] == [(5, 1), (0, 0), (0, 0), (7, 0)]
    long = [Slice(start + timedelta(minutes=n), 1, 0) for n in range(0, 84 * 60, 7)]
    width, slices = pace.over_time(long)
    assert width == timedelta(hours=6)
    assert len(slices) <= pace.MOST_SLICES
    assert sum(one.sent for one in slices) == len(long)
    assert pace.over_time([])[1] == []


def test_the_present_speed_is_that_of_the_last_minutes() -> None:
    at = datetime(2026, 3, 1, 10, 0, 30, tzinfo=UTC)
    lately = [Slice(at.replace(second=0) - timedelta(minutes=n), 60, 0) for n in range(2, 7)]
    long_ago = [Slice(at.replace(second=0) - timedelta(minutes=40), 60_000, 0)]
    started = at - timedelta(hours=1)
    assert pace.per_second([*long_ago, *lately], started_at=started, done=60_300, at=at) == 1.0
    assert pace.per_second(long_ago, started_at=started, done=60_000, at=at) == 0.0
    assert pace.per_second([], started_at=at - timedelta(seconds=10), done=50, at=at) == 5.0


def test_a_refusal_of_who_we_are_counts_as_a_failed_try() -> None:
    delivery = sent(draft(3), Slow(lambda to: Outcome(S.RETRY, 535, "who are you", Blame.SENDER), refusing=0))
    assert delivery.state == State.PAUSED
    assert pace.cost(delivery.current_run).failed == 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "less than a second"),
        (1, "1 second"),
        (38, "38 seconds"),
        (60, "1 minute"),
        (1900, "32 minutes"),
        (7200, "2 hours"),
        (200_000, "2 days"),
    ],
)
def test_spans_in_words(seconds: float, said: str) -> None:
    assert durations.in_words(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "0%"), (0, 9, "0%"), (9, 9, "100%"), (99_999, 100_000, "99.9%"), (1, 100_000, "0.1%"), (1, 3, "33.3%")],
)
def test_only_all_is_a_hundred_percent(part: int, whole: int, said: str) -> None:
    assert standing.percent(part, whole) == said
