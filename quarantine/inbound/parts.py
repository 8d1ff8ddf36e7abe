"""Read a message as a tree of parts, of any shape: broken, folded, cut off, or none at all. No input raises.

    >>> root = read(b"Content-Type: text/plain\r\n\r\nHello\r\n")
    >>> root.kind, root.text()
    ('text/plain', 'Hello\n')

The standard library's parser follows parts as deep as they are nested, and raises on some headers. Here the tree is
bounded in depth, number and size, and what is not asked for is not decoded.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .decoding import in_charset, seen, transferred

LIMIT = 1_000_000  # octets that are read of a message
TEXT = 30_000  # octets that are read of an encoded text
_HEAD, _HEADER = 100_000, 2_000  # octets of all headers of a part, and of one of them
_DEPTH, _PARTS = 8, 40  # parts within parts, and parts in all

# A field (RFC 5322 section 2.2), and the lines after it that are none.
_NAME = r"[!-9;-~]{1,80}[ \t]*:"
_FIELD = re.compile(rf"(?m)^([!-9;-~]{{1,80}})[ \t]*:([^\n]*(?:\n(?!{_NAME})[^\n]*)*)")
# A boundary that was not announced: a line of two hyphens that a header of a part follows.
_GUESS = re.compile(rb"(?:^|\n)--([!-~][ -~]{0,80})\nContent-[A-Za-z-]{4,30}:", re.IGNORECASE)


@dataclass(slots=True)
class Part:
    """A part: headers by lower-case name (the first of each, unfolded), content as octets, and the parts within it.

    The only part within a message/rfc822 is that message.
    """

    headers: Mapping[str, str]
    body: bytes
    kind: str
    parts: tuple["Part", ...] = ()

    def text(self, limit: int = TEXT) -> str:
        """Return the beginning of the part as text, as a reader sees it; lines end in \\n."""
        text = in_charset(transferred(self.body[:limit], self.encoding), parameter(self.headers, "charset"))
        text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
        return seen(text) if self.kind == "text/html" else text

    def octets(self) -> bytes:
        """Return the content without its transfer encoding."""
        if self.encoding in ("base64", "quoted-printable"):
            return lines(transferred(self.body, self.encoding))
        return self.body

    @property
    def encoding(self) -> str:
        return self.headers.get("content-transfer-encoding", "").partition(";")[0].strip().lower()

    def walk(self, *, into_messages: bool = True) -> Iterator["Part"]:
        """Yield the part and those within it, in their order; the tree is bounded when it is made."""
        yield self
        if into_messages or not self.kind.startswith("message/"):
            for part in self.parts:
                yield from part.walk(into_messages=into_messages)


def read(raw: bytes) -> Part:
    """Read a message, as far as it can be."""
    data = lines(raw[:LIMIT].replace(b"\0", b"")).lstrip(b"\n").removeprefix(b"\xef\xbb\xbf")
    if data.startswith((b"From ", b">From ")):  # the separator of an mbox file (RFC 4155)
        data = data.partition(b"\n")[2]
    return _part(data, _DEPTH, [_PARTS], default="")


def lines(data: bytes) -> bytes:
    """Return the same with LF as the only end of a line."""
    return data.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def split(data: bytes) -> tuple[dict[str, str], bytes]:
    """Return the headers, unfolded, and what follows them.

    A line that is no header goes on with the one before, as if it had been folded right; before any header, it is
    the first line of the text.
    """
    head, _blank, body = (b"", b"", data[1:]) if data.startswith(b"\n") else data.partition(b"\n\n")
    found = fields(head[:_HEAD])
    if not found and head:
        return {}, data
    headers: dict[str, str] = {}
    for name, value in found:
        headers.setdefault(name, value)
    return headers, body


def fields(head: bytes) -> list[tuple[str, str]]:
    """Return the fields of a block of headers in their order: lower-case name, unfolded value."""
    return [
        (name.lower(), _unfolded(value)[:_HEADER].strip())
        for name, value in _FIELD.findall(head.decode("utf-8", "replace"))
    ]


def _unfolded(value: str) -> str:
    """Return a value on one line; what stood on different lines stays apart."""
    return value.replace("\n ", " ").replace("\n\t", " ").replace("\n", " ") if "\n" in value else value


def kind_of(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().strip('"').lower()


def parameter(headers: Mapping[str, str], name: str) -> str:
    """Return a parameter of the content type, without quotes; empty if there is none."""
    value = headers.get("content-type", "")
    if name not in value.lower():
        return ""
    found = re.search(rf";\s*{name}\s*=\s*(?:\"([^\"]*)\"|([^\s;\"]+))", value, re.IGNORECASE)
    return (found[1] or found[2] or "") if found else ""


def _part(data: bytes, depth: int, left: list[int], *, default: str) -> Part:
    """Return one part and those within it. `left` counts down the parts that may still be made."""
    left[0] -= 1
    headers, body = split(data)
    kind = kind_of(headers) or default
    part = Part(headers, body, kind)
    if depth and left[0] > 0:
        if kind.startswith("multipart/") or (not kind and body.startswith((b"--", b"\n--", b"This is a MIME"))):
            inner = "message/rfc822" if kind == "multipart/digest" else ""  # RFC 2046 section 5.1.5
            part.parts = tuple(
                _part(piece, depth - 1, left, default=inner)
                for piece in _pieces(body, parameter(headers, "boundary"), left[0])
                if left[0] > 0
            )
        elif kind in ("message/rfc822", "message/global", "message/partial"):
            part.parts = (_part(part.octets().lstrip(b"\n"), depth - 1, left, default=""),)
    return part


def _pieces(body: bytes, boundary: str, most: int) -> list[bytes]:
    """Return what stands between the lines of a boundary (RFC 2046 section 5.1.1), or of one that looks like it."""
    mark = b"--" + boundary.encode("utf-8", "replace")
    if not boundary or not (body.startswith(mark) or b"\n" + mark in body):
        guess = _GUESS.search(body)
        if not guess:
            return []
        mark = b"--" + guess[1].rstrip()
    pieces: list[bytes] = []
    text, after, at = b"\n" + body, -1, 0
    while len(pieces) < most:
        found = text.find(b"\n" + mark, at)
        end = text.find(b"\n", found + 1) if found >= 0 else -1
        rest = text[found + 1 + len(mark) : end if end >= 0 else len(text)].strip() if found >= 0 else b""
        if rest not in (b"", b"--") and not rest.startswith(b"--"):
            at = found + 1  # the beginning of another, longer one
            continue
        if after >= 0:
            pieces.append(text[after : found if found >= 0 else len(text)])
        if found < 0 or end < 0 or rest:
            break
        after, at = end + 1, end
    return pieces
