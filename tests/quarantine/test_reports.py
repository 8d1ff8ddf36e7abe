"""Messages that come in, and what is understood of them. See also `notices.txt`: texts that mail systems write."""

import base64
import quopri
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiles.tokens import OptOutLink, Purpose, seal, seal_return_path
from quarantine.failures import Failure, Kind, Rule
from quarantine.inbound.opt_outs import Token
from quarantine.inbound.reports import Finding, understand
from quarantine.models import Reason, ReportKind

COPY = """\
Return-Path: <news@example.org>
Received: from mail.example.org by mx.example.net; Thu, 29 Apr 2010 23:34:45 +0900
From: News <news@example.org>
Reply-To: desk@example.org
To: {to}
Cc: other@example.net
Subject: Spring
Message-ID: <spring@example.org>
Date: Thu, 29 Apr 2010 23:34:45 +0900

Hello, write to us at desk@example.org
"""
FROM_SYSTEM = "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.net\nTo: news@example.org\nSubject: Undelivered mail\n"
REPORT = FROM_SYSTEM + "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
ONE = "Final-Recipient: rfc822; ann@example.com\nAction: failed\nStatus: 5.1.1\n"


def notices() -> Iterator[tuple[str, dict[str, str], str]]:
    for piece in re.split(r"(?m)^===== ", (Path(__file__).parent / "notices.txt").read_text())[1:]:
        name, *lines = piece.split("\n")
        expected = {}
        while found := re.fullmatch(r"(\S+@\S+) (hard|soft|ignored|any)", lines[0]):
            expected[found[1]] = found[2]
            lines.pop(0)
        yield name, expected, "\n".join(lines)


NOTICES = {name: (expected, text) for name, expected, text in notices()}


def failures(finding: Finding) -> dict[str, str | None]:
    return {one.address: one.failure.kind.value if one.failure else None for one in finding.recipients}


def dsn(status: str, *, text: str = "Sorry.", headers: str = REPORT, kind: str = "message/delivery-status") -> bytes:
    return (
        f"{headers}--b\nContent-Type: text/plain\n\n{text}\n--b\nContent-Type: {kind}\n\n"
        f"Reporting-MTA: dns; mx.example.net\n\n{status}\n--b--\n"
    ).encode()


def delivered(notice: str, how: str, to: str) -> bytes:
    """Return a notice as a mail system sends it, with the message that it is about in one of several ways."""
    copy = COPY.format(to=to)
    plain = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
    if how == "attached":
        return (
            f"{FROM_SYSTEM}Content-Type: multipart/mixed; boundary=xyz\n\n--xyz\n{plain}\n{notice}\n--xyz\n"
            f"Content-Type: message/rfc822\n\n{copy}\n--xyz--\n"
        ).encode()
    body = f"{notice}\n{copy}".encode()
    if how == "base64":
        return f"{FROM_SYSTEM}{plain}Content-Transfer-Encoding: base64\n\n".encode() + base64.encodebytes(body)
    if how == "quoted-printable":
        return f"{FROM_SYSTEM}{plain}Content-Transfer-Encoding: {how}\n\n".encode() + quopri.encodestring(body)
    return f"{FROM_SYSTEM}{plain}\n".encode() + body.replace(b"\n", b"\r\n")


@pytest.mark.parametrize("how", ["below", "attached", "base64", "quoted-printable"])
@pytest.mark.parametrize("name", NOTICES)
def test_a_notice_for_people_names_who_failed_and_how(name: str, how: str) -> None:
    expected, text = NOTICES[name]
    finding = understand(delivered(text, how, next(iter(expected))))
    found = failures(finding)
    assert finding.kind == ReportKind.BOUNCE
    assert set(found) == set(expected)
    assert all(kind in ("any", found[address]) for address, kind in expected.items())
    assert finding.message_ids == ("spring@example.org",)


FIELDS = {
    "as it should be": (ONE, {"ann@example.com": "hard"}),
    "no type": (ONE.replace("rfc822; ", ""), {"ann@example.com": "hard"}),
    "brackets and capitals": (ONE.replace("rfc822; ann@example.com", "RFC822;<Ann@EXAMPLE.com>"),
                              {"Ann@example.com": "hard"}),
    "the original recipient is preferred": ("Original-Recipient: rfc822;ann@example.com\n" + ONE.replace("ann", "bob"),
                                            {"ann@example.com": "hard"}),
    "an original recipient that is no address": ("Original-Recipient: rfc822;unknown\n" + ONE,
                                                 {"ann@example.com": "hard"}),
    "several, no blank lines": (ONE + ONE.replace("ann", "bob").replace("5.1.1", "4.4.1"),
                                {"ann@example.com": "hard", "bob@example.com": "soft"}),
    "a blank line too many": (ONE.replace("\nAction", "\n\nAction"), {"ann@example.com": "hard"}),
    "utf-8 (RFC 6533)": (ONE.replace("rfc822; ann@", "utf-8; ä\\x{00F6}@"), {"äö@example.com": "hard"}),
    "wrapped by Exchange": (ONE.replace("ann@example.com", "IMCEASMTP-ann+40example+2Ecom@mx.example.net"),
                            {"ann@example.com": "hard"}),
    "delayed": (ONE.replace("failed", "delayed").replace("5.1.1", "4.4.1"), {"ann@example.com": "ignored"}),
    "delayed, whatever the status": (ONE.replace("failed", "delayed"), {"ann@example.com": "ignored"}),
    "one of two delivered": (ONE + "\n" + ONE.replace("ann", "bob").replace("failed", "delivered"),
                             {"ann@example.com": "hard", "bob@example.com": None}),
    "the answer says more than the status": (ONE + "Diagnostic-Code: smtp; 552 5.1.1 mailbox full\n",
                                             {"ann@example.com": "soft"}),
    "a block is nobody's failure": (ONE.replace("5.1.1", "5.0.0") + "Diagnostic-Code: smtp; 550 spam\n",
                                    {"ann@example.com": "ignored"}),
    "only the notice says why": (ONE.replace("5.1.1", "5.0.0"), {"ann@example.com": "soft"}),
}  # fmt: skip


@pytest.mark.parametrize("case", FIELDS)
@pytest.mark.parametrize("kind", ["message/delivery-status", "Message/Delivery-Status; charset=utf-8", "text/plain"])
def test_the_fields_of_a_report_are_read(case: str, kind: str) -> None:
    status, expected = FIELDS[case]
    text = "The mailbox is full." if case == "only the notice says why" else "Sorry."
    finding = understand(dsn(status, text=text, kind=kind))
    assert (finding.kind, failures(finding)) == (ReportKind.BOUNCE, expected)


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_what_did_not_fail_is_no_bounce(action: str) -> None:
    finding = understand(dsn(ONE.replace("failed", action).replace("5.1.1", "2.0.0")))
    assert (finding.kind, failures(finding)) == (ReportKind.OTHER, {"ann@example.com": None})


def test_a_local_name_is_completed_from_the_returned_message() -> None:
    raw = dsn(ONE.replace("ann@example.com", "other")).replace(
        b"--b--", b"--b\nContent-Type: message/rfc822\n\n" + COPY.format(to="Ann <ann@example.com>").encode() + b"--b--"
    )
    assert failures(understand(raw)) == {"other@example.net": "hard"}


def test_what_is_said_is_kept_short_and_clean() -> None:
    finding = understand(dsn(ONE + "Diagnostic-Code: smtp; 550 \x01\x1b[31m no\n\t such user " + "x" * 3_000 + "\n"))
    (one,) = finding.recipients
    assert one.diagnostic.startswith("550 [31m no such user xxx") and len(one.diagnostic) == 500
    assert (one.status, one.action) == ("5.1.1", "failed")


def test_own_rules_come_first() -> None:
    rule = Rule(("spring", "forever"), Failure(Kind.IGNORED, Reason.REFUSED))
    raw = dsn(ONE + "Diagnostic-Code: smtp; 550 5.1.1 Spring lasts FOREVER, user unknown\n")
    assert failures(understand(raw)) == {"ann@example.com": "hard"}
    assert failures(understand(raw, [rule])) == {"ann@example.com": "ignored"}


# -- complaints -----------------------------------------------------------------------------------------------------


def feedback(fields: str, copy: str = "") -> bytes:
    return (
        "From: fbl@isp.example\nTo: fbl@example.org\nSubject: FW: Spring\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nAn abuse report\n--b\n"
        f"Content-Type: message/feedback-report\n\n{fields}\n--b\nContent-Type: message/rfc822\n\n"
        f"{copy or COPY.format(to='ann@example.com').replace('Cc: other@example.net' + chr(10), '')}\n--b--\n"
    ).encode()


@pytest.mark.parametrize("kind", ["abuse", "fraud", "virus", "opt-out", "Abuse"])
def test_a_complaint_is_about_whom_it_names(kind: str) -> None:
    finding = understand(feedback(f"Feedback-Type: {kind}\nVersion: 1\nOriginal-Rcpt-To: <bob@example.com>\n"))
    assert (finding.kind, failures(finding)) == (ReportKind.COMPLAINT, {"bob@example.com": None})
    assert finding.message_ids == ("spring@example.org",)


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure"])
def test_other_feedback_is_no_complaint(kind: str) -> None:
    finding = understand(feedback(f"Feedback-Type: {kind}\nOriginal-Rcpt-To: <bob@example.com>\n"))
    assert (finding.kind, finding.recipients) == (ReportKind.OTHER, ())


def test_a_complainer_who_is_not_named_is_the_receiver_of_the_message() -> None:
    assert failures(understand(feedback("Feedback-Type: abuse\n"))) == {"ann@example.com": None}


def test_a_complainer_who_was_blotted_out_stays_unknown() -> None:
    fields = "Feedback-Type: abuse\nOriginal-Rcpt-To: redacted-3f2a@isp.example\n"
    finding = understand(feedback(fields, COPY.format(to="redacted@isp.example")))
    assert (finding.kind, finding.recipients) == (ReportKind.COMPLAINT, ())


def test_a_complaint_of_hotmail_without_a_form_is_known() -> None:
    raw = (
        "From: staff@hotmail.com\nSubject: complaint about message from 192.0.2.1\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
        f"X-HmXmrOriginalRecipient: <ann@hotmail.example>\n{COPY.format(to='us@example.org')}--b--\n"
    )
    assert failures(understand(raw.encode())) == {"ann@hotmail.example": None}


# -- what is none ---------------------------------------------------------------------------------------------------

POSTFIX = """\
This is the mail system at host mx.example.net.

<ann@example.com>: host mx.example.com[192.0.2.1] said: 550 5.1.1 User unknown
"""
QUOTED = "".join(f"> {line}\n" for line in POSTFIX.splitlines())
ORDINARY = {
    "an answer to a report": f"From: Bob <bob@example.com>\nSubject: Re: Undelivered mail\n\n{POSTFIX}",
    "a report passed on": f"From: Bob <bob@example.com>\nSubject: Fwd: Undelivered mail\n\nSee below.\n\n{POSTFIX}",
    "a quotation": f"From: Bob <bob@example.com>\nSubject: Undelivered mail?\n\nWhy?\n\n{QUOTED}",
    "a letter with a report attached": (
        "From: Bob <bob@example.com>\nSubject: Look\nContent-Type: multipart/mixed; boundary=m\n\n--m\n\nHello\n--m\n"
        f"Content-Type: message/rfc822\n\n{dsn(ONE).decode()}\n--m--\n"
    ),
    "a parcel": "From: post@parcel.example\nSubject: Delivery failed\n\nParcel could not be delivered to: x@y.zz\n",
    "a digest": "From: postmaster@example.com\nSubject: Your week\n\nAnn wrote to bob@example.com.\n",
    "a list": "From: list-owner@example.com\nSubject: Your message to List awaits moderator approval\n\nHeld.\n",
    "nothing": "",
    "no text": "From: ann@example.com\nSubject: Hello\n\n",
}
AUTOMATIC = {
    "RFC 3834": "From: Ann <ann@example.com>\nSubject: Re: Spring\nAuto-Submitted: auto-replied\n\nAway.\n",
    "an old header": "From: ann@example.com\nSubject: Spring\nX-Autoreply: yes\n\nAway.\n",
    "precedence": "From: ann@example.com\nSubject: Spring\nPrecedence: auto_reply\n\nAway.\n",
    "English": "From: ann@example.com\nSubject: Out of Office: Spring\n\nNot delivered to bob@example.com\n",
    "French": "From: ann@example.com\nSubject: =?utf-8?q?R=C3=A9ponse_automatique_=3A_Spring?=\n\nAbsente.\n",
    "German": "From: ann@example.com\nSubject: Abwesenheitsnotiz: Spring\n\nWeg.\n",
    "Japanese": "From: ann@example.com\nSubject: =?utf-8?b?6Ieq5YuV6L+U5L+h?=\n\n-\n",
    "Russian": "From: ann@example.com\nSubject: Автоответ: Spring\n\n-\n",
    "a challenge": "From: ann@example.com\nSubject: Please confirm your message\n\nPress here.\n",
}


@pytest.mark.parametrize("case", ORDINARY)
def test_ordinary_mail_is_no_report(case: str) -> None:
    finding = understand(ORDINARY[case].encode())
    assert (finding.kind, finding.recipients) == (ReportKind.OTHER, ())


@pytest.mark.parametrize("case", AUTOMATIC)
def test_an_answer_of_a_program_is_no_report(case: str) -> None:
    finding = understand(AUTOMATIC[case].encode())
    assert (finding.kind, finding.recipients) == (ReportKind.AUTO_REPLY, ())


def test_a_receipt_is_no_report() -> None:
    raw = dsn("Final-Recipient: rfc822; ann@example.com\nDisposition: automatic-action/MDN-sent; deleted\n")
    raw = raw.replace(b"delivery-status", b"disposition-notification").replace(b"Undelivered mail", b"Read: Spring")
    assert understand(raw).kind == ReportKind.OTHER


def test_a_report_that_a_system_passes_on_is_read() -> None:
    raw = (
        "From: Mail Delivery System <mailer-daemon@example.net>\nSubject: For you\nContent-Type: multipart/mixed; "
        f"boundary=m\n\n--m\nContent-Type: message/rfc822\n\n{dsn(ONE).decode()}\n--m--\n"
    )
    assert failures(understand(raw.encode())) == {"ann@example.com": "hard"}


# -- proofs -----------------------------------------------------------------------------------------------------------


def test_return_paths_are_found_where_a_report_came_to_and_in_what_it_returns() -> None:
    first, second = seal_return_path(7, b"d" * 16), seal_return_path(8, b"e" * 16)
    raw = dsn(ONE).replace(b"To: news@example.org", f"To: <{first.upper()}@bounces.example.org>".encode())
    copy = COPY.format(to="ann@example.com").replace("<news@", f"<{second}@")
    raw = raw.replace(b"--b--", f"--b\nContent-Type: text/rfc822-headers\n\n{copy}\n--b--".encode())
    assert understand(raw).return_paths == (first, second)


def test_an_unsubscribe_message_is_told_from_a_report_that_quotes_one() -> None:
    token = seal(Purpose.ONE_CLICK, OptOutLink(channel=1, digest=b"d" * 16).pack())
    asked = understand(f"From: ann@example.com\nSubject: {token}\n\n".encode())
    assert (asked.kind, asked.opt_out.token) == (ReportKind.UNSUBSCRIBE, Token.VALID)
    quoting = understand(dsn(ONE).replace(b"Sorry.", f"List-Unsubscribe: <mailto:x?subject={token}>".encode()))
    assert (quoting.kind, quoting.opt_out.token) == (ReportKind.BOUNCE, Token.ABSENT)


# -- whatever comes ---------------------------------------------------------------------------------------------------

HOSTILE = {
    "parts in parts": b"Content-Type: multipart/x; boundary=a\n\n--a\n" * 20_000,
    "messages in messages": b"Content-Type: message/rfc822\n\n" * 30_000,
    "many parts": b"Content-Type: multipart/x; boundary=a\n\n" + b"--a\n\nx\n" * 100_000,
    "many recipients": dsn((ONE + "\n") * 10_000),
    "many addresses": delivered("Failed recipients:\n" + "a@b.example\n" * 50_000, "below", "a@b.example"),
    "many headers of a copy": FROM_SYSTEM.encode() + b"\nX\n\n" + b"To: x\n" * 100_000,
    "many answers": FROM_SYSTEM.encode() + b"\n" + b"550 5.1.1 <a@b.example> deliver to a@b.example\n" * 20_000,
    "unclosed HTML": FROM_SYSTEM.encode() + b"Content-Type: text/html\n\n" + b"<style <br <!-- " * 50_000,
    "dashes": FROM_SYSTEM.encode() + b"\n" + b"-" * 900_000,
    "at signs": FROM_SYSTEM.encode() + b"\n" + b"a@" * 400_000,
    "nested JSON": FROM_SYSTEM.encode() + b'\n{"notificationType":"Bounce","bounce":' + b"[" * 100_000,
    "encoded words": b"Subject: " + b"=?utf-8?q?" * 10_000 + b"\n\n",
    "one long header": b"Content-Type: multipart/report; " + b"boundary=" * 100_000 + b"\n\n",
    "every octet": bytes(range(256)) * 4_000,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_takes_long(case: str) -> None:
    began = time.process_time()
    understand(HOSTILE[case])
    assert time.process_time() - began < 1


def test_cut_and_garbled_reports_raise_nothing() -> None:
    draw = random.Random(3834)
    sources = [dsn(status) for status, _expected in FIELDS.values()] + [feedback("Feedback-Type: abuse\n")]
    sources += [delivered(text, "attached", "ann@example.com") for _expected, text in NOTICES.values()]
    for source in sources * 3:
        raw = bytearray(source[: draw.randrange(len(source))] if draw.random() < 0.3 else source)
        for _ in range(draw.randrange(20)):
            if raw:
                raw[draw.randrange(len(raw))] = draw.randrange(256)
        for one in understand(bytes(raw)).recipients:
            assert one.address and not re.search(r"[\x00-\x1f\x7f]", one.address + one.diagnostic)
