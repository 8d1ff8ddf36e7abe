"""Messages whose outcome is unknown: what people say became of them counts once, and the ledger still balances."""

import threading
from datetime import timedelta
from email import message_from_bytes
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries import lifecycle, sending
from deliveries.errors import MoveRefused
from deliveries.messages import Envelope
from deliveries.models import AnalysisRun, Delivery, DeliveryLog, Lease, Reason, State
from deliveries.reports import outcomes
from deliveries.sending import doubt
from deliveries.sending.doubt import Resolution
from deliveries.sending.leases import record
from deliveries.sending.results import Result
from deliveries.transports import Outcome
from profiles import consent
from profiles.channels import Channel
from profiles.models import AuditEvent
from tests.deliveries.working import BY, S, Slow, analysed, draft, ok, sent
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


class Lost:
    """A transport whose line breaks while the first `many` messages are leaving; it keeps what it is given."""

    def __init__(self, many: int) -> None:
        self.many, self.given = many, list[tuple[str, str]]()

    def send(self, envelope: Envelope) -> Outcome:
        self.given.append((envelope.recipient, message_from_bytes(envelope.body)["Message-ID"]))
        if len(self.given) <= self.many:
            return Outcome(S.IN_DOUBT, text="connection lost after the message")
        return Outcome(S.SENT, 250, "OK")

    def close(self) -> None: ...


def doubtful(many: int = 2, people: int = 4) -> tuple[Delivery, AnalysisRun]:
    """Return a finished delivery of which the outcome of some messages is unknown."""
    delivery = sent(draft(people), Lost(many))
    assert delivery.state == State.FINISHED
    assert delivery.current_run
    return delivery, delivery.current_run


def rows() -> list[int]:
    return list(DeliveryLog.objects.filter(status=S.IN_DOUBT).order_by("profile").values_list("pk", flat=True))


def resolve(run: AnalysisRun, chosen: list[int] | None, to: Resolution, by: Any = None) -> int:
    return doubt.resolve(run, chosen, to, by=by or UserFactory.create(), at=timezone.now())


def counted(run: AnalysisRun) -> dict[Any, int]:
    """Return status → number from the counters, after checking that the rows say the same."""
    for lease in Lease.objects.filter(run=run):
        for status in S:
            within = DeliveryLog.objects.filter(profile__gt=lease.after_profile, profile__lte=lease.upto_profile)
            assert within.filter(run=run, status=status).count() == getattr(lease, status.counter)
    return {status: number for status, number in outcomes(run).items() if number}


def test_what_arrived_is_sent_and_nothing_else_moves() -> None:
    _delivery, run = doubtful()
    first, second = rows()
    assert resolve(run, [first], Resolution.ARRIVED) == 1
    assert counted(run) == {S.SENT: 3, S.IN_DOUBT: 1}
    assert rows() == [second]
    assert Delivery.objects.get().state == State.FINISHED


def test_all_of_several_ranges_are_decided_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "LEASE_SIZE", 2)
    monkeypatch.setattr(doubt, "AT_ONCE", 2)
    _delivery, run = doubtful(many=7, people=7)
    assert Lease.objects.filter(in_doubt__gt=0).count() > 2
    assert resolve(run, rows()[:5], Resolution.ARRIVED) == 5
    assert resolve(run, None, Resolution.ARRIVED) == 2
    assert counted(run) == {S.SENT: 7}
    assert sum(AuditEvent.objects.filter(subject_id=str(run.delivery_id)).values_list("rows", flat=True)) == 7


def test_what_did_not_arrive_is_sent_again_with_the_same_identifier() -> None:
    delivery = draft(2)
    sending.start(analysed(delivery), at=timezone.now())
    transport = Lost(1)
    sending.work(delivery.pk, transport=transport)
    assert delivery.current_run
    assert resolve(delivery.current_run, None, Resolution.SEND_AGAIN) == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.finished_at) == (State.SENDING, None)
    assert sending.to_ring_again(timezone.now()) == [delivery.pk]
    sending.work(delivery.pk, transport=transport)
    assert counted(delivery.current_run) == {S.SENT: 2}
    assert transport.given[0] == transport.given[2]
    delivery.refresh_from_db()
    assert delivery.state == State.FINISHED


def test_whoever_has_opted_out_meanwhile_is_not_written_to_again() -> None:
    delivery, run = doubtful(many=1)
    person = DeliveryLog.objects.get(status=S.IN_DOUBT).profile_id
    resolve(run, None, Resolution.SEND_AGAIN)
    consent.opt_out([person], channel=Channel.EMAIL, evidence=BY, at=timezone.now())
    transport = Lost(0)
    sending.work(delivery.pk, transport=transport)
    assert transport.given == []
    assert counted(run) == {S.SENT: 3, S.SUPPRESSED: 1}
    assert DeliveryLog.objects.get(status=S.SUPPRESSED).reason == Reason.BLACKLISTED_CHANNEL


@pytest.mark.parametrize(
    ("state", "after"),
    [(State.SENDING, State.SENDING), (State.PAUSED, State.PAUSED), (State.FINISHED, State.SENDING)],
)
def test_only_a_finished_delivery_moves_when_something_is_sent_again(state: State, after: State) -> None:
    _delivery, run = doubtful()
    Delivery.objects.update(state=state)
    assert resolve(run, None, Resolution.SEND_AGAIN) == 2
    assert Delivery.objects.get().state == after


@pytest.mark.parametrize("state", [State.STOPPING, State.STOPPED])
def test_what_was_stopped_for_good_sends_nothing_again_but_what_arrived_may_be_said(state: State) -> None:
    _delivery, run = doubtful()
    Delivery.objects.update(state=state)
    with pytest.raises(MoveRefused):
        resolve(run, None, Resolution.SEND_AGAIN)
    assert counted(run) == {S.SENT: 2, S.IN_DOUBT: 2}
    assert not AuditEvent.objects.filter(subject_id=str(run.delivery_id)).exists()
    assert resolve(run, None, Resolution.ARRIVED) == 2


def test_a_retry_that_waits_does_not_hold_back_what_is_sent_again() -> None:
    delivery, run = doubtful(many=1)
    later = timezone.now() + timedelta(hours=2)
    other = DeliveryLog.objects.filter(status=S.SENT).first()
    assert other
    DeliveryLog.objects.filter(pk=other.pk).update(status=S.RETRY, not_before=later)
    Lease.objects.update(sent=F("sent") - 1, retry=1, not_before=later)
    resolve(run, None, Resolution.SEND_AGAIN)
    transport = Lost(0)
    sending.work(delivery.pk, transport=transport)
    assert len(transport.given) == 1
    assert counted(run) == {S.SENT: 3, S.RETRY: 1}


def test_a_second_decision_finds_nothing_to_decide() -> None:
    _delivery, run = doubtful()
    chosen = rows()
    assert resolve(run, chosen, Resolution.ARRIVED) == 2
    assert resolve(run, chosen, Resolution.SEND_AGAIN) == 0
    assert Delivery.objects.get().state == State.FINISHED
    assert counted(run) == {S.SENT: 4}


def test_rows_that_are_not_in_doubt_or_of_another_run_stay_as_they_are() -> None:
    _delivery, run = doubtful()
    _other, another_run = doubtful()
    certain = list(DeliveryLog.objects.filter(run=run, status=S.SENT).values_list("pk", flat=True))
    foreign = list(DeliveryLog.objects.filter(run=another_run).values_list("pk", flat=True))
    assert resolve(run, [*certain, *foreign], Resolution.SEND_AGAIN) == 0
    assert counted(another_run) == {S.SENT: 2, S.IN_DOUBT: 2}


# -- late answers ----------------------------------------------------------------------------------------------------


def _late(row: DeliveryLog, outcome: Outcome) -> None:
    """Write an outcome that a slow worker had in hand while its lease went to somebody else."""
    lease = Lease.objects.get(after_profile__lt=row.profile_id, upto_profile__gte=row.profile_id)
    record(lease, Result(row, outcome.status, timezone.now(), outcome.answer, took=timedelta(seconds=90)))


def test_an_answer_that_comes_before_the_decision_counts() -> None:
    _delivery, run = doubtful(many=1)
    row = DeliveryLog.objects.get(status=S.IN_DOUBT)
    _late(row, Outcome(S.SENT, 250, "OK"))
    assert resolve(run, [row.pk], Resolution.SEND_AGAIN) == 0
    assert counted(run) == {S.SENT: 4}


def test_an_answer_that_comes_after_the_decision_keeps_a_message_from_being_sent_twice() -> None:
    delivery, run = doubtful(many=1)
    row = DeliveryLog.objects.get(status=S.IN_DOUBT)
    assert resolve(run, [row.pk], Resolution.SEND_AGAIN) == 1
    _late(row, Outcome(S.SENT, 250, "OK"))
    assert counted(run) == {S.SENT: 4}
    transport = Lost(0)
    sending.work(delivery.pk, transport=transport)
    assert transport.given == []
    assert Delivery.objects.get().state == State.FINISHED


def test_a_late_refusal_does_not_undo_what_is_being_sent_again() -> None:
    _delivery, run = doubtful(many=1)
    row = DeliveryLog.objects.get(status=S.IN_DOUBT)
    resolve(run, [row.pk], Resolution.SEND_AGAIN)
    _late(row, Outcome(S.FAILED, 550, "No such user"))
    assert counted(run) == {S.SENT: 3, S.RETRY: 1}


# -- at the same moment ----------------------------------------------------------------------------------------------


def test_a_delivery_does_not_finish_over_a_message_that_has_just_been_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    delivery, run = doubtful(many=1)
    Delivery.objects.update(state=State.SENDING)
    real = lifecycle.sql.lock_for_move

    def meanwhile(pk: int) -> None:
        monkeypatch.setattr(lifecycle.sql, "lock_for_move", real)
        resolve(run, None, Resolution.SEND_AGAIN)
        real(pk)

    monkeypatch.setattr(lifecycle.sql, "lock_for_move", meanwhile)
    assert not lifecycle.finish_if_done(delivery, timezone.now())
    assert Delivery.objects.get().state == State.SENDING


@pytest.mark.django_db(transaction=True)
def test_two_operators_at_once_decide_each_message_once() -> None:
    """One says that all arrived, the other has all sent again, while a worker goes on: each row follows one of them."""
    delivery, run = doubtful(many=30, people=40)
    people = [UserFactory.create(), UserFactory.create()]
    start, moved, problems = threading.Barrier(3), list[tuple[Resolution, int]](), list[Exception]()
    Delivery.objects.update(state=State.SENDING)

    def decide(to: Resolution, by: Any) -> None:
        try:
            start.wait()
            for pk in chosen if to == Resolution.ARRIVED else reversed(chosen):
                moved.append((to, doubt.resolve(run, [pk], to, by=by, at=timezone.now())))
        except Exception as error:  # noqa: BLE001 (told by the main thread)
            problems.append(error)
        finally:
            connection.close()

    def work() -> None:
        try:
            start.wait()
            for _n in range(10):
                sending.work(delivery.pk, transport=Slow(ok))
        except Exception as error:  # noqa: BLE001
            problems.append(error)
        finally:
            connection.close()

    chosen = rows()
    threads = [threading.Thread(target=decide, args=pair) for pair in zip(Resolution, people, strict=True)]
    threads.append(threading.Thread(target=work))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sum(number for _to, number in moved) == 30
    sending.work(delivery.pk, transport=Slow(ok))
    assert counted(run) == {S.SENT: 40}
    assert Delivery.objects.get().state == State.FINISHED
    tries = DeliveryLog.objects.filter(attempts=2).count()
    assert tries == sum(number for to, number in moved if to == Resolution.SEND_AGAIN)


# -- audit and cost --------------------------------------------------------------------------------------------------


def test_who_decided_and_about_how_many_is_audited() -> None:
    delivery, run = doubtful()
    user = UserFactory.create(username="emilie")
    resolve(run, None, Resolution.SEND_AGAIN, by=user)
    event = AuditEvent.objects.get(subject_id=str(delivery.pk), subject="deliveries.Delivery")
    assert (event.actor_name, event.rows) == ("emilie", 2)
    assert (event.before, event.after) == ({"state": "finished"}, {"state": "sending", "in_doubt": "again"})


def test_the_cost_does_not_grow_with_the_messages() -> None:
    costs = []
    for many in (1, 30):
        _delivery, run = doubtful(many=many, people=many + 1)
        with CaptureQueriesContext(connection) as queries:
            doubt.resolve(run, None, Resolution.ARRIVED, by=UserFactory.build(pk=1), at=timezone.now())
        costs.append(len(queries))
    assert costs[0] == costs[1]
