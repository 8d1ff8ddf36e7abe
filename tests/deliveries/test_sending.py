"""Sending: nobody who opted out before their claim is written to, nothing is lost, nothing is doubled."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deliveries import analysis, gate, lifecycle, reports, sending
from deliveries.errors import ChannelNotSent, MoveRefused, NotReady
from deliveries.models import Delivery, DeliveryContent, DeliveryLog, InDoubtPolicy, Lease, LogStatus, Reason, State
from deliveries.sending import worker
from deliveries.sending.results import Result
from deliveries.sending.worker import _Sender
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile, Source
from quarantine.models import AnswerRule, Cause, Effect, QuarantinedAddress, Status
from quarantine.models import Reason as Fault
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory, add_address
from tests.sink import Sink, running_sink

pytestmark = pytest.mark.django_db
S = LogStatus
BY_OPERATOR = Evidence(source=Source.OPERATOR, actor_name="test", reason="test")


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running_sink() as running:
        yield running


def ready(*, people: int = 3, **fields: Any) -> Delivery:
    """Return a delivery to `people` subscribers, analysed."""
    service = ServiceFactory.create()
    for _n in range(people):
        ProfileFactory.create(services=[service])
    return analysed(DeliveryFactory.create(service=service, **fields))


def analysed(delivery: Delivery) -> Delivery:
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def send(delivery: Delivery) -> dict[LogStatus, int]:
    if delivery.state == State.ANALYSED:
        sending.start(delivery, at=timezone.now())
    sending.work(delivery.pk)
    return outcome(delivery)


def outcome(delivery: Delivery) -> dict[LogStatus, int]:
    delivery.refresh_from_db()
    assert delivery.current_run
    counts = {status: n for status, n in reports.outcomes(delivery.current_run).items() if n}
    rows = DeliveryLog.objects.filter(run=delivery.current_run)
    assert counts == {status: n for status in S if (n := rows.filter(status=status).count())}
    return counts


def test_each_pending_address_gets_one_message_and_the_delivery_finishes(sink: Sink) -> None:
    delivery = ready(people=5)
    assert send(delivery) == {S.SENT: 5}
    assert sorted(sink.recipients) == sorted(DeliveryLog.objects.values_list("address", flat=True))
    assert delivery.state == State.FINISHED


def test_an_opt_out_after_the_analysis_is_obeyed_and_counted(sink: Sink) -> None:
    delivery = ready()
    person = Profile.objects.order_by("pk")[1]
    consent.opt_out([person.pk], channel=Channel.EMAIL, evidence=BY_OPERATOR, at=timezone.now())
    assert send(delivery) == {S.SENT: 2, S.SUPPRESSED: 1}
    row = DeliveryLog.objects.get(profile=person.pk)
    assert (row.status, row.reason) == (S.SUPPRESSED, Reason.BLACKLISTED_CHANNEL)
    assert [line.since for line in reports.drift(delivery.current_run)] == [1]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("quarantine", Reason.QUARANTINED_PERSON),
        ("unsubscribe", Reason.UNSUBSCRIBED),
        ("everything", Reason.BLACKLISTED),
        ("other address", Reason.ADDRESS_CHANGED),
        ("quarantine and other address", Reason.QUARANTINED_PERSON),
        ("deleted", Reason.PROFILE_GONE),
    ],
)
def test_whatever_forbids_the_hand_off_since_the_analysis_stops_it(sink: Sink, what: str, reason: Reason) -> None:
    delivery = ready(people=1)
    person = Profile.objects.get()
    address = person.addresses.get()
    now = timezone.now()
    if "quarantine" in what:
        QuarantinedAddressFactory.create(value=address.value, cause=Cause.PERSON)
    if what == "unsubscribe":
        consent.unsubscribe([person.pk], delivery.service, evidence=BY_OPERATOR, at=now)
    if what == "everything":
        consent.opt_out([person.pk], channel=None, evidence=BY_OPERATOR, at=now)
    if "other address" in what:
        address.delete()
        add_address(person, Channel.EMAIL, "new@example.org")
    if what == "deleted":
        person.delete()
    assert send(delivery) == {S.SUPPRESSED: 1}
    assert DeliveryLog.objects.get().reason == reason
    assert sink.caught == []


def test_someone_who_left_the_service_is_spared_by_a_delivery_to_everybody(sink: Sink) -> None:
    delivery = ready(people=2, target="everybody")
    person = Profile.objects.first()
    consent.unsubscribe([person.pk], delivery.service, evidence=BY_OPERATOR, at=timezone.now())
    assert send(delivery) == {S.SENT: 1, S.SUPPRESSED: 1}


def test_a_second_address_becoming_primary_does_not_redirect_the_message(sink: Sink) -> None:
    delivery = ready(people=1)
    person = Profile.objects.get()
    old = person.addresses.get()
    add_address(person, Channel.EMAIL, "second@example.org")
    for position, value in ((3, old.value), (1, "second@example.org"), (2, old.value)):
        person.addresses.filter(value=value).update(position=position)
    assert send(delivery) == {S.SENT: 1}
    assert sink.recipients == [old.value]


def test_an_own_rule_decides_what_a_refusal_means(sink: Sink) -> None:
    AnswerRule.objects.create(pattern="moved to * pastures", effect=Effect.HARD, reason=Fault.ACCOUNT_DISABLED)
    AnswerRule.objects.create(pattern="5.1.1 * holiday", effect=Effect.SOFT, reason=Fault.UNREACHABLE)
    delivery = ready(people=3)
    first, second, _third = DeliveryLog.objects.order_by("pk").values_list("address", flat=True)
    said = {first: "554 She has moved to greener pastures", second: "550 5.1.1 on holiday"}
    sink.at_rcpt = said.get
    assert send(delivery) == {S.SENT: 1, S.FAILED: 2}
    gone, away = QuarantinedAddress.objects.get(value=first), QuarantinedAddress.objects.get(value=second)
    assert (gone.status, gone.reason) == (Status.QUARANTINED, Fault.ACCOUNT_DISABLED)
    assert (away.status, away.reason) == (Status.ERRONEOUS, Fault.UNREACHABLE)


def test_a_refused_mailbox_fails_is_quarantined_and_holds_up_nobody(sink: Sink) -> None:
    delivery = ready()
    gone = DeliveryLog.objects.order_by("pk")[0].address
    sink.at_rcpt = lambda recipient: "550 5.1.1 User unknown" if recipient == gone else None
    assert send(delivery) == {S.SENT: 2, S.FAILED: 1}
    entry = QuarantinedAddress.objects.get()
    assert (entry.status, entry.cause, entry.value) == (Status.QUARANTINED, Cause.BOUNCE, gone)
    assert DeliveryLog.objects.get(address=gone).answer == "550 5.1.1 User unknown"


def test_a_refusal_of_what_we_say_quarantines_nobody_and_is_tried_again(sink: Sink) -> None:
    delivery = ready(people=2)
    sink.at_data = lambda recipient: "554 5.7.1 Message rejected as spam"
    assert send(delivery) == {S.RETRY: 2}
    assert (delivery.state, QuarantinedAddress.objects.exists()) == (State.SENDING, False)
    sink.at_data = lambda recipient: None
    DeliveryLog.objects.update(not_before=timezone.now())
    Lease.objects.update(not_before=timezone.now())
    assert send(delivery) == {S.SENT: 2}


def test_many_refusals_of_what_we_say_pause_before_the_list_is_burnt(sink: Sink, settings: Any) -> None:
    settings.PAUSE_REFUSALS = 2
    delivery = ready(people=3)
    sink.at_data = lambda recipient: "554 5.7.1 Message rejected as spam"
    assert send(delivery) == {S.RETRY: 2, S.PENDING: 1}
    assert delivery.state == State.PAUSED


def test_a_refusal_of_the_sender_pauses_instead_of_burning_the_list(sink: Sink) -> None:
    delivery = ready(people=4)
    sink.at_mail = lambda sender: "553 5.7.1 Sender not allowed"
    assert send(delivery) == {S.PENDING: 3, S.RETRY: 1}
    assert delivery.state == State.PAUSED
    assert "Sender not allowed" in delivery.error
    sink.at_mail = lambda sender: None
    DeliveryLog.objects.filter(status=S.RETRY).update(not_before=timezone.now())
    Lease.objects.update(not_before=timezone.now())
    sending.resume(delivery)
    assert send(delivery) == {S.SENT: 4}


def test_a_temporary_refusal_is_tried_again_later_and_only_then(sink: Sink) -> None:
    delivery = ready(people=2)
    slow = DeliveryLog.objects.order_by("pk")[0].address
    sink.at_rcpt = lambda recipient: "451 4.7.1 Try again later" if recipient == slow else None
    assert send(delivery) == {S.SENT: 1, S.RETRY: 1}
    assert send(delivery) == {S.SENT: 1, S.RETRY: 1}
    assert delivery.state == State.SENDING
    assert sending.to_ring_again(timezone.now()) == []
    assert sending.to_ring_again(timezone.now() + timedelta(minutes=10)) == [delivery.pk]
    sink.at_rcpt = lambda recipient: None
    DeliveryLog.objects.filter(status=S.RETRY).update(not_before=timezone.now())
    Lease.objects.update(not_before=timezone.now())
    assert send(delivery) == {S.SENT: 2}
    assert delivery.state == State.FINISHED


def test_an_opt_out_between_two_tries_stops_the_second(sink: Sink) -> None:
    delivery = ready(people=1)
    sink.at_rcpt = lambda recipient: "451 Try again later"
    assert send(delivery) == {S.RETRY: 1}
    consent.opt_out([Profile.objects.get().pk], channel=None, evidence=BY_OPERATOR, at=timezone.now())
    sink.at_rcpt = lambda recipient: None
    DeliveryLog.objects.update(not_before=timezone.now())
    Lease.objects.update(not_before=timezone.now())
    assert send(delivery) == {S.SUPPRESSED: 1}


def test_nobody_listening_loses_nothing(settings: Any) -> None:
    delivery = ready(people=2)
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert send(delivery) == {S.PENDING: 1, S.RETRY: 1}
    assert delivery.state == State.SENDING


def test_a_line_that_breaks_after_the_message_leaves_its_outcome_unknown(sink: Sink) -> None:
    delivery = ready(people=1)
    sink.drop_after_data = True
    assert send(delivery) == {S.IN_DOUBT: 1}
    assert delivery.state == State.FINISHED
    assert len(sink.caught) == 1


def test_a_worker_that_died_leaves_at_most_one_message_in_doubt_and_none_twice(sink: Sink) -> None:
    delivery = ready(people=4)

    class Killed(BaseException):
        pass

    real = gate.hand_off

    def dead(*args: Any, **kwargs: Any) -> Any:
        outcome = real(*args, **kwargs)
        if len(sink.caught) == 2:
            raise Killed
        return outcome

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(gate, "hand_off", dead)
        # A dead process writes nothing and gives nothing back either.
        patch.setattr(_Sender, "_write_results", lambda self, lease: None)
        patch.setattr(worker, "give_back", lambda lease, **how: None)
        send(delivery)
    assert send(delivery) == {S.SENT: 1, S.HANDING_OFF: 1, S.PENDING: 2}, "somebody else's lease is respected"
    Lease.objects.update(expires_at=timezone.now())
    assert send(delivery) == {S.SENT: 3, S.IN_DOUBT: 1}
    assert len(sink.recipients) == len(set(sink.recipients)) == 4
    assert delivery.state == State.FINISHED


def test_resend_policy_sends_again_with_the_same_identifier(sink: Sink) -> None:
    delivery = ready(people=1, in_doubt_policy=InDoubtPolicy.RESEND)
    sending.start(delivery, at=timezone.now())
    Lease.objects.update(pending=0, handing_off=1)
    DeliveryLog.objects.update(status=S.HANDING_OFF, attempts=1)
    assert send(delivery) == {S.SENT: 1}


def test_an_outcome_that_comes_late_puts_a_doubtful_row_right(sink: Sink) -> None:
    delivery = ready(people=1)
    sending.start(delivery, at=timezone.now())
    Lease.objects.update(pending=0, in_doubt=1)
    DeliveryLog.objects.update(status=S.IN_DOUBT, attempts=1)
    row, lease = DeliveryLog.objects.get(), Lease.objects.get()
    sending.record(lease, Result(row, S.SENT, timezone.now(), "250 OK"))
    sending.record(lease, Result(row, S.FAILED, timezone.now(), "550 no"))
    assert outcome(delivery) == {S.SENT: 1}


def test_an_answer_that_comes_late_never_reopens_a_delivery_that_is_over(sink: Sink) -> None:
    delivery = ready(people=1)
    sending.start(delivery, at=timezone.now())
    Lease.objects.update(pending=0, handing_off=1)
    DeliveryLog.objects.update(status=S.HANDING_OFF, attempts=1)
    assert send(delivery) == {S.IN_DOUBT: 1}
    sending.record(Lease.objects.get(), Result(DeliveryLog.objects.get(), S.RETRY, timezone.now(), "451 later"))
    assert outcome(delivery) == {S.IN_DOUBT: 1}
    assert delivery.state == State.FINISHED


def test_a_repeated_task_sends_nothing_twice(sink: Sink) -> None:
    delivery = ready()
    send(delivery)
    sending.work(delivery.pk)
    sending.work(delivery.pk)
    assert len(sink.caught) == 3


def test_a_delivery_that_somebody_works_on_is_not_rung_again(settings: Any) -> None:
    settings.LEASE_SIZE = 1
    delivery = ready(people=3)
    sending.start(delivery, at=timezone.now())
    assert sending.to_ring_again(timezone.now()) == [delivery.pk]
    assert delivery.current_run
    assert sending.take_lease(delivery.current_run, at=timezone.now())
    assert sending.to_ring_again(timezone.now()) == []
    assert sending.to_ring_again(timezone.now() + settings.LEASE_TIME) == [delivery.pk]


def test_stopping_cancels_what_has_not_left(sink: Sink) -> None:
    delivery = ready(people=4)
    sending.start(delivery, at=timezone.now())
    sending.stop(delivery)
    assert send(delivery) == {S.CANCELLED: 4}
    assert delivery.state == State.STOPPED
    assert sink.caught == []


def test_pausing_stops_before_the_next_claim(sink: Sink) -> None:
    delivery = ready(people=4)
    sending.start(delivery, at=timezone.now())
    real = gate.hand_off

    def pause_after_first(*args: Any) -> Any:
        result = real(*args)
        Delivery.objects.filter(pk=delivery.pk, state=State.SENDING).update(state=State.PAUSED)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "hand_off", pause_after_first)
        sending.work(delivery.pk)
    assert outcome(delivery) == {S.SENT: 1, S.PENDING: 3}
    sending.resume(delivery)
    assert send(delivery) == {S.SENT: 4}


def test_text_messages_are_analysed_but_not_sent() -> None:
    service = ServiceFactory.create(channel=Channel.SMS)
    ProfileFactory.create(services=[service], sms="+33639980001")
    delivery = analysed(DeliveryFactory.create(service=service, channel=Channel.SMS))
    assert outcome(delivery) == {S.PENDING: 1}
    with pytest.raises(ChannelNotSent):
        sending.start(delivery, at=timezone.now())


def test_a_message_without_a_way_out_is_not_sent() -> None:
    delivery = ready(people=1)
    DeliveryContent.objects.filter(delivery=delivery, language="fr").update(text="Bonjour", html="<p>Bonjour</p>")
    with pytest.raises(NotReady) as caught:
        sending.start(delivery, at=timezone.now())
    assert len(caught.value.problems) == 4
    delivery.refresh_from_db()
    assert delivery.state == State.ANALYSED


def test_a_delivery_changed_since_its_analysis_is_not_sent() -> None:
    delivery = ready(people=1)
    lifecycle.void_analysis(delivery)
    assert delivery.state == State.DRAFT
    with pytest.raises(MoveRefused):
        sending.start(delivery, at=timezone.now())


def test_two_people_who_start_the_same_delivery_send_it_once(sink: Sink) -> None:
    delivery = ready(people=1)
    again = Delivery.objects.get(pk=delivery.pk)
    sending.start(delivery, at=timezone.now())
    with pytest.raises(MoveRefused):
        sending.start(again, at=timezone.now())


def test_a_mailbox_name_that_the_receiving_side_cannot_read_is_left_out() -> None:
    service = ServiceFactory.create()
    ProfileFactory.create(services=[service], email="zoé@example.org")
    delivery = analysed(DeliveryFactory.create(service=service))
    with running_sink(smtputf8=False) as plain:
        assert send(delivery) == {S.SUPPRESSED: 1}
        assert plain.caught == []
    assert DeliveryLog.objects.get().reason == Reason.ENCODING
