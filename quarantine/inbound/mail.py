"""Read a mail message of any shape: broken, folded, encoded, cut off, or none at all. No input raises.

    >>> read(b"Subject: =?utf-8?q?unsubscribe?=\r\n\r\nHello\r\n")
    Mail(headers={'subject': '=?utf-8?q?unsubscribe?='}, subject='unsubscribe', text='Hello\n', is_report=False)

The standard library's parser follows parts as deep as they are nested, and raises on some headers. A mail server that
gets an exception sends the message back to the person who wrote it. So this one looks only for what is needed: the
headers of the message, and the beginning of its first text.
"""

import binascii
import codecs
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass

LIMIT = 1_000_000  # octets that are read of a message
_HEADER = 2_000  # of a header, in octets
_TEXT = 20_000  # of an encoded text, in octets
_DEPTH, _PARTS = 8, 4  # parts within parts, and parts that are looked at

_LINE_END = re.compile(rb"\r\n|\r|\n")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)  # RFC 5322 section 2.2
# RFC 2047 section 2. Blanks between two encoded words are no part of the text (section 6.2).
_WORD = re.compile(r"=\?([^?\s]{1,40})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?[^?\s]{1,40}\?[bBqQ]\?)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
# Codecs of Python that no mail is written in; some warn, some take very long.
_NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
_UNSEEN = re.compile(r"(?is)<(style|script|head|title)\b.*?</\1\s*>|<!--.*?-->")
_TAG = re.compile(r"(?s)<[^>]*>")


@dataclass(frozen=True, slots=True)
class Mail:
    """What was understood of a message: headers by lower-case name (the first of each), subject, beginning of text."""

    headers: Mapping[str, str]
    subject: str
    text: str
    is_report: bool


def read(raw: bytes) -> Mail:
    """Read a message, as far as it can be."""
    data = _LINE_END.sub(b"\n", raw[:LIMIT].replace(b"\0", b"")).lstrip(b"\n")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.startswith((b"From ", b">From ")):  # the separator of an mbox file (RFC 4155)
        data = data.partition(b"\n")[2]
    headers, body = _split(data)
    is_report = _kind(headers) == "multipart/report"
    text = "" if is_report else _first_text(headers, body, _DEPTH)
    return Mail(headers, decode_words(headers.get("subject", "")), text, is_report)


def decode_words(text: str) -> str:
    """Return a header with its encoded words decoded, on one line."""
    joined = _BETWEEN_WORDS.sub(r"\1", text)
    return " ".join(_WORD.sub(lambda word: _word(word[1], word[2], word[3]), joined).split())


def _split(data: bytes) -> tuple[dict[str, str], bytes]:
    """Return the headers, unfolded, and what follows them.

    A line that is no header goes on with the one before, as if it had been folded right; before any header, it is
    the first line of the text.
    """
    head, _blank, body = (b"", b"", data[1:]) if data.startswith(b"\n") else data.partition(b"\n\n")
    fields: list[tuple[str, list[bytes]]] = []
    for line in head.split(b"\n"):
        match = _FIELD.fullmatch(line)
        if match and not line.startswith((b" ", b"\t")):
            fields.append((match[1].decode("ascii").lower(), [match[2]]))
        elif fields:
            fields[-1][1].append(line)
    if not fields and head:
        return {}, data
    headers: dict[str, str] = {}
    for name, lines in fields:
        headers.setdefault(name, b"".join(lines)[:_HEADER].decode("utf-8", "replace").strip())
    return headers, body


def _first_text(headers: Mapping[str, str], body: bytes, depth: int) -> str:
    """Return the beginning of the first text of a part, or of its parts; empty if there is none."""
    kind = _kind(headers)
    if kind.startswith("multipart/"):
        boundary = _parameter(headers, "boundary").encode("utf-8", "replace")
        if not boundary or not depth:
            return ""
        parts = re.split(rb"(?m)^--" + re.escape(boundary) + rb"(?:--)?[ \t]*$\n?", body, maxsplit=_PARTS)[1:]
        return next((text for part in parts if (text := _first_text(*_split(part), depth - 1)).strip()), "")
    if kind not in ("", "text/plain", "text/html") and "/" in kind:
        return ""
    encoding = headers.get("content-transfer-encoding", "").partition(";")[0].strip().lower()
    text = _charset(_transferred(body[:_TEXT], encoding), _parameter(headers, "charset"))
    return _seen(text) if kind == "text/html" else text


def _kind(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _parameter(headers: Mapping[str, str], name: str) -> str:
    found = re.search(rf";\s*{name}\s*=\s*(?:\"([^\"]*)\"|([^\s;\"]+))", headers.get("content-type", ""), re.IGNORECASE)
    return (found[1] or found[2] or "") if found else ""


def _transferred(data: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return _from_base64(data)
    return binascii.a2b_qp(data) if encoding == "quoted-printable" else data


def _from_base64(data: bytes) -> bytes:
    letters = _NOT_BASE64.sub(b"", data)
    return binascii.a2b_base64(letters[: len(letters) // 4 * 4] + _last(letters[len(letters) // 4 * 4 :]))


def _last(letters: bytes) -> bytes:
    """Return the end of base64 that was cut off, with the padding that it lacks; one letter alone says nothing."""
    return letters + b"=" * (4 - len(letters)) if len(letters) > 1 else b""


def _word(charset: str, encoding: str, text: str) -> str:
    data = text.encode("utf-8", "replace")
    found = _from_base64(data) if encoding in "bB" else binascii.a2b_qp(data, header=True)
    return _charset(found, charset.partition("*")[0])  # RFC 2231 section 5: a language may follow


def _charset(data: bytes, name: str) -> str:
    """Return bytes as text; tokens are ASCII, so a charset that nobody knows does no harm."""
    try:
        if (known := codecs.lookup(name or "utf-8").name) not in _NO_CHARSETS:
            return data.decode(known, "replace").replace("\0", "")
    except (LookupError, ValueError):  # unknown; no codec of text; a name that no codec can have
        pass
    return data.decode("latin-1").replace("\0", "")


def _seen(text: str) -> str:
    """Return what a reader of HTML sees, roughly."""
    lines = re.sub(r"(?i)<(br|/p|/div|/tr|/li)\b[^>]*>", "\n", _UNSEEN.sub(" ", text))
    return html.unescape(_TAG.sub("", lines))
