"""The mail itself: correct MIME, one recipient, and the headers by which mail programs offer to unsubscribe.

Headers follow RFC 5322; List-Unsubscribe RFC 2369, its one-click form RFC 8058.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address as MailAddress
from email.headerregistry import BaseHeader, HeaderRegistry, UniqueUnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, Policy
from email.utils import format_datetime
from html import escape
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.urls import reverse

from profiles.addresses import domain, read
from profiles.channels import Channel
from profiles.models import Brand
from profiles.tokens import OptOutLink, Purpose, seal

from .rendering import Rendered

# RFC 5322 section 2.2: a header value holds no line break; everything below a blank is refused there.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
# RFC 6068 section 2: what the part before the @ of a mailto address holds as it stands; the rest is percent-encoded.
_IN_MAILTO = "!$'*-._~"


class _Ways(UniqueUnstructuredHeader, BaseHeader):  # type: ignore[misc]  # the library mixes them the same way
    """List-Unsubscribe: addresses in angle brackets (RFC 2369 section 2), each on a line of its own.

    The library makes encoded words of what is longer than a line. RFC 2047 section 5 allows none here, and mail
    programs that read the header as it stands would then show no button.
    """

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: " + str(self).replace(", ", f",{policy.linesep} ") + policy.linesep


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", _Ways)
_ASCII, _UTF8 = SMTP.clone(header_factory=_HEADERS), SMTPUTF8.clone(header_factory=_HEADERS)


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
    page, one_click = seal(Purpose.OPT_OUT_PAGE, link.pack()), seal(Purpose.ONE_CLICK, link.pack())
    return OptOutUrls(
        page=brand.public_url + reverse("landing:opt_out", args=[page]),
        one_click=brand.public_url + reverse("landing:one_click", args=[one_click]),
        token=one_click,
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
) -> Envelope:
    """Return a message ready for a transport. `urls` makes it one that can be unsubscribed from (marketing)."""
    wire = _wire_address(recipient)
    message = EmailMessage(policy=_ASCII if wire.isascii() else _UTF8)
    message["From"] = _mailbox(_wire_address(brand.sender_email), _one_line(brand.sender_name))
    message["To"] = _mailbox(wire)
    message["Subject"] = _one_line(rendered.subject)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = message_id
    if brand.reply_to:
        message["Reply-To"] = _mailbox(_wire_address(brand.reply_to))
    if urls:
        message["List-Unsubscribe"] = ", ".join(f"<{way}>" for way in _ways_out(urls))
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message["Precedence"] = "bulk"
    if feedback_id:
        message["Feedback-ID"] = feedback_id
    message.set_content(rendered.text, cte="quoted-printable")
    message.add_alternative(document(rendered.html, language, rendered.subject), subtype="html", cte="quoted-printable")
    message["Content-Language"] = language  # last: setting the content clears every header of it
    return Envelope(_wire_address(brand.sender_email), wire, message.as_bytes())


def message_id(brand: Brand, kind: str, number: int) -> str:
    """Return the identifier of a message: always the same for the same row, and telling nothing about it."""
    token = seal(Purpose.MESSAGE_ID, kind.encode() + number.to_bytes(8, "big"))
    return f"<{token}@{urlsplit(brand.public_url).hostname or domain(brand.sender_email)}>"


def _ways_out(urls: OptOutUrls) -> list[str]:
    """Return the addresses by which mail programs unsubscribe, the best first: by a POST, then by a message."""
    if not settings.UNSUBSCRIBE_MAILBOX:
        return [urls.one_click]
    local, _at, host = _wire_address(settings.UNSUBSCRIBE_MAILBOX).rpartition("@")
    return [urls.one_click, f"mailto:{quote(local, safe=_IN_MAILTO)}@{host}?subject={quote(urls.token, safe='')}"]


def _wire_address(address: str) -> str:
    """Return an address as it goes on the wire: the mailbox as typed, the domain in A-labels (RFC 5890)."""
    local = address.rpartition("@")[0]
    return f"{local}@{domain(read(Channel.EMAIL, address).key)}"


def _mailbox(address: str, name: str = "") -> MailAddress:
    """Return an address for a header; in parts, because the library refuses to parse what RFC 6531 allows."""
    local, _at, host = address.rpartition("@")
    return MailAddress(name, username=local, domain=host)


def _one_line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())


def document(html: str, language: str, title: str) -> str:
    """Return a whole document: marketers may write only what goes into the body."""
    if re.match(r"\s*(<!doctype|<html)", html, re.IGNORECASE):
        return html
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title></head>\n'
        f"<body>\n{html}\n</body>\n</html>\n"
    )
