"""Messages signed here verify elsewhere: by dkimpy, with keys of the test and a name server of its own."""

import logging
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.exceptions import ImproperlyConfigured
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from campaign.checks import refuse_unsafe_start
from deliveries import checks, dkim, messages
from deliveries.rendering import Rendered
from profiles.models import Brand
from profiles.tokens import OptOutLink
from tests.deliveries.signing import DOMAIN, KINDS, Zone, rsa_key

AT = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
LINK = OptOutLink(channel=1, digest=b"d" * 16, log=7, delivery=3, service=2)
TEXTS = ["", " ", "a", "a  b\t c \r\n\r\n\r\n", ".\n..\n \n", "é" * 600, "x" * 5_000, "\t\n \t", "\n\n\n", "=20\n"]


@pytest.fixture(params=KINDS)
def zone(request: Any, settings: Any, tmp_path: Path) -> Zone:
    made = Zone(tmp_path)
    made.add("s1", KINDS[request.param]())
    settings.DKIM_KEYS = made.entries
    return made


def signed(
    text: str = "Hello", *, subject: str = "Hello", name: str = "Jardins & Cie", sender: str = f"news@{DOMAIN}",
    recipient: str = "zoe@example.org",
) -> bytes:  # fmt: skip
    brand = Brand(pk=1, name="J", sender_name=name, sender_email=sender, reply_to="hello@jardins.example")
    return messages.compose(
        Rendered(subject, f"<p>{text}</p>", text), brand=brand, recipient=recipient, language="fr", at=AT,
        message_id=messages.message_id(brand, "row", 7), urls=messages.opt_out_urls(brand, LINK), feedback_id="a:b:c",
    ).body  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_signature_verifies(zone: Zone, text: str) -> None:
    body = signed(text, subject=f"Hello {'word ' * 30}" if len(text) > 4 else "Hello", name=text[:100])
    assert zone.verified(body) == ["s1"]
    assert max(map(len, body.split(b"\r\n"))) <= 998


@hypothesis(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=200))
def test_a_signature_verifies_whatever_is_written(zone: Zone, name: str, subject: str, text: str) -> None:
    assert zone.is_good(signed(text, subject=subject, name=name))


CHANGES = [
    (rb"\r\nTo: zoe", b"\r\nTo: zoo"),
    (rb"\r\nSubject: H", b"\r\nSubject: J"),
    (rb"\r\nDate: Sun", b"\r\nDate: Mon"),
    (rb"\r\nMessage-ID: <A", b"\r\nMessage-ID: <B"),
    (rb"\r\nReply-To: hello", b"\r\nReply-To: other"),
    (rb"\r\nList-Unsubscribe: <http", b"\r\nList-Unsubscribe: <httpx"),
    (rb"\r\nList-Unsubscribe-Post: List", b"\r\nList-Unsubscribe-Post: Lost"),
    (rb"\r\nFeedback-ID: a", b"\r\nFeedback-ID: b"),
    (rb"\r\nFrom: ", b"\r\nFrom: x@evil.example\r\nFrom: "),
    (rb"<p>Hello", b"<p>Jello"),
    (rb"\r\nMIME-Version: 1.0", b"\r\nMIME-Version: 1.1"),
    (rb"boundary=", b"Boundary="),
]  # fmt: skip


@pytest.mark.parametrize(("place", "change"), CHANGES)
def test_what_is_changed_on_the_way_no_longer_verifies(zone: Zone, place: bytes, change: bytes) -> None:
    body = signed()
    changed, count = re.subn(place, change, body, count=1)
    assert count == 1
    assert zone.is_good(body)
    assert not zone.is_good(changed)


def test_blanks_may_change_on_the_way(zone: Zone) -> None:
    body = signed("a b").replace(b"\r\nSubject: Hello", b"\r\nsubject:  Hello ")
    assert zone.is_good(body + b"\r\n\r\n")


def test_only_messages_from_the_domain_itself_are_signed(zone: Zone) -> None:
    for sender in ("news@other.example", f"news@mail.{DOMAIN}", f"news@x{DOMAIN}"):
        assert b"DKIM-Signature" not in signed(sender=sender)
    assert zone.verified(signed(sender=f"news@{DOMAIN.upper()}")) == ["s1"]


def test_both_kinds_of_key_sign_where_both_are_given(settings: Any, tmp_path: Path) -> None:
    both = Zone(tmp_path)
    for selector, make in KINDS.items():
        both.add(selector, make())
    settings.DKIM_KEYS = both.entries
    assert both.verified(signed()) == list(KINDS)


def test_by_default_nothing_is_signed() -> None:
    assert b"DKIM-Signature" not in signed()
    assert checks.check_sending() == []


def encrypted(file: Path) -> None:
    password = serialization.BestAvailableEncryption(b"secret")
    file.write_bytes(rsa_key().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, password))


def of_another_kind(file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


def too_short(file: Path) -> None:
    plain = serialization.NoEncryption()
    file.write_bytes(rsa_key(1_024).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


BAD_FILES = {
    "missing": (lambda file: None, "cannot be read: No such file"),
    "a folder": (lambda file: file.mkdir(), "cannot be read: Is a directory"),
    "no key": (lambda file: file.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"), "holds no RSA key"),
    "encrypted": (encrypted, "holds no RSA key"),
    "another kind": (of_another_kind, "holds no RSA key"),
    "too short": (too_short, "of 2,048 bits or more"),
}


@pytest.mark.parametrize("flaw", BAD_FILES)
def test_a_key_that_cannot_sign_is_told_without_a_word_of_it(
    settings: Any, tmp_path: Path, flaw: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, told = BAD_FILES[flaw]
    file = tmp_path / "key.pem"
    make(file)
    settings.DKIM_KEYS = [f"{DOMAIN}:s1:{file}"]
    with caplog.at_level(logging.DEBUG):
        (error,) = checks.check_sending()
        with pytest.raises(ImproperlyConfigured) as raised:
            signed()
    assert (error.id, error.msg) == ("deliveries.E002", str(raised.value))
    assert told in error.msg
    chain = f"{raised.value!r} {raised.value.__cause__!r} {caplog.text}"
    held = file.read_text().split() if file.is_file() else []
    assert not [line for line in held if line not in ("KEY-----", "PRIVATE") and len(line) > 7 and line in chain]


@pytest.mark.parametrize(
    "entry", ["", "a", "jardins.example", "jardins.example:s1", "jardins.example:s1:", "jardins:s1:/k",
              "é.example:s:/k", "jardins.example:s 1:/k", "jardins.example:s;d=x:/k", "jardins.example\r\nX:s:/k",
              ":s:/k", "a..b:s:/k"],
)  # fmt: skip
def test_an_entry_that_is_none_is_told(settings: Any, entry: str) -> None:
    settings.DKIM_KEYS = [entry]
    assert [error.id for error in checks.check_sending()] == ["deliveries.E002"]
    assert "domain:selector:file" in checks.check_sending()[0].msg


def test_the_missing_package_is_told(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    (error,) = checks.check_sending()
    assert "the package cryptography is missing" in error.msg
    assert "requirements/dkim.txt" in str(error.hint)
    with pytest.raises(ImproperlyConfigured, match="cryptography is missing"):
        signed()


def test_a_key_shows_nothing_of_itself(zone: Zone) -> None:
    (signer,) = dkim.signers(DOMAIN)
    assert repr(signer).count("=") == 3
    assert "sign=" not in repr(signer)


@pytest.mark.parametrize(
    "host", ["bounces", "-a.example", "a b.example", "a@b.example", "a.example.", "x" * 64 + ".org", "é .fr"]
)
def test_a_domain_for_bounces_that_is_none_is_told(settings: Any, host: str) -> None:
    settings.BOUNCE_DOMAIN = host
    assert [error.id for error in checks.check_sending()] == ["deliveries.E001"]


@pytest.mark.parametrize("host", ["", "bounces.example.org", "Bounces.Jardins-Émilie.example"])
def test_a_domain_for_bounces_passes(settings: Any, host: str) -> None:
    settings.BOUNCE_DOMAIN = host
    assert checks.check_sending() == []
    address = messages.return_path(7, b"d" * 16)
    assert bool(address) == bool(host)
    assert not host or messages.wire_address(address) == address


def test_production_does_not_start_with_a_key_that_cannot_sign(settings: Any) -> None:
    settings.ENVIRONMENT, settings.DKIM_KEYS = "production", ["jardins.example:s1:/nowhere/key.pem"]
    with pytest.raises(ImproperlyConfigured, match=r"cannot be read: No such file"):
        refuse_unsafe_start()
