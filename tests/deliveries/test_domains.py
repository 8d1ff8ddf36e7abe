"""Mail domains: nobody is written to faster than their side takes it, and who asks for a rest gets one."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, connections
from django.utils import timezone

from deliveries import budgets, domains, sending, tally
from deliveries.budgets import Budget, Limit, RedisBudget, TableBudget
from deliveries.models import Delivery, DeliveryLog, Lease, LogStatus, MailDomain, RunDomain, State
from deliveries.transports import Outcome
from deliveries.transports.base import Blame
from tests.deliveries.test_sending import analysed
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory

pytestmark = pytest.mark.django_db
S = LogStatus
SLOW_DOWN = Outcome(S.RETRY, 421, "4.7.28 too fast", Blame.DOMAIN)
LATER = Outcome(S.RETRY, 451, "4.3.0 later", Blame.ADDRESS)
YES = Outcome(S.SENT, 250, "OK")


@pytest.fixture(params=["table", "redis"])
def budget(request: pytest.FixtureRequest, settings: Any) -> Budget:
    if request.param == "table":
        return TableBudget()
    if not settings.CACHES["default"]["BACKEND"].endswith("RedisCache"):
        pytest.skip("Valkey runs beside PostgreSQL only")
    found: Any = cache
    return RedisBudget(found._cache.get_client(None, write=True))


def limit(**fields: int) -> Limit:
    made = MailDomain.objects.create(domain=f"mail{time.monotonic_ns()}.example.org", **fields)
    return Limit(made.pk, made.domain, 60 / made.per_minute if made.per_minute else 0.0, made.at_once or 0)


def test_the_rate_is_kept_however_many_ask(budget: Budget) -> None:
    of = limit(per_minute=600)
    taken, at = 0, 1_000_000.0
    for _step in range(2_000):  # twenty seconds, a hundred questions a second
        taken += not budget.take(of, owner="anybody", at=at)
        at += 0.01
    assert 198 <= taken <= 205


def test_the_wait_that_is_told_is_long_enough(budget: Budget) -> None:
    of = limit(per_minute=6)
    assert budget.take(of, owner="a", at=1_000.0) == 0.0
    wait = budget.take(of, owner="a", at=1_000.0)
    assert 9 < wait <= 10
    assert budget.take(of, owner="a", at=1_000.0 + wait) == 0.0


def test_only_so_many_leave_at_once_and_a_place_is_given_back(budget: Budget) -> None:
    of = limit(at_once=2)
    assert [budget.take(of, owner=name, at=1_000.0) > 0 for name in "abc"] == [False, False, True]
    budget.give_back(of, owner="a")
    assert budget.take(of, owner="c", at=1_000.0) == 0.0


def test_a_place_held_by_a_killed_worker_is_free_after_a_while(budget: Budget) -> None:
    of = limit(at_once=1)
    assert budget.take(of, owner="killed", at=1_000.0) == 0.0
    assert budget.take(of, owner="b", at=1_000.0 + budgets.slot_seconds() - 1) > 0
    assert budget.take(of, owner="b", at=1_000.0 + budgets.slot_seconds() + 1) == 0.0


def test_a_refused_rate_holds_no_place(budget: Budget) -> None:
    of = limit(per_minute=6, at_once=1)
    assert budget.take(of, owner="a", at=1_000.0) == 0.0
    budget.give_back(of, owner="a")
    assert budget.take(of, owner="b", at=1_001.0) > 1
    assert budget.take(of, owner="c", at=1_011.0) == 0.0


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_eight_at_the_same_time_never_hold_more_places_than_there_are(budget: Budget) -> None:
    of, holding, most = limit(at_once=3), 0, 0
    lock, problems = threading.Lock(), list[Exception]()

    def work(name: str) -> None:
        nonlocal holding, most
        try:
            for n in range(20):
                if budget.take(of, owner=f"{name}{n}"):
                    continue
                with lock:
                    holding += 1
                    most = max(most, holding)
                time.sleep(0.001)
                with lock:
                    holding -= 1
                budget.give_back(of, owner=f"{name}{n}")
        except Exception as error:  # noqa: BLE001 (told below)
            problems.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert 1 <= most <= 3


def test_without_redis_the_limits_are_kept_in_the_database(caplog: pytest.LogCaptureFixture) -> None:
    import redis

    lost = RedisBudget(redis.Redis(port=1, socket_connect_timeout=0.1))
    of = limit(per_minute=6, at_once=1)
    assert lost.take(of, owner="a", at=1_000.0) == 0.0
    assert lost.take(of, owner="b", at=1_000.0) > 0
    lost.give_back(of, owner="a")
    assert lost.take(of, owner="b", at=1_011.0) == 0.0
    assert len(caplog.records) == 1


def test_a_domain_without_limits_costs_nothing_to_ask_about(django_assert_num_queries: Any) -> None:
    found = domains.Limits("w", budget=TableBudget())
    found.read()
    with django_assert_num_queries(0):
        assert [found.ask("example.org") for _n in range(50)] == [0.0] * 50
        found.done("example.org")


def test_an_answer_about_the_domain_begins_a_rest_that_doubles_and_that_success_ends() -> None:
    found, at = domains.Limits("w", budget=TableBudget()), timezone.now()
    found.note("example.org", SLOW_DOWN, at=at)
    first = MailDomain.objects.get()
    assert timedelta(seconds=48) <= (first.not_before or at) - at <= timedelta(seconds=72)
    assert found.ask("example.org") > 40
    assert found.ask("example.com") == 0.0
    found.note("example.org", SLOW_DOWN, at=at)  # one that was on its way: the rest has begun already
    assert MailDomain.objects.get().not_before == first.not_before
    again = at + timedelta(minutes=2)
    found.note("example.org", SLOW_DOWN, at=again)
    second = MailDomain.objects.get()
    assert timedelta(seconds=96) <= (second.not_before or at) - again <= timedelta(seconds=144)
    found.read()
    found.note("example.org", YES, at=again)
    assert (MailDomain.objects.get().deferrals, MailDomain.objects.get().not_before) == (0, None)


def test_five_temporary_refusals_in_a_row_begin_a_rest_and_four_do_not() -> None:
    found, at = domains.Limits("w", budget=TableBudget()), timezone.now()
    for _n in range(4):
        found.note("example.org", LATER, at=at)
    found.note("example.org", YES, at=at)
    for _n in range(4):
        found.note("example.org", LATER, at=at)
    assert not MailDomain.objects.exists()
    found.note("example.org", LATER, at=at)
    assert MailDomain.objects.get().answer == "451 4.3.0 later"


def test_a_rest_lasts_an_hour_at_most() -> None:
    MailDomain.objects.create(domain="example.org", deferrals=50)
    at = timezone.now()
    domains.rest("example.org", "421 no", at=at)
    assert (MailDomain.objects.get().not_before or at) - at <= 1.2 * domains.LONGEST_REST


def test_other_workers_see_a_rest_that_somebody_began(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (domains.Limits(name, budget=TableBudget()) for name in "ab")
    assert other.ask("example.org") == 0.0
    one.note("example.org", SLOW_DOWN, at=timezone.now())
    monkeypatch.setattr(domains, "READ_EVERY", -1.0)
    assert other.ask("example.org") > 0


@pytest.mark.parametrize(
    ("address", "domain"), [("A@Example.ORG ", "example.org"), ("a@café.fr", "xn--caf-dma.fr"), ("broken", "broken")]
)
def test_a_domain_is_known_by_its_ascii_form(address: str, domain: str) -> None:
    assert domains.domain_of(address) == domain


class Answers:
    """A transport whose answers depend on the domain; it keeps who was written to."""

    def __init__(self, **by_domain: Outcome) -> None:
        self.by_domain = {name.replace("_", "."): outcome for name, outcome in by_domain.items()}
        self.asked: list[str] = []

    def send(self, envelope: Any) -> Outcome:
        self.asked.append(envelope.recipient)
        return self.by_domain.get(envelope.recipient.rpartition("@")[2], YES)

    def close(self) -> None: ...


def to(*addresses: str) -> Delivery:
    service = ServiceFactory.create()
    for address in addresses:
        ProfileFactory.create(email=address, services=[service])
    delivery = analysed(DeliveryFactory.create(service=service))
    sending.start(delivery, at=timezone.now())
    return delivery


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Have senders tell how long they would wait, and wait a little."""
    from deliveries.sending import worker

    told: list[float] = []
    monkeypatch.setattr(worker._Sender, "_nap", lambda self, seconds: (told.append(seconds), time.sleep(0.01))[0])
    return told  # type: ignore[return-value]


def test_the_others_do_not_wait_for_a_domain_at_rest() -> None:
    delivery = to("a@slow.org", "b@slow.org", "c@fast.org", "d@slow.org", "e@fast.org")
    transport = Answers(slow_org=SLOW_DOWN)
    sending.work(delivery.pk, transport=transport)
    assert sorted(transport.asked) == ["a@slow.org", "c@fast.org", "e@fast.org"], "slow.org is asked once"
    counts = {status: DeliveryLog.objects.filter(status=status).count() for status in (S.SENT, S.RETRY, S.PENDING)}
    assert counts == {S.SENT: 2, S.RETRY: 1, S.PENDING: 2}
    lease = Lease.objects.get()
    assert lease.not_before is not None
    assert lease.not_before - timezone.now() > timedelta(seconds=30), "the range waits as long as its domain"
    assert sending.take_lease(lease.run, at=timezone.now()) is None
    assert RunDomain.objects.get(domain="slow.org").deferred == 1


def test_a_limited_domain_gets_all_its_messages_at_its_own_pace(naps: list[float]) -> None:
    MailDomain.objects.create(domain="slow.org", per_minute=300)
    delivery = to(*(f"p{n}@slow.org" for n in range(5)), "q@fast.org")
    transport = Answers()
    began = time.monotonic()
    while sending.work(delivery.pk, transport=transport):
        pass
    delivery.refresh_from_db()
    assert delivery.state == State.FINISHED
    assert len(transport.asked) == 6
    assert time.monotonic() - began > (5 - 1) / 5 - budgets.AHEAD
    assert naps


def test_what_domains_answered_is_added_up_by_run_the_worst_first(django_assert_num_queries: Any) -> None:
    delivery = to("a@one.org")
    assert delivery.current_run
    for _sender in range(2):
        found = tally.DomainTally(delivery.current_run)
        for domain, outcome in (
            ("one.org", YES), ("two.org", LATER), ("two.org", SLOW_DOWN), ("three.org", LATER),
            ("four.org", Outcome(S.FAILED, 550, "5.1.1 no")), ("five.org", Outcome(S.RETRY, 0, "", Blame.CONNECTION)),
        ):  # fmt: skip
            found.note(domain, outcome)
        with django_assert_num_queries(1):
            found.add_up()
        with django_assert_num_queries(0):
            found.add_up()
    domains.rest("three.org", "later", at=timezone.now())
    with django_assert_num_queries(2):
        worst = tally.worst(delivery.current_run, at=timezone.now())
    rows = [(one.counts.domain, one.counts.trouble, one.waits_until is not None) for one in worst]
    assert rows == [("two.org", 4, False), ("four.org", 2, False), ("three.org", 2, True)]
    assert worst[0].counts.answer == "421 4.7.28 too fast"
    assert RunDomain.objects.get(domain="one.org").sent == 2
    assert not RunDomain.objects.filter(domain="five.org").exists()
    assert tally.blocked(delivery.current_run) == 0


def test_a_busy_connection_is_given_back(settings: Any) -> None:
    MailDomain.objects.create(domain="slow.org", at_once=1)
    delivery = to("a@slow.org", "b@slow.org")
    transport = Answers()
    sending.work(delivery.pk, transport=transport)
    assert len(transport.asked) == 2, "the place of the first is free for the second"
    assert connection.vendor
