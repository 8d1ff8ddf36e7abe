"""Reports about messages of ours, as mail systems write them: delivery status notifications, texts, complaints."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from deliveries import messages, reported
from deliveries.matching import digest_of
from deliveries.models import AnalysisRun, DeliveryLog, Lease, LogStatus
from deliveries.reported import Incoming, Result
from profiles.models import ConsentEvent
from profiles.tokens import seal_return_path
from quarantine.inbound import reports
from quarantine.models import QuarantinedAddress, QuarantineEvent, Report, Status
from tests.factories import DeliveryFactory

UNKNOWN = "5.1.1", "550 5.1.1 <{address}>: Recipient address rejected: User unknown"
FULL = "5.2.2", "552 5.2.2 <{address}>: Mailbox full"
SPAM = "5.7.1", "554 5.7.1 Message rejected as spam by content filtering"


@dataclass(frozen=True, slots=True)
class Proof:
    """The tokens of a message; empty: none."""

    path: str = ""
    identifier: str = ""

    @property
    def to(self) -> str:
        return f"{self.path}@bounces.jardins.example" if self.path else "news@jardins.example"


NOTHING = Proof()


def proof_of(row: DeliveryLog, *, path: bool = True, identifier: bool = True) -> Proof:
    """Return the tokens that the message of a row was sent with."""
    return Proof(
        seal_return_path(row.pk, bytes(row.digest or b"")) if path else "",
        messages.message_id(row.delivery.brand, "row", row.pk) if identifier else "",
    )


def dsn(
    *addresses: str, proof: Proof = NOTHING, says: tuple[str, str] = UNKNOWN, action: str = "failed", way: str = "mx1",
    body: str = "",
) -> bytes:  # fmt: skip
    """Return a report by RFC 3464 about these addresses, with the headers of the message, or all of it.

    `way` changes only the headers that systems add.
    """
    status, text = says
    blocks = "".join(
        f"Final-Recipient: rfc822; {address}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {text.format(address=address)}\r\n\r\n"
        for address in addresses
    )
    return (
        f"Return-Path: <>\r\nReceived: from {way}.example.net by mx.jardins.example; {way}\r\n"
        f"From: MAILER-DAEMON@example.net (Mail Delivery System)\r\nTo: {proof.to}\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"\r\n\r\n"
        "--b1\r\nContent-Type: text/plain\r\n\r\nYour message could not be delivered.\r\n\r\n"
        f"--b1\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n{blocks}"
        f"--b1\r\nContent-Type: {'message/rfc822' if body else 'text/rfc822-headers'}\r\n\r\n"
        f"{_returned(addresses, proof)}\r\n{body}\r\n--b1--\r\n"
    ).encode()  # fmt: skip


def text(address: str, *, proof: Proof = NOTHING, way: str = "mx1") -> bytes:
    """Return a report that is words only, as qmail writes it."""
    return (
        f"Return-Path: <>\r\nReceived: (qmail {way} invoked for bounce); {way}\r\n"
        f"From: MAILER-DAEMON@example.net\r\nTo: {proof.to}\r\nSubject: failure notice\r\n\r\n"
        "Hi. This is the qmail-send program at example.net.\r\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\r\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\r\n\r\n"
        f"<{address}>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n"
        f"--- Below this line is a copy of the message.\r\n\r\n{_returned([address], proof)}\r\nHello\r\n"
    ).encode()


def arf(*addresses: str, proof: Proof = NOTHING, way: str = "mx1") -> bytes:
    """Return a complaint (RFC 5965); without addresses, one whose recipient is blacked out."""
    named = "".join(f"Original-Rcpt-To: {address}\r\n" for address in addresses)
    return (
        f"Received: from {way}.example.net; {way}\r\nFrom: complaints@example.net\r\nTo: {proof.to}\r\n"
        "Subject: FW: Spring\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=\"b2\"\r\n\r\n"
        "--b2\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n\r\n"
        "--b2\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Y/1.0\r\n"
        f"Version: 1\r\n{named}\r\n"
        f"--b2\r\nContent-Type: message/rfc822\r\n\r\n{_returned(addresses, proof)}\r\nHello\r\n--b2--\r\n"
    ).encode()  # fmt: skip


def away(proof: Proof = NOTHING) -> bytes:
    """Return an automatic reply (RFC 3834)."""
    return (
        f"From: a@example.org\r\nTo: {proof.to}\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n"
        f"In-Reply-To: {proof.identifier}\r\n\r\nBack on Monday.\r\n"
    ).encode()


FORMATS = {"dsn": dsn, "text": text, "arf": arf}


def come(*raws: bytes) -> list[Result]:
    """Have reports come in together."""
    found: Sequence[Incoming] = [Incoming(reports.understand(raw), raw) for raw in raws]
    return reported.receive(found, at=timezone.now())


def sent_rows(*addresses: str) -> dict[str, DeliveryLog]:
    """Return the log rows of a delivery that was sent to some people, by address: written, and not really sent."""
    delivery = DeliveryFactory.create(label="Spring", contents=False)
    run = AnalysisRun.objects.create(delivery=delivery, number=1, state="done", delivery_version=1, at=timezone.now())
    Lease.objects.create(run=run, after_profile=0, upto_profile=3, size=len(addresses), sent=len(addresses))
    type(delivery).objects.update(current_run=run)
    for number, address in enumerate(addresses, 1):
        DeliveryLog.objects.create(
            run=run, delivery=delivery, profile_id=number, status=LogStatus.SENT, address=address,
            digest=digest_of(address),
        )  # fmt: skip
    return {row.address: row for row in DeliveryLog.objects.filter(delivery=delivery)}


def left_out() -> dict[str, int]:
    """Return address → cause of those that are left out."""
    found = QuarantinedAddress.objects.filter(status=Status.QUARANTINED)
    return {str(row.value): row.cause or 0 for row in found}


def history() -> tuple[int, ...]:
    """Return what must stay the same when nothing follows."""
    return (
        QuarantineEvent.objects.count(), ConsentEvent.objects.count(), Report.objects.count(),
        *AnalysisRun.objects.values_list("bounces", "complaints").get(),
        *DeliveryLog.objects.order_by("pk").values_list("reported", flat=True),
    )  # fmt: skip


def _returned(addresses: Sequence[str], proof: Proof) -> str:
    path = f"Return-Path: <{proof.to}>\r\n" if proof.path else ""
    identifier = f"Message-ID: {proof.identifier}\r\n" if proof.identifier else ""
    to = f"To: {', '.join(addresses)}\r\n" if addresses else ""
    return f"{path}From: Jardins <news@jardins.example>\r\n{to}Subject: Spring\r\n{identifier}"
