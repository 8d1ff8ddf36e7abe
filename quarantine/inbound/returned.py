"""Tell the notice of a report from the copy of the message that it is about, attached or pasted below.

Addresses in the copy (its sender, other recipients) are nobody's failures, so they have to be known as the copy.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from . import parts
from .parts import Part

NOTICE = 20_000  # characters of a notice that are read
_TEXTS = 4  # parts of a notice that are read
_FIELDS = 40_000  # octets of returned headers that are read

# A block of headers in a text: a line that begins as one of them, at the beginning of a line.
_START = re.compile(
    r"(?im)^(?:Return-Path|Received|From|To|Date|Subject|Message-Id|X-[a-z-]{2,40}|MIME-Version|Reply-To|Sender"
    r"|DKIM-Signature|DomainKey-Signature|Delivered-To|Envelope-To|Content-Type|Authentication-Results"
    r"|ARC-[a-z-]{2,40}|Delivery-Date|Received-SPF)[ \t]?:"
)
_NAMED = {"return-path", "received", "from", "to", "date", "subject", "message-id", "mime-version"}
_ENOUGH = 3  # names of headers that make a block of lines the headers of a message
# Lines after which nothing but the message follows. What has another meaning in some notices is not among them.
_RULE = re.compile(
    r"(?im)^[ \t>]*(?:[-=*_]{2,}[ \t]*|)(?:"
    r"(?:this is a copy of (?:the|your) message|below this line is (?:a|the) copy of|below the next line is a copy of"
    r"|original message(?: follows| headers? follow| headers?)?\b(?=[ \t]*[-:.*=]|[ \t]*$)|original mail info"
    r"|(?:the )?(?:body|header) of (?:the )?(?:original )?message is following"
    r"|the header of the original message|message (?:text|contents|header) follows?"
    r"|unsent message follows|returned (?:mail|message)(?: follows)?(?=[ \t]*[-:])|start of returned message"
    r"|included is a copy of the message|message non-?deliverable|a copy of the (?:original|first)"
    r"|below is a copy of the original|body of (?:the )?original message|undelivered message follows"
    r"|here is your returned mail|the following is a copy of the|message header follows|original headers follow"
    r"|ursprungliche nachricht|urspr\u00fcngliche nachricht(?:enkopfzeilen)?|message d.origine|mensaje original"
    r"|messaggio originale|mensagem original|\u539f\u59cb\u90ae\u4ef6\u5185\u5bb9|\u539f\u90ae\u4ef6\u5185\u5bb9|en-t\u00eates de message"
    r"|original message headers|\u30e1\u30c3\u30bb\u30fc\u30b8 ?\u30d8\u30c3\u30c0\u30fc?))"
)
# After such a line somebody passes on, or answers, what somebody else wrote.
FORWARDED = re.compile(
    r"(?im)^(?:>|[ \t]*-{2,}[ \t]*(?:forwarded|original message|weitergeleitete|message transf|mensaje reenviado"
    r"|\u8f6c\u53d1)|begin forwarded message|.{0,100}(?:wrote|writes|schrieb|a \u00e9crit|escribi\u00f3|ha scritto|escreveu)[ \u00a0]?:"
    r"[ \t]*$)"
)


@dataclass(frozen=True, slots=True)
class Split:
    """The notice, and the headers (lower-case name, unfolded) of the copy below it, empty when there is none."""

    notice: str
    headers: Mapping[str, str]


def attached(root: Part) -> dict[str, str]:
    """Return the headers of the message that a report returns as a part (RFC 6522 section 3); empty if none."""
    for part in root.walk(into_messages=False):
        if part.kind in ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers", "text/rfc822"):
            return _headers(part.octets()[:_FIELDS].lstrip(b"\n"))
        if part.parts and part.kind.startswith("message/"):
            return dict(part.parts[0].headers)
    return {}


def text_of(root: Part) -> str:
    """Return what a message says in its texts, outside of messages that are attached; HTML only where it is alone."""
    found: list[str] = []
    html: list[str] = []
    for part in root.walk(into_messages=False):
        if part.parts or len(found) >= _TEXTS:
            continue
        if part.kind == "text/html":
            html.append(part.text())
        elif part.kind in ("", "text/plain", "text", "plain/text") or "/" not in part.kind:
            found.append(part.text())
    text = "\n\n".join(found)
    return text if text.strip() else "\n\n".join(html[:_TEXTS])


def below(text: str) -> Split:
    """Return the notice in a text, and the headers of the message that follows it."""
    text = text[: NOTICE * 2]
    rule = _RULE.search(text)
    for start in _START.finditer(text):
        block = text[start.start() :].partition("\n\n")[0]
        headers = _headers(block.encode("utf-8", "replace")[:_FIELDS])
        if len(_NAMED & headers.keys()) >= _ENOUGH:
            return Split(_until(text[: start.start()], rule), headers)
        if start.start() > NOTICE:
            break
    return Split(_until(text[:NOTICE], rule), {})


def _until(text: str, rule: re.Match[str] | None) -> str:
    """Return what stands before such a line, unless nobody is named there: then it means something else."""
    before = text[: rule.start()] if rule else text
    return before if "@" in before else text


def _headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in parts.fields(data.partition(b"\n\n")[0]):
        headers.setdefault(name, value)
    return headers
