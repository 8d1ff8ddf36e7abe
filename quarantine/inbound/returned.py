"""Tell the notice of a report from the copy of the message that it is about, attached or pasted below.

Addresses in the copy (its sender, other recipients) are nobody's failures, so they have to be known as the copy.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..phrases import fold, folded
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
# Lines after which nothing but the message follows: those that begin so, and those that say no more.
_BEGINS = folded("""
    this is a copy of the message | this is a copy of your message | below this line is
    below the next line is a copy of
    original message follows | original message headers follow | original headers follow | original mail info
    body of message is following | body of the message is following | the body of the original message is following
    header of the original message | the header of the original message | header of message is following
    message text follows | message contents follow | message header follows | message headers follow
    unsent message follows | undelivered message follows | returned message follows | returned mail follows
    start of returned message | included is a copy of the message | a copy of the original | a copy of the first
    here is your returned mail | the following is a copy of the | below is a copy of the original
    message nondeliverable
    message non-deliverable | body of original message | body of the original message
""")
_IS = folded("""
    original message | original message headers | original message header | original mail | returned message
    returned mail
    message headers | ursprungliche nachricht | ursprungliche nachrichtenkopfzeilen | message d'origine
    en-tetes de message d'origine | en-tetes du message d'origine | mensaje original
    encabezados del mensaje original
    messaggio originale | intestazioni originali del messaggio | mensagem original | cabecalhos da mensagem original
    oorspronkelijke berichtkoppen | oorspronkelijk bericht | 原始邮件内容 | 原邮件内容 | 原始邮件头 | 原始郵件標頭
    原始邮件标头
    メッセージ ヘッダー | 元のメッセージ | 元のメッセージ ヘッダー | 원본 메시지 헤더
""")
_FRAME = " \t-=*_>:.[]#|"
_RULE = 100  # characters of such a line


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
    rule, end = _rule(text), 0
    for start in _START.finditer(text):
        if start.start() > NOTICE:
            break
        if start.start() < end:
            continue
        end = text.find("\n\n", start.start())
        end = len(text) if end < 0 else end
        headers = _headers(text[start.start() : end].encode("utf-8", "replace")[:_FIELDS])
        if len(_NAMED & headers.keys()) >= _ENOUGH:
            return Split(_until(text[: start.start()], rule), headers)
    return Split(_until(text[:NOTICE], rule), {})


def _until(text: str, rule: int) -> str:
    """Return what stands before such a line, unless nobody is named there: then it means something else."""
    before = text[:rule] if rule >= 0 else text
    return before if "@" in before else text


def _rule(text: str) -> int:
    """Return where the first line stands that announces the message; -1 if there is none."""
    at = 0
    for line in text.split("\n"):
        bare = line.strip(_FRAME) if len(line) <= _RULE else ""
        if bare:
            bare = bare.lower() if bare.isascii() else fold(bare).strip(_FRAME)
            if bare in _IS or bare.startswith(_BEGINS):
                return at
        at += len(line) + 1
    return -1


def _headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in parts.fields(data.partition(b"\n\n")[0]):
        headers.setdefault(name, value)
    return headers
