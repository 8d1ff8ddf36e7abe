"""Reports count for whom they prove, once; whatever else comes in suppresses nobody and waits for a person."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.utils import timezone

from deliveries import reported
from deliveries.messages import Envelope
from deliveries.models import AnalysisRun, DeliveryLog, LogStatus, Reported
from deliveries.reported import Incoming, Outcome
from deliveries.transports import Outcome as Outcome_
from profiles.consent import Evidence
from profiles.models import Act, ConsentEvent, OutboxMessage, Source
from profiles.tokens import Purpose, seal, seal_return_path
from quarantine.inbound import reports
from quarantine.inbound.opt_outs import Token
from quarantine.models import (
    Cause,
    QuarantinedAddress,
    QuarantineEvent,
    Reason,
    Report,
    ReportKind,
    ReportState,
    Status,
    Triage,
)
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory

from .reporting import FORMATS, FULL, NOTHING, SPAM, Proof, arf, away, come, dsn, history, left_out, proof_of, sent_rows
from .working import Slow, ok, sent

pytestmark = pytest.mark.django_db
A, B, C = "a@example.org", "b@example.org", "c@example.org"
BY = Evidence(source=Source.OPERATOR, actor_name="emilie", reason="I called them")


@pytest.fixture
def rows() -> dict[str, DeliveryLog]:
    return sent_rows(A, B, C)


def test_what_was_really_sent_comes_back_to_where_it_was_sent_from(settings: Any) -> None:
    """From the worker to the report: the tokens are those on the wire."""
    settings.BOUNCE_DOMAIN = "bounces.jardins.example"
    service = ServiceFactory.create()
    for address in (A, B):
        ProfileFactory.create(email=address, services=[service])
    wire: list[Envelope] = []

    def take(envelope: Envelope) -> Outcome_:
        wire.append(envelope)
        return ok(envelope.recipient)

    transport = Slow(ok)
    transport.send = take  # type: ignore[method-assign]
    sent(DeliveryFactory.create(service=service), transport)
    envelope = next(one for one in wire if one.recipient == A)
    identifier = envelope.body.partition(b"Message-ID: ")[2].split(b"\r\n")[0].decode()
    (result,) = come(dsn(A, proof=Proof(envelope.sender.partition("@")[0])))
    assert result.outcome == Outcome.APPLIED
    assert come(dsn(A, proof=Proof(identifier=identifier)))[0].outcome == Outcome.REPEATED
    assert left_out() == {A: Cause.BOUNCE}


def waiting() -> list[tuple[str, int]]:
    return list(Report.objects.filter(state=ReportState.WAITING).order_by("pk").values_list("kind", "triage"))


# -- what is proven ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("proven_by", ["path", "identifier"])
@pytest.mark.parametrize("shape", ["dsn", "text"])
def test_a_bounce_leaves_its_address_out_in_the_words_of_the_other_side(
    rows: dict[str, DeliveryLog], shape: str, proven_by: str
) -> None:
    proof = proof_of(rows[A], path=proven_by == "path", identifier=proven_by == "identifier")
    (result,) = come(FORMATS[shape](A, proof=proof))
    assert (result.outcome, result.token) == (Outcome.APPLIED, Token.VALID)
    entry = QuarantinedAddress.objects.get()
    assert (entry.value, entry.key, entry.domain) == (A, A, "example.org")
    assert (entry.status, entry.cause, entry.reason) == (Status.QUARANTINED, Cause.BOUNCE, Reason.USER_UNKNOWN)
    assert (entry.delivery_name, entry.release_at) == ("Spring", None)
    assert entry.text
    event = ConsentEvent.objects.get(act=Act.QUARANTINE)
    assert (event.source, event.delivery_id) == (Source.BOUNCE, rows[A].delivery_id)
    rows[A].refresh_from_db()
    assert (rows[A].status, rows[A].reported) == (LogStatus.SENT, Reported.HARD)
    assert not Report.objects.exists()
    assert AnalysisRun.objects.get().bounces == 1


@pytest.mark.parametrize("named", [True, False], ids=["named", "blacked out"])
def test_a_complaint_leaves_the_address_out_and_nothing_else(rows: dict[str, DeliveryLog], named: bool) -> None:
    (result,) = come(arf(*([A] if named else []), proof=proof_of(rows[A])))
    assert (result.outcome, [who.address for who in result.recipients]) == (Outcome.APPLIED, [A])
    assert left_out() == {A: Cause.COMPLAINT}
    assert ConsentEvent.objects.get(act=Act.QUARANTINE).source == Source.COMPLAINT
    assert not ConsentEvent.objects.filter(act=Act.OPT_OUT).exists()
    rows[A].refresh_from_db()
    assert rows[A].reported == Reported.COMPLAINT
    assert AnalysisRun.objects.get().complaints == 1


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        ("550 5.1.1 User unknown", Status.QUARANTINED, Reason.USER_UNKNOWN),
        ("552 5.2.2 Mailbox full", Status.ERRONEOUS, Reason.MAILBOX_FULL),
        ("554 5.7.1 Rejected as spam", None, None),
    ],
)
def test_a_bounce_that_names_nobody_counts_for_whom_its_message_was_for_by_what_its_text_says(
    rows: dict[str, DeliveryLog], words: str, status: Status | None, reason: Reason | None
) -> None:
    raw = dsn(proof=proof_of(rows[A])).replace(b"Your message could not be delivered.", words.encode())
    (result,) = come(raw)
    assert ([who.address for who in result.recipients], result.token) == ([A], Token.VALID)
    entry = QuarantinedAddress.objects.first()
    assert (entry and (entry.value, entry.status, entry.reason, entry.text)) == (status and (A, status, reason, words))
    assert not Report.objects.exists()


def test_a_complaint_beats_an_address_that_is_always_written_to_and_a_bounce_does_not(
    rows: dict[str, DeliveryLog],
) -> None:
    for address in (A, B):
        QuarantinedAddressFactory.create(value=address, status=Status.ALLOWLISTED, cause=None, quarantined_at=None)
    come(dsn(A, proof=proof_of(rows[A])), arf(B, proof=proof_of(rows[B])))
    assert left_out() == {B: Cause.COMPLAINT}


def test_an_address_is_the_same_however_its_report_spells_it(rows: dict[str, DeliveryLog]) -> None:
    come(dsn("A@EXAMPLE.ORG", proof=proof_of(rows[A])))
    assert left_out() == {A: Cause.BOUNCE}
    assert bytes(QuarantinedAddress.objects.get().digest) == bytes(rows[A].digest or b"")


def test_a_soft_error_counts_once_per_message_and_a_hard_one_after_it_still_counts(
    rows: dict[str, DeliveryLog],
) -> None:
    proof = proof_of(rows[A])
    with time_machine.travel(timezone.now()) as clock:
        for expected in (Outcome.APPLIED, Outcome.REPEATED, Outcome.REPEATED):
            (result,) = come(dsn(A, proof=proof, says=FULL))
            assert result.outcome == expected
            clock.shift(timedelta(days=2))
        entry = QuarantinedAddress.objects.get()
        assert (entry.status, entry.errors, entry.reason) == (Status.ERRONEOUS, 1, Reason.MAILBOX_FULL)
        assert come(dsn(A, proof=proof))[0].outcome == Outcome.APPLIED
        assert come(dsn(A, proof=proof, says=FULL))[0].outcome == Outcome.REPEATED
    rows[A].refresh_from_db()
    assert rows[A].reported == Reported.SOFT | Reported.HARD
    assert left_out() == {A: Cause.BOUNCE}
    assert AnalysisRun.objects.get().bounces == 1, "one message came back"


@pytest.mark.parametrize(
    "raw", [{"says": SPAM}, {"action": "delayed"}, {"action": "delivered", "says": ("2.0.0", "OK")}]
)
def test_a_refusal_of_ours_and_a_delay_say_nothing_about_the_address(
    rows: dict[str, DeliveryLog], raw: dict[str, Any]
) -> None:
    (result,) = come(dsn(A, proof=proof_of(rows[A]), **raw))
    assert (result.outcome, result.token) in {(Outcome.NOTHING, Token.VALID)}
    assert not QuarantinedAddress.objects.exists()
    assert not Report.objects.exists()


def test_a_message_whose_outcome_is_unknown_was_handed_over_if_it_comes_back(rows: dict[str, DeliveryLog]) -> None:
    DeliveryLog.objects.filter(pk=rows[A].pk).update(status=LogStatus.IN_DOUBT)
    assert come(dsn(A, proof=proof_of(rows[A])))[0].outcome == Outcome.APPLIED
    rows[A].refresh_from_db()
    assert (rows[A].status, rows[A].reported) == (LogStatus.IN_DOUBT, Reported.HARD)


def test_a_report_can_be_faster_than_the_worker_that_notes_what_it_sent(rows: dict[str, DeliveryLog]) -> None:
    DeliveryLog.objects.filter(pk=rows[A].pk).update(status=LogStatus.HANDING_OFF)
    assert come(dsn(A, proof=proof_of(rows[A])))[0].outcome == Outcome.APPLIED


def test_automatic_replies_and_other_mail_leave_no_trace(rows: dict[str, DeliveryLog]) -> None:
    found = come(away(proof_of(rows[A])), away(), b"Subject: Thanks!\r\nFrom: a@example.org\r\n\r\nThank you.\r\n")
    assert [result.outcome for result in found] == [Outcome.NOTHING] * 3
    assert not Report.objects.exists()
    assert not QuarantinedAddress.objects.exists()


def test_an_automatic_reply_to_a_forged_return_path_is_kept(rows: dict[str, DeliveryLog]) -> None:
    come(away(Proof(path="abcdefgh" * 5)))
    assert waiting() == [(ReportKind.AUTO_REPLY, Triage.FORGED)]


# -- replays ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", FORMATS)
@pytest.mark.parametrize("together", [True, False])
def test_ten_times_the_same_report_is_once(rows: dict[str, DeliveryLog], shape: str, together: bool) -> None:
    """Each time with other headers of its way."""
    raws = [FORMATS[shape](A, proof=proof_of(rows[A]), way=f"mx{n}") for n in range(10)]
    results = come(*raws) if together else [come(raw)[0] for raw in raws]
    assert [result.outcome for result in results] == [Outcome.APPLIED] + [Outcome.REPEATED] * 9
    assert QuarantineEvent.objects.count() == ConsentEvent.objects.filter(act=Act.QUARANTINE).count() == 1
    assert sum(AnalysisRun.objects.values_list("bounces", "complaints").get()) == 1


@pytest.mark.parametrize("shape", FORMATS)
def test_an_old_report_does_not_undo_a_release(rows: dict[str, DeliveryLog], shape: str) -> None:
    raw = FORMATS[shape](A, proof=proof_of(rows[A]))
    come(raw)
    QuarantinedAddress.objects.update(status=Status.VALID)
    before = history()
    assert come(raw)[0].outcome == Outcome.REPEATED
    assert (left_out(), history()) == ({}, before)


# -- forgeries ----------------------------------------------------------------------------------------------------
ELSEWHERE: dict[str, tuple[Callable[[dict[str, DeliveryLog]], Proof], Triage]] = {
    "no token": (lambda rows: NOTHING, Triage.NO_TOKEN),
    "the return path of another message": (lambda rows: proof_of(rows[C], identifier=False), Triage.OTHER_RECIPIENT),
    "the Message-ID of another message": (lambda rows: proof_of(rows[C], path=False), Triage.OTHER_RECIPIENT),
    "a return path that nobody made": (lambda rows: Proof(path="abcdefgh" * 5), Triage.FORGED),
    "a Message-ID that nobody made": (
        lambda rows: Proof(identifier=f"<{'aB3_x-Y9' * 4}aB3_x-@jardins.example>"), Triage.FORGED,
    ),
    "a token of another purpose": (
        lambda rows: Proof(identifier=f"<{seal(Purpose.UNDO, b'row' + rows[A].pk.to_bytes(8, 'big'))}@x.example>"),
        Triage.FORGED,
    ),
    "a return path for somebody else": (
        lambda rows: Proof(path=seal_return_path(rows[A].pk, b"x" * 16)), Triage.FORGED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ELSEWHERE)
@pytest.mark.parametrize("shape", FORMATS)
def test_what_does_not_prove_its_recipient_suppresses_nobody_and_waits(
    rows: dict[str, DeliveryLog], shape: str, case: str
) -> None:
    make, triage = ELSEWHERE[case]
    for address in (A, B):
        for _again in range(2):
            come(FORMATS[shape](address, proof=make(rows)))
    assert left_out() == {}
    assert not QuarantinedAddress.objects.exists()
    kind = ReportKind.COMPLAINT if shape == "arf" else ReportKind.BOUNCE
    assert waiting() == [(kind, triage)] * 2
    assert set(DeliveryLog.objects.values_list("reported", flat=True)) == {0}
    assert AnalysisRun.objects.values_list("bounces", "complaints").get() == (0, 0)


@pytest.mark.parametrize("shape", ["dsn", "arf"])
def test_a_report_that_names_the_whole_base_with_one_valid_token_counts_for_its_own_recipient_only(
    rows: dict[str, DeliveryLog], shape: str
) -> None:
    people = [f"p{n}@example.org" for n in range(60)]
    for address in people:
        ProfileFactory.create(email=address)
    come(FORMATS[shape](*people, A, B, proof=proof_of(rows[C])))
    assert left_out() == {}
    assert len(waiting()) == 1
    assert len(Report.objects.get().recipients) >= 50
    come(FORMATS[shape](*people, proof=NOTHING), FORMATS[shape](C, B, proof=proof_of(rows[C])))
    assert set(left_out()) == {C}
    assert {triage for _kind, triage in waiting()} == {Triage.OTHER_RECIPIENT, Triage.NO_TOKEN}


def test_a_report_about_a_test_message_changes_nothing_and_does_not_wait() -> None:
    digest = bytes(QuarantinedAddressFactory.build(value=A).digest)
    (result,) = come(dsn(A, proof=Proof(path=seal_return_path(-7, digest))))
    assert (result.outcome, result.token) == (Outcome.TEST, Token.VALID)
    assert not Report.objects.exists()
    assert not QuarantinedAddress.objects.exists()


@pytest.mark.parametrize(
    "status", [s for s in LogStatus if s not in (LogStatus.SENT, LogStatus.IN_DOUBT, LogStatus.HANDING_OFF)]
)
@pytest.mark.parametrize("shape", FORMATS)
def test_a_message_that_was_not_sent_cannot_come_back(
    rows: dict[str, DeliveryLog], shape: str, status: LogStatus
) -> None:
    DeliveryLog.objects.filter(pk=rows[A].pk).update(status=status)
    come(FORMATS[shape](A, proof=proof_of(rows[A])))
    assert (left_out(), [triage for _kind, triage in waiting()]) == ({}, [Triage.UNKNOWN_MESSAGE])


# -- once the log is gone -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", FORMATS)
def test_a_return_path_proves_its_recipient_also_when_the_log_is_gone_and_once(
    rows: dict[str, DeliveryLog], shape: str
) -> None:
    DeliveryLog.objects.all().delete()
    raw = FORMATS[shape](A, proof=proof_of(rows[A], identifier=False))
    assert come(raw)[0].outcome == Outcome.APPLIED
    assert list(left_out()) == [A]
    assert [report.state for report in Report.objects.all()] == [ReportState.APPLIED]
    QuarantinedAddress.objects.update(status=Status.VALID)
    assert [result.outcome for result in come(raw, FORMATS[shape](A, proof=proof_of(rows[A]), way="x"))] == [
        Outcome.REPEATED, Outcome.REPEATED,
    ]  # fmt: skip
    assert left_out() == {}


def test_without_a_log_row_nothing_else_counts(rows: dict[str, DeliveryLog]) -> None:
    """An error is counted once per message, and a Message-ID does not say whom the message was for."""
    DeliveryLog.objects.all().delete()
    come(
        dsn(A, proof=proof_of(rows[A]), says=FULL), dsn(A, proof=proof_of(rows[A], path=False)),
        dsn(B, proof=proof_of(rows[A])), arf(proof=proof_of(rows[A])),
    )  # fmt: skip
    assert not QuarantinedAddress.objects.exists()
    assert {triage for _kind, triage in waiting()} == {Triage.UNKNOWN_MESSAGE}
    assert len(waiting()) == 3


# -- around it ----------------------------------------------------------------------------------------------------
def test_nothing_that_comes_in_is_answered(rows: dict[str, DeliveryLog]) -> None:
    come(
        *(make(A, proof=proof_of(rows[A])) for make in FORMATS.values()), *(make(B) for make in FORMATS.values()),
        away(proof_of(rows[C])), away(),
    )  # fmt: skip
    assert not OutboxMessage.objects.exists()
    assert mail.outbox == []


def test_too_many_complaints_pause_what_is_being_sent(rows: dict[str, DeliveryLog], settings: Any) -> None:
    settings.PAUSE_COMPLAINTS_AFTER = 2
    delivery = rows[A].delivery
    type(delivery).objects.update(state="sending")
    come(arf(A, proof=proof_of(rows[A])))
    delivery.refresh_from_db()
    assert delivery.state == "paused"
    assert "1 of 3 people reported the message as spam" in delivery.problem


def test_a_batch_needs_no_more_queries_than_one_report(
    rows: dict[str, DeliveryLog], django_assert_max_num_queries: Any
) -> None:
    raws = [make(address, proof=proof_of(rows[address])) for address in (A, B, C) for make in FORMATS.values()]
    raws += [dsn(f"n{n}@example.org") for n in range(50)]
    found = [Incoming(reports.understand(raw), raw) for raw in raws]
    with django_assert_max_num_queries(45):
        reported.receive(found, at=timezone.now())
    assert len(left_out()) == 3
    assert len(waiting()) == 50
