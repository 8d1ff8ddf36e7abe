"""The mail itself: correct MIME, one recipient, and the headers by which mail programs offer to unsubscribe.

Headers follow RFC 5322; List-Unsubscribe RFC 2369, its one-click form RFC 8058; Auto-Submitted RFC 3834.
"""

import base64
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from urllib.parse import quote, urlsplit, urlunsplit

from django.conf import settings
from django.urls import get_script_prefix, get_urlconf, reverse

from profiles.addresses import a_label, domain, read
from profiles.channels import Channel
from profiles.digests import keyed
from profiles.models import Brand
from profiles.tokens import OptOutLink, Purpose, seal, seal_return_path

from . import dkim
from .errors import AddressRefused
from .esp import tracking_headers
from .mime import Skeleton, mailbox, one_line, unstructured
from .rendering import Rendered

# RFC 6068 section 2: what the part before the @ of a mailto address holds as it stands; the rest is percent-encoded.
_IN_MAILTO = "!$'*-._~"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"  # RFC 5322 section 3.2.3
_PLAIN_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
# What would end an address, or begin another, in a header or in the dialogue of mail servers.
_UNSAFE = re.compile(r'[\s<>()\[\]\\,;:@"]')


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a message comes from and goes to on the wire, and its bytes."""

    sender: str
    recipient: str
    body: bytes

    @property
    def needs_smtputf8(self) -> bool:
        """Say whether the receiving side must speak SMTPUTF8 (RFC 6531): a mailbox name with non-ASCII letters."""
        return not self.recipient.isascii()


@dataclass(frozen=True, slots=True)
class OptOutUrls:
    """The two ways out of a message: the page for people, and the address that mail programs post to."""

    page: str
    one_click: str
    token: str


def opt_out_urls(brand: Brand, link: OptOutLink) -> OptOutUrls:
    """Return the signed addresses by which the recipient of a message leaves."""
    payload, site = link.pack(), _ascii_url(brand.public_url)
    page, one_click = seal(Purpose.OPT_OUT_PAGE, payload), seal(Purpose.ONE_CLICK, payload)
    return OptOutUrls(
        page=site + _path("landing:opt_out", page), one_click=site + _path("landing:one_click", one_click),
        token=one_click,
    )  # fmt: skip


class Series:
    """Messages from a brand in a language: what they share is made once."""

    def __init__(self, brand: Brand, language: str, *, feedback_id: str = "", automatic: bool = False) -> None:
        """Take what the messages share. `automatic` messages answer what somebody did: no program answers them."""
        self.brand, self.language = brand, language
        self.sender, reply_to = wire_address(brand.sender_email), brand.reply_to and wire_address(brand.reply_to)
        if not (self.sender + reply_to).isascii():  # every message would need SMTPUTF8
            raise AddressRefused
        self._shared = Skeleton(
            mailbox("From", self.sender, one_line(brand.sender_name))
            + (mailbox("Reply-To", reply_to) if reply_to else "")
            + (f"Feedback-ID: {feedback_id}\r\n" if feedback_id else "")
            + ("Auto-Submitted: auto-generated\r\n" if automatic else "")
            + f"Content-Language: {language}\r\n"
        )
        self._mailbox = settings.UNSUBSCRIBE_MAILBOX and _mailto(settings.UNSUBSCRIBE_MAILBOX)
        self._signers = dkim.signers(domain(self.sender))
        self._date = (0, "")

    def compose(
        self, rendered: Rendered, *, recipient: str, message_id: str, at: datetime, urls: OptOutUrls | None = None,
        return_path: str = "",
    ) -> Envelope:  # fmt: skip
        """Return a message ready for a transport. `urls` makes it one that can be unsubscribed from (marketing).

        `return_path` is where it comes back to; without it, to the brand. Raises AddressRefused.
        """
        wire = wire_address(recipient)
        body = self._shared.fill(
            mailbox("To", wire)
            + unstructured("Subject", one_line(rendered.subject))
            + self._dated(at)
            + f"Message-ID: {message_id}\r\n"
            + (tracking_headers(message_id) if settings.ESP else "")
            + (self._ways_out(urls) if urls else ""),
            text=rendered.text,
            html=document(rendered.html, self.language, rendered.subject),
        )
        if self._signers:
            body = b"".join([*(signer.header(body, at=at) for signer in self._signers), body])
        return Envelope(return_path or self.sender, wire, body)

    def _dated(self, at: datetime) -> str:
        """Return the header of a date; messages of one second share it."""
        second = int(at.timestamp())
        if self._date[0] != second:
            self._date = second, f"Date: {format_datetime(at)}\r\n"
        return self._date[1]

    def _ways_out(self, urls: OptOutUrls) -> str:
        """Return the headers by which mail programs unsubscribe, the best way first: by a POST, then by a message.

        Each is on a line of its own, and never an encoded word: RFC 2047 section 5 allows none here, and programs that
        read the header as it stands would show no button.
        """
        mailto = f",\r\n <{self._mailbox}?subject={quote(urls.token, safe='')}>" if self._mailbox else ""
        return (
            f"List-Unsubscribe: <{urls.one_click}>{mailto}\r\n"
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
            "Precedence: bulk\r\n"
        )


def compose(
    rendered: Rendered,
    *,
    brand: Brand,
    recipient: str,
    language: str,
    message_id: str,
    at: datetime,
    urls: OptOutUrls | None = None,
    feedback_id: str = "",
    return_path: str = "",
    automatic: bool = False,
) -> Envelope:
    """Return one message ready for a transport: see `Series`, which writes many."""
    series = Series(brand, language, feedback_id=feedback_id, automatic=automatic)
    return series.compose(
        rendered, recipient=recipient, message_id=message_id, at=at, urls=urls, return_path=return_path
    )


def message_id(brand: Brand, kind: str, number: int) -> str:
    """Return the identifier of a message: always the same for the same row, and telling nothing about it."""
    token = seal(Purpose.MESSAGE_ID, kind.encode() + number.to_bytes(8, "big"))
    return f"<{token}@{urlsplit(_ascii_url(brand.public_url)).hostname or domain(wire_address(brand.sender_email))}>"


def return_path(number: int, digest: bytes) -> str:
    """Return the address that a message comes back to, which proves the message and its recipient.

    `number` is that of the log row; for a test, its own number below zero. Empty without BOUNCE_DOMAIN: the brand's.
    """
    if not settings.BOUNCE_DOMAIN:
        return ""
    return f"{seal_return_path(number, digest)}@{a_label(settings.BOUNCE_DOMAIN)}"


def feedback_id(brand: int, delivery: int) -> str:
    """Return what mailbox providers count complaints by: the delivery, then the brand; telling nothing about them."""
    return f"{_opaque(b'delivery', delivery)}:{_opaque(b'brand', brand)}:campaign"


def wire_address(address: str) -> str:
    """Return an address as it goes on the wire: the mailbox as typed, the domain in A-labels (RFC 5890).

    Raises AddressRefused for what could be taken for something else than one address.
    """
    local, _at, host = address.rpartition("@")
    if _PLAIN_ADDRESS.fullmatch(address):  # nearly all are: nothing in them needs to be read
        return f"{local}@{host.lower()}"
    found = read(Channel.EMAIL, address)
    host = domain(found.key)
    if (
        found.flaw
        or found.value != address
        or not host.isascii()
        or _UNSAFE.search(local + host)
        or not (local + host).isprintable()
    ):
        raise AddressRefused
    return f"{local}@{host}"


def _opaque(purpose: bytes, number: int) -> str:
    name = keyed(b"feedback-id", purpose + number.to_bytes(8, "big"), size=10)
    return base64.b32encode(name).decode().lower()


def _mailto(address: str) -> str:
    local, _at, host = wire_address(address).rpartition("@")
    return f"mailto:{quote(local, safe=_IN_MAILTO)}@{host}"


def _ascii_url(url: str) -> str:
    """Return an address of pages as it goes into a header: in ASCII."""
    if url.isascii():
        return url
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=a_label(parts.hostname or "") + port, path=quote(parts.path, safe="/%")))


def _path(view: str, token: str) -> str:
    """Return the path of a view that takes a token, whose letters need no quoting."""
    before, after = _around(view, get_urlconf(), get_script_prefix())
    return before + token + after


@lru_cache(maxsize=16)
def _around(view: str, _urls: str | None, _prefix: str) -> tuple[str, str]:
    before, _token, after = reverse(view, args=["TOKEN"]).rpartition("TOKEN")
    return before, after


def document(html: str, language: str, title: str) -> str:
    """Return a whole document: marketers may write only what goes into the body."""
    if re.match(r"\s*(<!doctype|<html)", html, re.IGNORECASE):
        return html
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title></head>\n'
        f"<body>\n{html}\n</body>\n</html>\n"
    )
