"""The mail systems of the made-up people: what they refuse at once, and what they send back later, in their own words.

Which address meets what is drawn from the address itself, so that each run meets the same. Addresses that are not in
`people.csv` (a visitor's, a test's) are always taken, and so are those of the people whom the guide names.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from enum import Enum
from functools import lru_cache

from django.utils import timezone

from profiles.addresses import Validity, read
from profiles.channels import Channel

from . import people

OUTAGE_DOMAIN = "post.example"  # whose list of mailboxes did not answer while the first delivery arrived
_OUT_OF = 1_000


class Behaviour(Enum):
    """What becomes of a message to an address."""

    UNKNOWN = "unknown"  # refused at once: no such mailbox
    FULL = "full"  # refused at once: the mailbox is full
    RETURNED = "returned"  # taken, and returned later: no such mailbox
    OUTAGE = "outage"  # the same, by mistake
    AWAY = "away"  # taken, and answered by a program
    COMPLAINT = "complaint"  # taken, and reported as spam


ANSWERS = {
    Behaviour.UNKNOWN: "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table",
    Behaviour.FULL: "552 5.2.2 <{address}>: Mailbox full. Quota exceeded",
}
_RETURNED = "550 5.1.1 <{address}>: No such mailbox here"
_OUTAGE = "550 5.1.1 <{address}>: User unknown (the directory of mailboxes does not answer)"
_SHARES = (
    (8, Behaviour.UNKNOWN), (12, Behaviour.FULL), (20, Behaviour.RETURNED), (26, Behaviour.AWAY),
    (28, Behaviour.COMPLAINT),
)  # fmt: skip
_OUTAGE_SHARE = 250
_TO = re.compile(r"(?m)^To:.*(?:\r\n[ \t].*)*(?=\r)")


@dataclass(frozen=True, slots=True)
class Post:
    """A message that was taken: its envelope, and itself."""

    sender: str
    recipient: str
    body: bytes


def behaviour(address: str, *, outage: bool = False) -> Behaviour | None:
    """Return what a message to an address meets; None when it simply arrives."""
    key = read(Channel.EMAIL, address).key
    drawn = _draws().get(key)
    if drawn is None:
        return None
    found = next((one for limit, one in _SHARES if drawn < limit), None)
    in_outage = outage and key.endswith("@" + OUTAGE_DOMAIN) and drawn < _OUTAGE_SHARE
    return found or (Behaviour.OUTAGE if in_outage else None)


def refusal(address: str) -> str:
    """Return the answer by which an address is refused at once, or nothing."""
    found = behaviour(address)
    return ANSWERS[found].format(address=address) if found in ANSWERS else ""


def comes_back(post: Post, *, outage: bool) -> bytes:
    """Return the message that is sent back for one that was taken, or nothing."""
    found = behaviour(post.recipient, outage=outage)
    if found == Behaviour.COMPLAINT:
        return _complaint(post)
    if found == Behaviour.AWAY:
        return _answer(post)
    if found in (Behaviour.RETURNED, Behaviour.OUTAGE):
        words = (_OUTAGE if found == Behaviour.OUTAGE else _RETURNED).format(address=post.recipient)
        return _for_people(post, words) if _is_old(post.recipient) else _report(post, words)
    return b""


@lru_cache(maxsize=1)
def _draws() -> Mapping[str, int]:
    """Return the key of each made-up address with a number below a thousand."""
    known = {read(Channel.EMAIL, person.email).key for person in people.KNOWN}
    found = [read(Channel.EMAIL, line.email) for line in people.read(people.Person, "people.csv")]
    keys = {one.key for one in found if one.validity == Validity.VALID} - known
    return {key: int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % _OUT_OF for key in keys}


def _is_old(address: str) -> bool:
    """Say whether the mail system of an address writes its reports for people only, as qmail does."""
    return address.lower().endswith("example.net")


def _begin(post: Post, *, subject: str, sender: str = "") -> EmailMessage:
    host = post.recipient.rpartition("@")[2]
    host = host if host.isascii() else "mail.example"
    mail = EmailMessage(policy=policy.SMTP)
    mail["Return-Path"] = "<>"
    mail["From"] = sender or f"Mail Delivery System <MAILER-DAEMON@{host}>"
    mail["To"] = post.sender
    mail["Subject"] = subject
    mail["Date"] = format_datetime(timezone.now())
    mail["Message-ID"] = make_msgid(domain=host)
    mail["Auto-Submitted"] = "auto-replied"
    return mail


def _headers_of(post: Post) -> str:
    return post.body.partition(b"\r\n\r\n")[0].decode("utf-8", "replace") + "\r\n\r\n"


def _part(kind: str, text: str) -> bytes:
    return f"Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n".encode()


def _as_report(mail: EmailMessage, kind: str, parts: list[bytes]) -> bytes:
    """Return a report of several parts (RFC 6522): the words for people, those for machines, what came back."""
    boundary = "=_what-came-back"
    mail["MIME-Version"] = "1.0"
    mail["Content-Type"] = f'multipart/report; report-type={kind}; boundary="{boundary}"'
    # The generator would add parts of its own, which are none.
    head, between = bytes(mail).partition(b"\r\n\r\n")[0], f"--{boundary}\r\n".encode()
    return b"".join([head, b"\r\n\r\n", *(between + part for part in parts), f"--{boundary}--\r\n".encode()])


def _report(post: Post, words: str) -> bytes:
    """Return a delivery status notification (RFC 3464)."""
    mail = _begin(post, subject="Undelivered Mail Returned to Sender")
    told = (
        f"I'm sorry to have to inform you that your message could not be delivered.\r\n\r\n<{post.recipient}>: {words}"
    )
    status = (
        "Reporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; {post.recipient}\r\nOriginal-Recipient: rfc822;{post.recipient}\r\n"
        f"Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; {words}"
    )
    parts = [
        _part("text/plain", told), _part("message/delivery-status", status),
        _part("text/rfc822-headers", _headers_of(post)),
    ]  # fmt: skip
    return _as_report(mail, "delivery-status", parts)


def _for_people(post: Post, words: str) -> bytes:
    """Return a report as old mail systems write it: a text for people, and the message below."""
    mail = _begin(post, subject="failure notice")
    mail.set_content(
        "Hi. This is the mail program at example.net.\r\nI'm afraid I wasn't able to deliver your message to the "
        "following addresses.\r\nThis is a permanent error; I've given up. Sorry it didn't work out.\r\n\r\n"
        f"<{post.recipient}>:\r\n{words}\r\n\r\n--- Below this line is a copy of the message.\r\n\r\n"
        + _headers_of(post)
    )
    return bytes(mail)


def _answer(post: Post) -> bytes:
    mail = _begin(post, subject="Absence du bureau", sender=post.recipient)
    mail.set_content("Je suis en congé jusqu'à lundi, et vous réponds à mon retour.\r\n")
    return bytes(mail)


def _complaint(post: Post) -> bytes:
    """Return a report of abuse (RFC 5965), in which the provider keeps the recipient to itself."""
    mail = _begin(post, subject="FW: a message of yours", sender="Feedback loop <feedback@providers.example>")
    original = message_from_bytes(post.body, policy=policy.SMTP)
    told = f"A user of ours has reported this message as spam: {original['Subject']}"
    about = f"Feedback-Type: abuse\r\nUser-Agent: Feedback/1.0\r\nVersion: 1\r\nOriginal-Mail-From: <{post.sender}>"
    parts = [
        _part("text/plain", told), _part("message/feedback-report", about),
        _part("text/rfc822-headers", _TO.sub("To: redacted", _headers_of(post))),
    ]  # fmt: skip
    return _as_report(mail, "feedback-report", parts)
