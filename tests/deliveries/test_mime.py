"""The bytes put together by hand say what the standard library would, whatever they are about."""

from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deliveries import messages, mime
from deliveries.errors import AddressRefused
from deliveries.messages import Series
from deliveries.rendering import Rendered
from profiles.models import Brand
from profiles.tokens import OptOutLink
from tests.deliveries.mail_oracle import check_same, expected

AT = datetime(2026, 3, 1, 8, 30, 5, tzinfo=UTC)
LINK = OptOutLink(channel=1, digest=b"d" * 16, log=7, delivery=3, service=2)
PIECES = [
    "a", " ", ",", '"', "\\", "<", ">", "@", "é", "🙂", "(", ")", ":", ";", ".", "=?utf-8?q?x?=", "=?", "?=", "[", "]",
    "\r\n", "\nBcc: v@example.org", "\n.", "\n..\n", "\x00", "\u2028", "\x85", "\u202e", "e\u0301", "名前", "\t", "  ",
    "x" * 40, "x" * 80, "-" * 3, "--=_alternative", "\ud83d", "{{ }}", "From ", "=\n", " \n", "\r", "=3D",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=200)
BODIES = HOSTILE | st.lists(HOSTILE, max_size=8).map("\n".join)
RECIPIENTS = st.sampled_from(
    ["zoe@example.org", "Zoe.Martin+x@Example.ORG", "o'brien@example.org", "zoé@example.org", "x" * 64 + "@example.org"]
)


def brand(**fields: str) -> Brand:
    return Brand(pk=1, name="J", sender_email="news@jardins.example", **{"sender_name": "Jardins", **fields})


def wire(address: str) -> str:
    local, _at, host = address.rpartition("@")
    return f"{local}@{host.lower()}"


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE.map(lambda name: name[:100]), BODIES, BODIES, RECIPIENTS, st.booleans())
@example("x" * 2_000, "Last, First <a@b.example>, " * 4, "x" * 5_000, "<p>" + "é" * 5_000, "a@example.org", True)
@example("é" * 500, '"' * 100, "", "", "a@example.org", False)
def test_any_message_is_what_the_library_says(
    subject: str, sender: str, text: str, html: str, recipient: str, marketing: bool
) -> None:
    sending = brand(sender_name=sender, reply_to="hello@jardins.example" if marketing else "")
    rendered = Rendered(subject, html, text)
    its_own: dict[str, Any] = {"message_id": messages.message_id(sending, "row", 7), "at": AT}
    its_own["urls"] = messages.opt_out_urls(sending, LINK) if marketing else None
    series = Series(sending, "fr", feedback_id="a:b:campaign")
    oracle = expected(
        rendered, brand=sending, recipient=wire(recipient), language="fr", feedback_id="a:b:campaign", **its_own
    )
    for _again in range(2):  # the second one finds its lines encoded
        envelope = series.compose(rendered, recipient=recipient, **its_own)
        check_same(envelope.body, oracle, subject=subject, sender=(sender, "news@jardins.example"))
    assert (envelope.sender, envelope.recipient) == ("news@jardins.example", wire(recipient))


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_a_name_comes_back_as_it_was(name: str) -> None:
    """Read with the library's older decoder, which takes encoded words as RFC 2047 says."""
    shown = mime.one_line(name)
    header = mime.mailbox("From", "a@example.org", shown)
    value = BytesHeaderParser(policy=policy.compat32).parsebytes(header.encode())["From"]
    if shown and "=?" in value:
        words = value.replace("\r\n", "").rpartition(" <")[0]
        assert str(make_header(decode_header(words))) == shown
    assert max(map(len, header.split("\r\n"))) <= 76 + len("<a@example.org>")


@pytest.mark.parametrize("length", [*range(55, 85), 500, 5_000])
def test_a_subject_is_folded_between_its_words(length: int) -> None:
    for text in (("word " * length)[:length].strip(), "x" * length, ("é " * length)[:length].strip()):
        lines = mime.unstructured("Subject", text)[:-2].split("\r\n")
        assert max(map(len, lines)) <= 76
        assert all(line.startswith(" ") for line in lines[1:])


def test_what_is_kept_of_lines_is_bounded() -> None:
    skeleton = mime.Skeleton("")
    for n in range(mime.LINES_KEPT + 500):
        skeleton.fill("", text=f"line {n}", html="")
    assert len(skeleton._lines) == mime.LINES_KEPT


UNSAFE = [
    "a@example.org\r\nRCPT TO:<b@example.org>", "a@example.org\nb", "a b@example.org", "a@exam ple.org",
    "<a@example.org>", "a@example.org>", "a@example.org,b@example.org", "a@b@example.org", "", "@", "a@",
    "@example.org", "a\x00@example.org", "a\u2028@example.org", "a\u202e@example.org", "é é@example.org",
    "a@exämple .org", '"a b"@example.org', "a@example.org\n", "a@example.org SMTPUTF8", "a\x7f@example.org",
    "a(b)@example.org", "é<@example.org",
]  # fmt: skip


@pytest.mark.parametrize("address", UNSAFE)
def test_what_is_more_than_an_address_reaches_no_mail_server(address: str) -> None:
    with pytest.raises(AddressRefused):
        messages.wire_address(address)
    with pytest.raises(AddressRefused):
        Series(Brand(sender_name="J", sender_email=address), "en")
    if address:
        with pytest.raises(AddressRefused):
            Series(brand(reply_to=address), "en")


@given(st.text(max_size=30), st.text(max_size=30))
def test_an_address_on_the_wire_has_one_at_and_no_blank(local: str, host: str) -> None:
    try:
        found = messages.wire_address(f"{local}@{host}")
    except AddressRefused:
        return
    assert found.count("@") == 1
    assert found.isprintable()
    assert not set(found) & set(' <>",;:()[]\\')


def test_an_address_in_other_letters_needs_a_mail_server_that_takes_them() -> None:
    assert messages.wire_address("Zoé@Jardins-Émilie.example") == "Zoé@xn--jardins-milie-ihb.example"
    rendered = Rendered("s", "h", "t")
    compose = Series(brand(), "en").compose
    needs = [
        compose(rendered, recipient=to, message_id="<1@example.org>", at=AT).needs_smtputf8
        for to in ("zoé@example.org", "zoe@émilie.example")
    ]
    assert needs == [True, False]


def test_confirmations_say_that_no_program_should_answer_them() -> None:
    rendered = Rendered("s", "h", "t")
    fields: dict[str, Any] = {"recipient": "a@example.org", "language": "en", "message_id": "<1@a.example>", "at": AT}
    assert (
        b"\r\nAuto-Submitted: auto-generated\r\n"
        in messages.compose(rendered, brand=brand(), automatic=True, **fields).body
    )
    assert b"Auto-Submitted" not in messages.compose(rendered, brand=brand(), **fields).body


def test_pages_under_a_name_in_other_letters_are_linked_in_ascii() -> None:
    urls = messages.opt_out_urls(brand(link_domain="https://émilie.example:8443/é"), LINK)
    assert urls.one_click.startswith("https://xn--milie-9ra.example:8443/%C3%A9/u/")
    assert messages.message_id(brand(link_domain="https://émilie.example"), "row", 1).endswith(
        "@xn--milie-9ra.example>"
    )


def test_complaints_are_counted_by_delivery_and_brand_without_telling_them() -> None:
    found = {messages.feedback_id(1, delivery) for delivery in range(1, 200)}
    assert len(found) == 199
    assert len({value.split(":")[1] for value in found}) == 1
    assert all(value.count(":") == 2 and value.isascii() for value in found)
