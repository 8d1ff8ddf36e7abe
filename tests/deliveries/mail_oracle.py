"""What a message must say, by the standard library: slow, and trusted.

Headers are compared before the library writes them out: it takes the quotes off long names when it folds them.
"""

from datetime import datetime
from email import message_from_string, policy
from email.errors import NonASCIILocalPartDefect
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from deliveries.messages import OptOutUrls, document
from deliveries.mime import one_line
from deliveries.rendering import Rendered
from profiles.models import Brand


def expected(
    rendered: Rendered, *, brand: Brand, recipient: str, language: str, message_id: str, at: datetime,
    urls: OptOutUrls | None = None, feedback_id: str = "",
) -> EmailMessage:  # fmt: skip
    """Return the message as the library builds it. The addresses are as they go on the wire."""
    message = EmailMessage(policy=policy.SMTPUTF8)
    message["To"] = mailbox(recipient)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = message_id
    if brand.reply_to:
        message["Reply-To"] = mailbox(brand.reply_to)
    if urls:
        message["List-Unsubscribe"] = f"<{urls.one_click}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message["Precedence"] = "bulk"
    if feedback_id:
        message["Feedback-ID"] = feedback_id
    message.set_content(clean(rendered.text), cte="quoted-printable")
    html = document(clean(rendered.html), language, clean(rendered.subject))
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    message["Content-Language"] = language
    return message


def mailbox(address: str) -> Address:
    local, _at, host = address.rpartition("@")
    return Address(username=local, domain=host)


def clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def check_same(body: bytes, oracle: EmailMessage, *, subject: str, sender: tuple[str, str]) -> EmailMessage:
    """Compare the bytes of a message with the oracle; return them parsed. No defect anywhere is let pass."""
    text = body.decode("utf-8" if not oracle["To"].addresses[0].username.isascii() else "ascii")
    message = message_from_string(text, policy=policy.SMTPUTF8)
    assert isinstance(message, EmailMessage)
    names = [name.lower() for name in message]
    assert sorted(names) == sorted([*(name.lower() for name in oracle), "from", "subject"])
    for part in message.walk():
        assert part.defects == []
        defects = [defect for value in part.values() for defect in getattr(value, "defects", ())]
        # The library knows RFC 6531, and calls what it allows a defect all the same.
        assert all(isinstance(defect, NonASCIILocalPartDefect) for defect in defects), defects
        assert not defects or not text.isascii()
    for name in set(oracle) - {"Content-Type"}:
        assert str(message[name]) == str(oracle[name]), name
    assert message["Subject"] == one_line(subject)
    (found,) = message["From"].addresses
    assert found.addr_spec == sender[1]
    # The library puts a blank between two encoded words of a name (RFC 2047 section 6.2 says there is none).
    assert found.display_name.replace(" ", "") == one_line(sender[0]).replace(" ", "")
    parts = list(message.iter_parts())
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
    for part, other in zip(parts, oracle.iter_parts(), strict=True):
        assert part.get_content().replace("\r\n", "\n") == other.get_content().replace("\r\n", "\n")
    assert body.count(b"\n") == body.count(b"\r\n") == body.count(b"\r")
    assert max(map(len, body.split(b"\r\n"))) <= 998
    assert b"\x00" not in body
    return message
