"""Mail that any receiving side can read: one From, one To, nothing injected, a way out."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from deliveries import messages
from deliveries.rendering import Rendered
from profiles.models import Brand
from profiles.tokens import OptOutLink, Purpose, open_token

HOSTILE = [
    "Zoé", "O'Brien", "\r\nBcc: victim@example.org",
    "a\nX-Evil: 1", "名前", "🙂" * 40, '"quoted" <a@b.example>', "x" * 900,
    "=?utf-8?q?fake?=", "\x00\x07", "، العربية", "a,b;c:d@e", "\u2028line", "<script>alert(1)</script>", "%s %n {0}",
]  # fmt: skip
BRAND = Brand(
    pk=1, name="Jardins", sender_name="Jardins & Cie", sender_email="news@jardins.example", postal_address="1 rue",
    contact="x",
)  # fmt: skip
LINK = OptOutLink(channel=1, digest=b"d" * 16, log=7, delivery=3, service=2)


def composed(
    *, subject: str = "Hello", recipient: str = "zoe@example.org", sender: str = "Jardins", **more: Any
) -> bytes:
    brand = Brand(
        pk=1, name="J", sender_name=sender, sender_email="news@jardins.example", reply_to=more.pop("reply", "")
    )
    rendered = Rendered(subject, more.pop("html", f"<p>{subject}</p>"), more.pop("text", subject))
    return messages.compose(
        rendered, brand=brand, recipient=recipient, language="fr", at=timezone.now(),
        message_id=messages.message_id(BRAND, "row", 7), urls=messages.opt_out_urls(BRAND, LINK), **more,
    ).body  # fmt: skip


def parsed(body: bytes) -> EmailMessage:
    message = message_from_bytes(body, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def check(body: bytes) -> EmailMessage:
    """Parse strictly: no defect anywhere, one of each header, CRLF only, no line past 998 octets."""
    message = parsed(body)
    names = [name.lower() for name in message]
    assert len(names) == len(set(names))
    assert {"from", "to", "subject", "date", "message-id", "mime-version", "list-unsubscribe"} <= set(names)
    assert "bcc" not in names
    assert "x-evil" not in names
    for part in message.walk():
        assert part.defects == []
        for value in part.values():
            assert getattr(value, "defects", ()) == ()
    assert body.count(b"\n") == body.count(b"\r\n")
    assert max(len(line) for line in body.split(b"\r\n")) <= 998
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    return message


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_inject_nothing(name: str) -> None:
    message = check(composed(subject=f"Hello {name}", sender=name))
    assert message["To"].addresses[0].addr_spec == "zoe@example.org"
    assert len(message["To"].addresses) == len(message["From"].addresses) == 1
    assert message["From"].addresses[0].addr_spec == "news@jardins.example"


def test_a_message_says_which_language_it_is_in() -> None:
    assert check(composed())["Content-Language"] == "fr"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80), st.text(max_size=300))
def test_any_text_parses_without_a_defect(sender: str, subject: str) -> None:
    sender, subject = (text.encode("utf-8", "ignore").decode() for text in (sender, subject))
    message = check(composed(subject=" ".join(subject.split()), sender=sender))
    assert len(message["To"].addresses) == 1


def test_mail_programs_are_offered_one_click_and_people_a_page() -> None:
    message = check(composed())
    one_click = message["List-Unsubscribe"].strip("<>").rsplit("/", 1)[1]
    assert OptOutLink.unpack(open_token(Purpose.ONE_CLICK, one_click)) == LINK
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    page = messages.opt_out_urls(BRAND, LINK).page
    assert one_click not in page


def test_a_mailbox_for_unsubscribing_gets_the_token_in_its_subject(settings: Any) -> None:
    settings.UNSUBSCRIBE_MAILBOX = "leave@jardins.example"
    header = check(composed())["List-Unsubscribe"]
    assert header.count("<") == 2
    assert "<mailto:leave@jardins.example?subject=" in header


@pytest.mark.parametrize("mailbox", ["", "leave@jardins.example", "Leave+me%&=?@Émilie.example"])
@pytest.mark.parametrize("recipient", ["zoe@example.org", "zoé@example.org"])
def test_mail_programs_read_the_ways_out_as_they_stand(settings: Any, mailbox: str, recipient: str) -> None:
    """RFC 2369: addresses in angle brackets, the https one first, in one header, never as encoded words."""
    settings.UNSUBSCRIBE_MAILBOX = mailbox
    settings.PUBLIC_URL = "https://" + "a-long-name." * 8 + "example.org"
    raw = composed(recipient=recipient).partition(b"\r\n\r\n")[0].decode()
    (header,) = re.findall(r"^List-Unsubscribe: ([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", raw, re.MULTILINE)
    assert max(map(len, header.split("\r\n"))) <= 998
    pattern = r"<(https://[!-;=?-~]+)>" + (r",\r\n <(mailto:[!-;=?-~]+)>" if mailbox else "")
    ways = re.fullmatch(pattern, header)
    assert ways, header
    if mailbox:
        mailto = urlsplit(ways[2])
        assert unquote(mailto.path).casefold() == mailbox.casefold().replace("émilie", "xn--milie-9ra")
        (token,) = parse_qs(mailto.query, strict_parsing=True)["subject"]
        assert ways[1].endswith("/" + token)
        assert OptOutLink.unpack(open_token(Purpose.ONE_CLICK, token)) == LINK


def test_the_domain_goes_out_in_ascii_and_the_mailbox_as_typed() -> None:
    message = check(composed(recipient="Zoe.Martin@Jardins-Émilie.example"))
    assert message["To"].addresses[0].addr_spec == "Zoe.Martin@xn--jardins-milie-ihb.example"


def test_the_identifier_is_always_the_same_and_tells_nothing() -> None:
    first, again, other = (messages.message_id(BRAND, "row", n) for n in (7, 7, 8))
    assert first == again != other
    assert messages.message_id(BRAND, "proof", 7) != first
    assert len({first[5:20], other[5:20]}) == 2


def test_long_lines_and_dots_survive() -> None:
    text = "\n".join([".", "..", ".hidden", "x" * 5000, "fin"])
    message = check(composed(text=text))
    body = message.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == text.splitlines()
