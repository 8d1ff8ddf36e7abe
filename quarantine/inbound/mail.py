"""Read a mail message of any shape for what people write: subject, and the beginning of its text. No input raises.

    >>> read(b"Subject: =?utf-8?q?unsubscribe?=\r\n\r\nHello\r\n")
    Mail(headers={'subject': '=?utf-8?q?unsubscribe?='}, subject='unsubscribe', text='Hello\n', is_report=False)

A mail server that gets an exception sends the message back to the person who wrote it: see `parts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from . import parts
from .decoding import decode_words
from .parts import LIMIT, Part

__all__ = ["LIMIT", "Mail", "of", "read"]


@dataclass(frozen=True, slots=True)
class Mail:
    """What was understood of a message: headers by lower-case name (the first of each), subject, beginning of text."""

    headers: Mapping[str, str]
    subject: str
    text: str
    is_report: bool


def read(raw: bytes) -> Mail:
    """Read a message, as far as it can be."""
    return of(parts.read(raw))


def of(root: Part, *, with_text: bool = True) -> Mail:
    """Return what a person wrote in a message that has been read; `with_text` says whether the text is looked for."""
    is_report = root.kind == "multipart/report"
    text = first_text(root) if with_text and not is_report else ""
    return Mail(root.headers, decode_words(root.headers.get("subject", "")), text, is_report)


def first_text(root: Part) -> str:
    """Return the beginning of the first text of a message that says something; empty if there is none."""
    for part in root.walk(into_messages=False):
        is_text = part.kind in ("", "text/plain", "text/html") or "/" not in part.kind
        if is_text and not part.parts and (text := part.text()).strip():
            return text
    return ""
