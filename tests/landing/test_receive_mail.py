"""Unsubscribe messages (mailto of List-Unsubscribe): whatever programs make of them, they do what the button does."""

import base64
import json
import os
import subprocess
import sys
from email.header import Header
from email.message import EmailMessage
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from django.conf import settings as conf
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deliveries import analysis, composing
from deliveries.models import DeliveryLog
from deliveries.reported import Outcome
from landing import mailbox
from landing.mailbox import Receipt
from profiles.models import Act, Confirmation, ConsentEvent, ErasedOptOut, OutboxMessage, Profile, Source, Subscription
from profiles.tokens import OptOutLink, Purpose, seal
from quarantine.inbound import mail, opt_outs
from quarantine.inbound.opt_outs import Token
from quarantine.models import Report, ReportKind, Triage
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory

from .visitors import consents, link, mails

pytestmark = pytest.mark.django_db

# A token with every kind of character in it.
UNSUBSCRIBE = ReportKind.UNSUBSCRIBE
LINK, TOKEN = next(
    (to, token)
    for to in (OptOutLink(channel=1, digest=b"d" * 16, log=n, delivery=3, service=2) for n in range(1_000))
    if {"-", "_"} <= set(token := seal(Purpose.ONE_CLICK, to.pack()))
)
ENCODED = Header(f"Désabonnement {TOKEN}", "utf-8").encode()
BASE64 = base64.b64encode(TOKEN.encode()).decode()
MIXED = (
    "Content-Type: multipart/mixed; boundary=\"o\"\r\n\r\npreamble\r\n--o\r\n"
    "Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n"
    "Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    f"{base64.b64encode(TOKEN.encode('utf-16')).decode()}\r\n--i--\r\n--o--\r\n"
)  # fmt: skip
SHAPES = {
    "as it should be": f"From: a@example.org\r\nTo: leave@jardins.example\r\nSubject: {TOKEN}\r\n\r\n",
    "no body and no blank line": f"Subject: {TOKEN}",
    "LF": f"To: x\nSubject: {TOKEN}\n\n\n",
    "CR": f"To: x\rSubject: {TOKEN}\r\r",
    "a reply": f"Subject: Re: RE: Fwd: {TOKEN}\r\n\r\n",
    "with a word": f"Subject: unsubscribe {TOKEN}\r\n\r\n",
    "with a word and a colon": f"Subject: unsubscribe:{TOKEN}\r\n\r\n",
    "in quotes": f'Subject: "{TOKEN}"\r\n\r\n',
    "in typographic quotes": f"Subject: « {TOKEN} »\r\n\r\n",
    "the name of the header in capitals": f"SUBJECT :{TOKEN}\r\n\r\n",
    "folded before it": f"Subject:\r\n {TOKEN}\r\n\r\n",
    "folded within it": f"Subject: {TOKEN[:30]}\r\n {TOKEN[30:50]}\r\n\t{TOKEN[50:]}\r\n\r\n",
    "folded within it, after a word": f"Subject: unsubscribe {TOKEN[:30]}\r\n  {TOKEN[30:]}\r\n\r\n",
    "folded without a blank": f"Subject: {TOKEN[:30]}\r\n{TOKEN[30:]}\r\nTo: x\r\n\r\n",
    "encoded and folded (RFC 2047)": f"Subject: {ENCODED}\r\n\r\n",
    "encoded in base64": f"Subject: =?UTF-8?B?{BASE64}?=\r\n\r\n",
    "encoded in base64, in two words": f"Subject: =?x?b?{BASE64[:40]}?=\r\n =?x?B?{BASE64[40:].strip('=')}?=\r\n\r\n",
    "encoded, with underscores as they stand": f"Subject: =?iso-8859-1*fr?q?{TOKEN}?=\r\n\r\n",
    "encoded in an unknown charset": f"Subject: =?klingon?q?{TOKEN.replace('_', '=5F')}?=\r\n\r\n",
    "NULs": "\0Subject: " + "\0".join(TOKEN) + "\r\n\r\n",
    "an mbox separator": f"From a@example.org Mon Nov 23 10:00:00 2026\nTo: x\nSubject: {TOKEN}\n\n",
    "a byte-order mark": f"\ufeffSubject: {TOKEN}\r\n\r\n",
    "lost subject, in the text": f"From: a@example.org\r\n\r\n\r\n{TOKEN}\r\n\r\n-- \r\nZoé\r\n",
    "lost subject, in the text, wrapped": f"Subject:\r\n\r\nunsubscribe\r\n{TOKEN[:40]}\r\n{TOKEN[40:]}\r\n",
    "no header at all": f"{TOKEN}\n",
    "quoted-printable": (
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9 "
        f"{TOKEN[:30]}=\r\n{TOKEN[30:].replace('-', '=2D')}\r\n"
    ),
    "base64": f"Content-Type: text/plain; charset=\"nothing\"\r\nContent-Transfer-Encoding: BASE64\r\n\r\n{BASE64}\r\n",
    "HTML": f"Content-Type: text/html\r\n\r\n<head><title>x</title></head><p>Hello</p><b>{TOKEN[:9]}</b>{TOKEN[9:]}",
    "parts in parts": MIXED,
    "a boundary that never comes": f"Content-Type: multipart/mixed; boundary=x\r\nSubject: {TOKEN}\r\n\r\nHello",
    "a huge body": f"Subject: {TOKEN}\r\n\r\n" + "x" * 3_000_000,
    "a thousand headers": "X-A: b\r\n" * 1_000 + f"Subject: {TOKEN}\r\n\r\n",
    "ten thousand parts in parts": f"Subject: {TOKEN}\r\n" + "Content-Type: multipart/x; boundary=a\n\n--a\n" * 10_000,
}  # fmt: skip
COPIED = f"List-Unsubscribe: <https://news.example/u/{TOKEN}>,\r\n <mailto:leave@jardins.example?subject={TOKEN}>"
SILENT = {
    "empty": b"",
    "blank": b"\r\n\r\n\r\n",
    "bytes": bytes(range(256)) * 50,
    "a holiday": b"Subject: I am away\r\nAuto-Submitted: auto-replied\r\n\r\nBack on Monday.\r\n",
    "somebody who writes": "Subject: Désabonnez-moi\r\n\r\nPlease stop writing to me!\r\n".encode(),
    "the header of a message, passed on": f"Subject: Spam?\r\n\r\n{COPIED}\r\n".encode(),
    "the address of a button, passed on": f"Subject: Look\r\n\r\nhttps://news.example/u/{TOKEN}\r\n".encode(),
    "an answer that quotes": f"Subject: Re: Spring\r\n\r\nThanks!\r\n> {TOKEN}\r\n".encode(),
    "a token far below": ("Subject: Hello\r\n\r\n" + "A line\r\n" * 30 + TOKEN).encode(),
    "a message about a message": f"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n{TOKEN}".encode(),
    "a report": (
        "Subject: Undelivered\r\nContent-Type: multipart/report; boundary=r\r\n\r\n--r\r\n\r\nSorry\r\n"
        f"--r\r\nContent-Type: text/rfc822-headers\r\n\r\n{COPIED}\r\nSubject: {TOKEN}\r\n--r--\r\n"
    ).encode(),
    "beyond the first megabyte": b"Subject: x\r\n\r\n" + b"\r\n" * 600_000 + TOKEN.encode(),
    "encoded in what cannot be text": b"Subject: =?zip?b?AAAA?= =?punycode?q?=FF=FE?= =?idna?q?xn--=FF?=\r\n\r\n",
}


def understood(raw: bytes) -> opt_outs.Found:
    return opt_outs.find(mail.read(raw))


def receive(raw: bytes) -> Receipt:
    (receipt,) = mailbox.receive([raw], at=timezone.now())
    return receipt


def unsubscribing(to: OptOutLink) -> bytes:
    return f"Subject: {seal(Purpose.ONE_CLICK, to.pack())}\r\n\r\n".encode()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_token_is_found_in_every_shape_of_message(shape: str) -> None:
    found = understood(SHAPES[shape].encode("utf-8", "surrogateescape"))
    assert (found.token, found.link) == (Token.VALID, LINK)


@pytest.mark.parametrize("case", SILENT)
def test_what_holds_no_token_of_its_own_is_another_kind_of_message(case: str) -> None:
    before = consents()
    receipt = receive(SILENT[case])
    assert (receipt.kind == UNSUBSCRIBE, receipt.token, receipt.profiles) == (False, Token.ABSENT, 0)
    assert consents() == before


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose != Purpose.ONE_CLICK])
def test_a_token_of_another_purpose_changes_nothing(purpose: Purpose) -> None:
    token = seal(purpose, LINK.pack())
    raw = f"Subject: {token}\r\n\r\n{token}".encode()
    assert receive(raw) == Receipt(UNSUBSCRIBE, Token.INVALID, Outcome.WAITING)
    assert receive(raw).outcome == Outcome.REPEATED
    assert not ConsentEvent.objects.exists()
    assert Report.objects.get().triage == Triage.FORGED, "somebody wants to leave: a person can see who"


def test_it_unsubscribes_as_the_button_does_and_the_ledger_says_so() -> None:
    delivery = DeliveryFactory(label="Spring")
    profile = ProfileFactory(email="a@example.org", services=[delivery.service])
    receipt = receive(unsubscribing(link("A@example.org".lower(), delivery.service, delivery=delivery.pk)))
    assert receipt == Receipt(UNSUBSCRIBE, Token.VALID, Outcome.LEFT, profiles=1)
    event = ConsentEvent.objects.get(act=Act.UNSUBSCRIBE)
    assert (event.profile_id, event.source, event.language) == (profile.pk, Source.MAILTO, "fr")
    assert (event.delivery_id, event.delivery_name) == (delivery.pk, "Spring")
    assert not Subscription.objects.exists()


def test_without_a_service_the_channel_is_opted_out() -> None:
    profile = ProfileFactory(email="a@example.org")
    receive(unsubscribing(link("a@example.org")))
    profile.refresh_from_db()
    assert profile.blacklisted_email
    assert not profile.blacklisted


def test_the_same_message_twice_changes_nothing_more() -> None:
    service = ServiceFactory(on_unsubscribe=Confirmation.DEFAULT)
    ProfileFactory(email="a@example.org", services=[service])
    raw = unsubscribing(link("a@example.org", service))
    assert receive(raw).profiles == 1
    before, events = consents(), ConsentEvent.objects.count()
    assert receive(raw) == Receipt(UNSUBSCRIBE, Token.VALID, Outcome.LEFT, profiles=0)
    assert (consents(), ConsentEvent.objects.count()) == (before, events)
    assert len(mails("unsubscribed")) == 1
    assert mails("unsubscribed")[0].language == "fr"


def test_it_works_when_delivery_log_and_profile_are_gone() -> None:
    assert receive(unsubscribing(link("gone@example.org", delivery=99, log=99))).token == Token.VALID
    assert ErasedOptOut.objects.count() == 1
    assert not OutboxMessage.objects.exists()


def test_what_a_mail_program_makes_of_the_header_of_a_sent_message_opts_out(settings: Any) -> None:
    """From the analysis to the mailbox: the link is that of a real row, the header is read as programs read it."""
    settings.UNSUBSCRIBE_MAILBOX = "leave+me@jardins.example"
    delivery = DeliveryFactory()
    person = ProfileFactory(email="a@example.org", services=[delivery.service])
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    row = DeliveryLog.objects.get(delivery=delivery)
    body = composing.Composer(delivery).compose(row, person).body
    header = body.partition(b"\r\n\r\n")[0].decode().partition("List-Unsubscribe:")[2].partition("\r\nList-")[0]
    address = next(way for way in header.replace("\r\n", "").split(",") if "mailto:" in way).strip(" <>")
    mailto = urlsplit(address)
    message = EmailMessage()
    message["From"], message["To"] = "a@example.org", unquote(mailto.path)
    message["Subject"] = parse_qs(mailto.query)["subject"][0]
    message.set_content("Sent by the unsubscribe button.")
    assert message["To"] == "leave+me@jardins.example"
    assert receive(message.as_bytes()) == Receipt(UNSUBSCRIBE, Token.VALID, Outcome.LEFT, profiles=1)
    assert not Subscription.objects.exists()


# -- nothing raises, and nobody is opted out by mistake -----------------------------------------------------
PIECES = st.one_of(
    st.sampled_from([
        TOKEN, TOKEN[:40], TOKEN[1:], TOKEN.lower(), TOKEN[:-1] + "A", seal(Purpose.OPT_OUT_PAGE, LINK.pack()),
        "\r\n", "\n", "\r", " ", "\t", "\0", "Subject:", "Subject: =?utf-8?b?", "=?utf-8?q?", "?=", "From x",
        "\r\n\r\n", "--", "--b", "--b--\r\n", "Content-Type: multipart/mixed; boundary=b\r\n", "<b>", "&#x110000;",
        "Content-Type: text/html; charset=\"\0\r\n", "Content-Type: text/plain; charset=utf-7\r\n",
        "Content-Type: text/plain; charset=unicode_escape\r\n", "Content-Transfer-Encoding: base64\r\n",
        "Content-Transfer-Encoding: quoted-printable\r\n",
    ]).map(str.encode),
    st.binary(max_size=60),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace")),
)  # fmt: skip


@settings(max_examples=1_500, deadline=None)
@given(st.lists(PIECES, max_size=25).map(b"".join))
def test_no_message_raises_or_is_understood_as_another_opt_out(raw: bytes) -> None:
    found = understood(raw)
    assert found.link in (None, LINK)
    assert (found.link is None) == (found.token != Token.VALID)
    if found.link:  # only where all of it is there, in order
        seen = mail.read(raw)
        assert set(TOKEN) <= set(seen.subject + seen.text + "_")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.sampled_from(sorted(SHAPES)), data=st.data())
def test_a_message_damaged_on_its_way_opts_out_its_own_person_or_nobody(shape: str, data: st.DataObject) -> None:
    raw = bytearray(SHAPES[shape].encode()[:3_000])
    for _change in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    found = understood(bytes(raw))
    assert found.link in (None, LINK)


# -- the command ----------------------------------------------------------------------------------------------
@pytest.fixture
def person() -> Profile:
    profile: Profile = ProfileFactory.create(email="a@example.org")
    return profile


def run(*args: str) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("receive_mail", *args, "--json", stdout=out, stderr=StringIO())
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_command_prints_a_line_per_message_and_nothing_personal(person: Profile, tmp_path: Path) -> None:
    to = link("a@example.org")
    (tmp_path / "1").write_bytes(b"From: a@example.org\r\n" + unsubscribing(to))
    (tmp_path / "2").write_bytes(b"From: a@example.org\r\nSubject: Hello\r\n\r\nHi")
    (tmp_path / "3").write_bytes(unsubscribing(to).replace(b"\r\n\r\n", b"x\r\n\r\n", 1).replace(b"A", b"B"))
    names = [str(tmp_path / name) for name in "123"]
    assert run(*names, "--dry-run")[0] == {
        "file": names[0], "kind": "unsubscribe", "recipients": [], "token": "valid",
    }  # fmt: skip
    person.refresh_from_db()
    assert not person.blacklisted_email
    lines = run(*names)
    assert [(line["kind"], line["token"], line["outcome"]) for line in lines] == [
        ("unsubscribe", "valid", "left"), ("other", "absent", "nothing"), ("unsubscribe", "invalid", "waiting"),
    ]  # fmt: skip
    person.refresh_from_db()
    assert person.blacklisted_email
    out = StringIO()
    call_command("receive_mail", *names, stdout=out)
    assert "example.org" not in out.getvalue() + json.dumps(lines)
    assert seal(Purpose.ONE_CLICK, to.pack()) not in out.getvalue() + json.dumps(lines)


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_received(person: Profile, tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(unsubscribing(link("a@example.org")))
    with pytest.raises(CommandError) as refused:
        run(str(tmp_path / "none"), str(tmp_path / "1"))
    assert refused.value.returncode == 66
    person.refresh_from_db()
    assert person.blacklisted_email


@pytest.mark.django_db(transaction=True)
def test_a_database_that_cannot_be_written_asks_the_mail_server_to_try_again(person: Profile, tmp_path: Path) -> None:
    """The database itself refuses: read only on both engines."""
    (tmp_path / "1").write_bytes(unsubscribing(link("a@example.org")))
    off, on = (
        ("PRAGMA query_only = 1", "PRAGMA query_only = 0")
        if connection.vendor == "sqlite"
        else ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off")
    )
    told = StringIO()
    with connection.cursor() as cursor:
        cursor.execute(off)
    try:
        with pytest.raises(CommandError) as refused:
            call_command("receive_mail", str(tmp_path / "1"), stderr=told)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(on)
    assert refused.value.returncode == 75
    assert "example.org" not in told.getvalue()
    assert run(str(tmp_path / "1"))[0]["outcome"] == "left"


def piped(data: bytes, *options: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a mail server does: a process of its own, the message on its input."""
    command = [sys.executable, "manage.py", "receive_mail", "-", *options]
    return subprocess.run(
        command, input=data, capture_output=True, cwd=conf.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "campaign.settings", **environment}, timeout=120, check=False,
    )  # fmt: skip


def test_without_a_database_a_mail_server_keeps_the_message_and_a_dry_run_still_reads_it(tmp_path: Path) -> None:
    missing = f"sqlite:///{tmp_path}/nowhere/none.sqlite3"
    huge = b"Subject: Hello\r\n\r\n" + b"x\r\n" * 2_000_000
    read = piped(huge, "--dry-run", DATABASE_URL=missing, DATA_DIR=str(tmp_path))
    assert read.returncode == 0
    assert read.stderr.count(b"\n") == 1 and b"own rules for answers could not be read" in read.stderr
    for raw in (unsubscribing(LINK), huge):
        refused = piped(raw, DATABASE_URL=missing, DATA_DIR=str(tmp_path))
        assert refused.returncode == 75
        assert b"Traceback" not in refused.stderr
