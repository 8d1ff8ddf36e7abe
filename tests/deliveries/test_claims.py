"""Both ways of claiming give the same: what is claimed, recorded, counted and left out."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deliveries import sending
from deliveries.exclusions import Judging
from deliveries.models import Delivery, DeliveryLog, Lease, LogStatus, Reason, RunReason, State
from deliveries.sending import stopping, worker
from deliveries.sending.plain import PlainClaims
from deliveries.sending.prepared import PreparedClaims
from deliveries.sending.results import Answer, Result
from deliveries.transports import Outcome
from deliveries.transports.base import Blame
from profiles.channels import Channel
from profiles.models import Profile
from quarantine.models import BlockedDomain, QuarantinedAddress, Status
from tests.deliveries.test_domains import YES, Answers, to
from tests.factories import QuarantinedAddressFactory

pytestmark = pytest.mark.django_db
S = LogStatus


class Claiming:
    """One lease of a delivery to a few people, and a way of claiming its rows."""

    def __init__(self, way: str, people: int = 3) -> None:
        self.delivery = to(*(f"p{n}@example.org" for n in range(people)))
        run = self.delivery.current_run
        assert run
        self.judging = Judging.now(Channel.EMAIL)
        made = PreparedClaims if way == "prepared" else PlainClaims
        self.claims = made(self.delivery, run, self.judging)
        lease = sending.take_lease(run, at=timezone.now())
        assert lease
        self.lease = lease

    @property
    def rows(self) -> list[DeliveryLog]:
        return list(DeliveryLog.objects.order_by("profile"))

    def ask(self, *results: Result, rows: list[DeliveryLog] | None = None) -> Answer:
        wanted = self.rows if rows is None else rows
        return self.claims.ask(self.lease, wanted, results, at=timezone.now())

    def statuses(self) -> list[S]:
        """Return the status of each row; the counters of the lease must say the same."""
        found = [S(row.status) for row in self.rows]
        lease = Lease.objects.get()
        assert {status: getattr(lease, status.counter) for status in S} == {s: found.count(s) for s in S}
        return found


@pytest.fixture(params=["prepared", "plain"])
def way(request: pytest.FixtureRequest) -> str:
    if request.param == "prepared" and connection.vendor != "postgresql":
        pytest.skip("prepared claims are PostgreSQL's")
    return str(request.param)


def test_rows_that_nothing_forbids_are_claimed_and_the_lease_is_renewed(way: str) -> None:
    claiming = Claiming(way)
    Lease.objects.update(expires_at=timezone.now() + timedelta(seconds=5))
    answer = claiming.ask()
    assert answer.claimed == {row.pk for row in claiming.rows}
    assert (answer.sending, answer.owned, answer.doubtful) == (True, True, [])
    assert claiming.statuses() == [S.HANDING_OFF] * 3
    assert {row.attempts for row in claiming.rows} == {1}
    assert all(row.claimed_at for row in claiming.rows)
    assert (Lease.objects.get().expires_at or timezone.now()) > timezone.now() + timedelta(seconds=60)


def test_what_became_of_the_last_ones_is_written_with_the_next_claim(way: str) -> None:
    claiming = Claiming(way)
    first, second, third = claiming.rows
    claiming.ask(rows=[first, second])
    first.attempts = second.attempts = 1
    at = timezone.now()
    took = timedelta(milliseconds=12)
    answer = claiming.ask(
        Result(first, S.SENT, at, "250 OK", took=took),
        Result(second, S.RETRY, at, "451 l'été \"x\" \\ {a,b} $1 %s; DROP TABLE x; --", at + timedelta(hours=1), took),
        rows=[third],
    )  # fmt: skip
    assert answer.claimed == {third.pk}
    assert claiming.statuses() == [S.SENT, S.RETRY, S.HANDING_OFF]
    kept = claiming.rows[1]
    assert kept.answer == '451 l\'été "x" \\ {a,b} $1 %s; DROP TABLE x; --'
    assert kept.not_before == at + timedelta(hours=1)
    lease = Lease.objects.get()
    assert (lease.sent_ms, lease.failed_ms, lease.failed_tries, lease.hard) == (12, 12, 1, 0)
    third.attempts = 1
    claiming.ask(Result(third, S.FAILED, at, "550 5.1.1 no", took=took, hard=True), rows=[])
    assert claiming.statuses() == [S.SENT, S.RETRY, S.FAILED]
    assert Lease.objects.get().hard == 1


def test_a_row_that_was_not_handed_over_after_all_goes_back(way: str) -> None:
    claiming = Claiming(way, people=1)
    [row] = claiming.rows
    claiming.ask()
    row.attempts = 1
    claiming.ask(Result(row, S.PENDING, timezone.now()), rows=[])
    assert claiming.statuses() == [S.PENDING]
    assert Lease.objects.get().failed_tries == 0, "no hand-off, no cost"


def test_the_outcome_of_an_earlier_try_changes_nothing(way: str) -> None:
    claiming = Claiming(way, people=1)
    [row] = claiming.rows
    claiming.ask()
    DeliveryLog.objects.update(attempts=2)
    row.attempts = 1
    claiming.ask(Result(row, S.SENT, timezone.now(), "250 OK"), rows=[])
    assert claiming.statuses() == [S.HANDING_OFF]


def opted_out(claiming: Claiming, row: DeliveryLog) -> Reason:
    Profile.objects.filter(pk=row.profile_id).update(blacklisted_email=True)
    return Reason.BLACKLISTED_CHANNEL


def quarantined(claiming: Claiming, row: DeliveryLog) -> Reason:
    QuarantinedAddressFactory.create(value=row.address)
    return Reason.QUARANTINED_BOUNCE


def gone(claiming: Claiming, row: DeliveryLog) -> Reason:
    Profile.objects.filter(pk=row.profile_id).delete()
    return Reason.PROFILE_GONE


def without_address(claiming: Claiming, row: DeliveryLog) -> Reason:
    Profile.objects.get(pk=row.profile_id).addresses.all().delete()
    return Reason.ADDRESS_CHANGED


def unsubscribed(claiming: Claiming, row: DeliveryLog) -> Reason:
    Profile.objects.get(pk=row.profile_id).subscriptions.all().delete()
    return Reason.UNSUBSCRIBED


def blocked(claiming: Claiming, row: DeliveryLog) -> Reason:
    BlockedDomain.objects.create(domain="example.org")
    claiming.claims.judge_by(Judging.now(Channel.EMAIL))
    return Reason.BLOCKED_DOMAIN


@pytest.mark.parametrize("forbid", [opted_out, quarantined, gone, without_address, unsubscribed, blocked])
def test_whom_something_forbids_is_not_claimed(way: str, forbid: Any) -> None:
    claiming = Claiming(way)
    _first, second, _third = claiming.rows
    reason = forbid(claiming, second)
    answer = claiming.ask(rows=[second])
    assert (answer.claimed, answer.doubtful) == (set(), [])
    assert claiming.statuses() == [S.PENDING, S.SUPPRESSED, S.PENDING]
    assert claiming.rows[1].reason == reason == RunReason.objects.get(since=1).reason
    assert claiming.rows[1].finished_at


def test_nothing_is_claimed_of_a_paused_delivery_or_a_lost_lease_but_outcomes_are_written(
    way: str,
) -> None:
    claiming = Claiming(way)
    first, second, _third = claiming.rows
    claiming.ask(rows=[first])
    first.attempts = 1
    Delivery.objects.update(state=State.PAUSED)
    answer = claiming.ask(Result(first, S.SENT, timezone.now(), "250"), rows=[second])
    assert (answer.claimed, answer.sending) == (set(), False)
    assert claiming.statuses() == [S.SENT, S.PENDING, S.PENDING]
    Delivery.objects.update(state=State.SENDING)
    Lease.objects.update(owner="somebody else")
    answer = claiming.ask(rows=[second])
    assert (answer.claimed, answer.owned) == (set(), False)
    Lease.objects.update(owner=claiming.lease.owner, expires_at=timezone.now())
    answer = claiming.ask(rows=[second])
    assert (answer.claimed, answer.owned) == (set(), False)
    assert claiming.statuses() == [S.SENT, S.PENDING, S.PENDING]


def test_an_address_with_errors_is_told_so_that_a_success_ends_them(way: str) -> None:
    claiming = Claiming(way)
    second = claiming.rows[1]
    QuarantinedAddressFactory.create(value=second.address, status=Status.ERRONEOUS, cause=None)
    assert claiming.ask().erroneous == {second.pk}
    sending.work(claiming.delivery.pk, transport=Answers())
    assert QuarantinedAddress.objects.get().status == Status.ERRONEOUS, "its row is somebody else's"


@pytest.mark.postgres
def test_claims_see_each_statement_s_own_snapshot_whatever_the_server_is_set_to() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'repeatable read'")
        Claiming("prepared").ask()
        cursor.execute("SHOW default_transaction_isolation")
        assert cursor.fetchone() == ("read committed",)


class Watching(Answers):
    """Does something while the first message of a group leaves."""

    def __init__(self, meanwhile: Any) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    def send(self, envelope: Any) -> Outcome:
        if not self.asked:
            self.meanwhile()
        return super().send(envelope)


def test_a_group_is_checked_together_and_what_takes_too_long_is_checked_again(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HAND_OFF_GROUP = 3
    delivery = to(*(f"p{n}@example.org" for n in range(6)))
    people = list(DeliveryLog.objects.order_by("profile").values_list("profile", flat=True))

    def opt_out_the_second() -> None:
        Profile.objects.filter(pk=people[1]).update(blacklisted_email=True)
        monkeypatch.setattr(worker, "CHECKED_FOR", timedelta(0))  # the first took longer than that

    transport = Watching(opt_out_the_second)
    sending.work(delivery.pk, transport=transport, budget=timedelta(seconds=1))  # else it would be tried for a minute
    assert len(transport.asked) == 1, "the others of the group are given back"
    monkeypatch.undo()
    sending.work(delivery.pk, transport=transport)
    statuses = [S(row.status) for row in DeliveryLog.objects.order_by("profile")]
    assert statuses == [S.SENT, S.SUPPRESSED, S.SENT, S.SENT, S.SENT, S.SENT]


def test_the_rest_of_a_group_goes_back_when_the_server_is_gone(settings: Any) -> None:
    settings.HAND_OFF_GROUP = 3
    delivery = to(*(f"p{n}@example.org" for n in range(3)))
    gone_away = Answers(example_org=Outcome(S.RETRY, 0, "nobody there", Blame.CONNECTION))
    sending.work(delivery.pk, transport=gone_away)
    assert len(gone_away.asked) == 1
    assert [S(row.status) for row in DeliveryLog.objects.order_by("profile")] == [S.RETRY, S.PENDING, S.PENDING]


def test_a_process_that_is_asked_to_end_finishes_what_is_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = to(*(f"p{n}@example.org" for n in range(3)))
    asked: list[bool] = []
    monkeypatch.setattr(stopping, "_asked", [lambda: bool(asked)])
    transport = Watching(lambda: asked.append(True))
    assert sending.work(delivery.pk, transport=transport), "the rest is rung for"
    assert [S(row.status) for row in DeliveryLog.objects.order_by("profile")] == [S.SENT, S.PENDING, S.PENDING]
    assert Lease.objects.get().expires_at is None, "and the lease is given back"
    assert YES.status == S.SENT
