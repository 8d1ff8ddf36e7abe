"""The suppression guarantee on PostgreSQL: a claim that meets a suppression waits for it, and then obeys it.

Each test holds one transaction open at the worst moment. Removing a lock, or locking and checking in one statement,
makes them fail: the last tests do just that.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from deliveries import analysis, gate, sending, sql
from deliveries.messages import Envelope
from deliveries.models import Delivery, DeliveryLog, LogStatus, Reason
from deliveries.sending import prepared, worker
from deliveries.sending.plain import PlainClaims
from deliveries.transports import Outcome
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Address, Profile, Source
from profiles.sql import lock_digests
from quarantine import escalation
from quarantine.models import Cause
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
BY = Evidence(source=Source.OPERATOR, actor_name="test", reason="test")
WAIT = 10


class Collector:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, envelope: Envelope) -> Outcome:
        self.sent.append(envelope.recipient)
        return Outcome(LogStatus.SENT, 250, "OK")

    def close(self) -> None: ...


def opt_out(person: Profile, delivery: Delivery) -> None:
    consent.opt_out([person.pk], channel=Channel.EMAIL, evidence=BY, at=timezone.now())


def opt_out_of_everything(person: Profile, delivery: Delivery) -> None:
    consent.opt_out([person.pk], channel=None, evidence=BY, at=timezone.now())


def unsubscribe(person: Profile, delivery: Delivery) -> None:
    assert delivery.service
    consent.unsubscribe([person.pk], delivery.service, evidence=BY, at=timezone.now())


def quarantine(person: Profile, delivery: Delivery) -> None:
    own = Address.objects.get(profile=person)
    target = escalation.Target(Channel.EMAIL, bytes(own.digest), own.value, own.key)
    escalation.quarantine([target], cause=Cause.PERSON, evidence=BY, at=timezone.now())


def pause(person: Profile, delivery: Delivery) -> None:
    sending.pause(Delivery.objects.get(pk=delivery.pk))


ACTS = {
    opt_out: Reason.BLACKLISTED_CHANNEL,
    opt_out_of_everything: Reason.BLACKLISTED,
    unsubscribe: Reason.UNSUBSCRIBED,
    quarantine: Reason.QUARANTINED_PERSON,
}


def started() -> tuple[Delivery, Profile]:
    service = ServiceFactory.create()
    person = ProfileFactory.create(services=[service])
    delivery = DeliveryFactory.create(service=service)
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    sending.start(delivery, at=timezone.now())
    return delivery, person


@contextmanager
def in_thread(work: Callable[[], Any]) -> Iterator[threading.Thread]:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(WAIT)
        assert not thread.is_alive()


def until_somebody_waits_or(thread: threading.Thread) -> bool:
    """Wait until a session waits for a lock (True), or the thread has ended (False)."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if cursor.fetchone()[0]:
                return True
        if not thread.is_alive():
            return False
        time.sleep(0.005)
    raise AssertionError("neither waiting nor done")


def send_while(act: Callable[[Profile, Delivery], None]) -> tuple[Collector, bool]:
    """Do an act, and let a worker claim before its transaction commits; return what was sent and who waited."""
    delivery, person = started()
    collector = Collector()
    acted, commit = threading.Event(), threading.Event()

    def suppress() -> None:
        with transaction.atomic():
            act(person, delivery)
            acted.set()
            commit.wait(WAIT)

    with in_thread(suppress):
        assert acted.wait(WAIT)
        with in_thread(lambda: sending.work(delivery.pk, transport=collector)) as worker:
            waited = until_somebody_waits_or(worker)
            commit.set()
    return collector, waited


@pytest.fixture(params=["prepared", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Claim in each of the two ways."""
    if request.param == "plain":
        monkeypatch.setattr(worker, "PreparedClaims", PlainClaims)
    return str(request.param)


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_a_claim_waits_for_a_suppression_that_is_not_committed_and_obeys_it(act: Any, way: str) -> None:
    collector, waited = send_while(act)
    assert waited
    assert collector.sent == []
    row = DeliveryLog.objects.get()
    assert (row.status, row.reason) == (LogStatus.SUPPRESSED, ACTS[act])


def test_a_claim_waits_for_a_pause_and_obeys_it(way: str) -> None:
    collector, waited = send_while(pause)
    assert waited
    assert collector.sent == []
    assert DeliveryLog.objects.get().status == LogStatus.PENDING


@pytest.mark.parametrize("act", [*ACTS, pause], ids=lambda act: act.__name__)
def test_a_suppression_waits_for_a_claim_and_the_message_was_already_leaving(
    act: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery, person = started()
    slowly(way, monkeypatch)
    collector = Collector()
    with in_thread(lambda: sending.work(delivery.pk, transport=collector)):
        wait_until_a_claim_sleeps()
        with in_thread(lambda: act(person, delivery)) as suppression:
            assert until_somebody_waits_or(suppression)
    assert len(collector.sent) == 1


def slowly(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have claims take a second between their check and their commit."""
    if way == "prepared":
        monkeypatch.setattr(prepared, "_MARK", prepared._MARK.replace("FROM counted)", "FROM counted, pg_sleep(1))"))
        return
    real = gate.judge_row

    def slow(*args: Any, **kwargs: Any) -> Reason:
        reason = real(*args, **kwargs)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1)")
        return reason

    monkeypatch.setattr(gate, "judge_row", slow)


def wait_until_a_claim_sleeps() -> None:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.005)
    raise AssertionError("no claim is under way")


def test_a_hand_off_and_the_return_of_a_person_never_wait_for_each_other_for_ever() -> None:
    """Both lock the profile first and the address after it; in two orders they would deadlock."""
    _delivery, person = started()
    digest = bytes(Address.objects.get(profile=person).digest)
    held, go_on = threading.Event(), threading.Event()
    problems: list[Exception] = []

    def hand_off() -> None:
        try:
            with transaction.atomic():
                sql.lock_for_hand_off(None, person.pk)
                held.set()
                go_on.wait(WAIT)
                lock_digests([digest], shared=True)
        except DatabaseError as error:
            problems.append(error)

    def come_back() -> None:
        by_person = Evidence(source=Source.LANDING_PAGE)
        try:
            with transaction.atomic():
                consent.forget_kept_opt_out(digest, service=None, evidence=by_person, at=timezone.now())
                consent.opt_in([person.pk], channel=None, evidence=by_person, at=timezone.now())
        except DatabaseError as error:
            problems.append(error)

    with in_thread(hand_off):
        assert held.wait(WAIT)
        with in_thread(come_back) as returning:
            assert until_somebody_waits_or(returning)
            go_on.set()
    assert problems == []


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_without_the_locks_a_message_leaves_after_the_opt_out(
    act: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, the tests above are blind."""
    monkeypatch.setattr(prepared, "_LOCK", "SELECT $1, $2, $3, $4")
    monkeypatch.setattr(sql, "lock_for_hand_off", lambda *args: None)
    monkeypatch.setattr(gate, "lock_digests", lambda *args, **kwargs: None)
    collector, _waited = send_while(act)
    assert len(collector.sent) == 1


@pytest.mark.parametrize("act", [opt_out, opt_out_of_everything, quarantine], ids=lambda act: act.__name__)
def test_locking_and_checking_in_one_statement_would_read_the_past(act: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, the tests above are blind: the statement waits, and then goes by the snapshot from before."""
    locks = """
      (SELECT count(*) FROM (SELECT 1 FROM profiles_profile WHERE id = r.profile FOR SHARE) p) >= 0
      AND (SELECT pg_advisory_xact_lock_shared(('x' || left(encode(r.digest, 'hex'), 16))::bit(64)::bigint)) IS NOT NULL
    """
    monkeypatch.setattr(prepared, "_LOCK", "SELECT $1, $2, $3, $4")
    monkeypatch.setattr(prepared, "_MARK", prepared._MARK.replace("WHERE ({stays})", f"WHERE {locks} AND ({{stays}})"))
    collector, waited = send_while(act)
    assert waited
    assert len(collector.sent) == 1
