"""Messages that come back, and what is to be found in each.

They are made up: from RFC 3464, 3798, 5965, 6522, 6533 and 6591, and after the shape that mail systems give to their
reports. Nobody in them exists. A file in `samples/` holds several:

    ===== name of the message
    bounce
      jane@example.com hard user_unknown 5.1.1

    Return-Path: <>
    From: ...

The line of the kind may allow several, `other|auto_reply`. A recipient is an address, then failure, reason and status
as far as they are stated: `-` stands for none, `*` for anything. One in brackets may be found or not. `lines crlf`
tells how lines end, else both ways are to give the same. What is encoded in the real message stands between ⟦⟧, so that
it can be read here: see `_encoded`.
"""

import base64
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HOME = Path(__file__).parent / "samples"
_HEAD = re.compile(r"^===== (\S+)\n", re.MULTILINE)
_ENCODED = re.compile(r"⟦([^:⟧]+):[ \n]?([^⟧]*)⟧")


@dataclass(frozen=True, slots=True)
class Expected:
    """One recipient: what may be said of it. An empty set allows anything; "" among the values stands for none."""

    address: str
    failures: frozenset[str]
    reasons: frozenset[str]
    statuses: frozenset[str]
    optional: bool


@dataclass(frozen=True, slots=True)
class Sample:
    name: str  # "dsn/postfix/unknown-user"
    kinds: frozenset[str]
    recipients: tuple[Expected, ...]
    raw: bytes
    any_line_end: bool

    @property
    def family(self) -> str:
        return self.name.partition("/")[0]

    @property
    def kind(self) -> str:
        """Return what the message is; "" where opinions may differ."""
        return next(iter(self.kinds)) if len(self.kinds) == 1 else ""


@cache
def samples() -> tuple[Sample, ...]:
    """Read all of them, in the order of their names."""
    return tuple(sample for path in sorted(HOME.rglob("*.txt")) for sample in _in_file(path))


def write(folder: Path) -> None:
    """Write the samples as files, so that other programs can be tried on them."""
    for sample in samples():
        path = folder / f"{sample.name}.eml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.raw)


def _in_file(path: Path) -> Iterator[Sample]:
    prefix = path.relative_to(HOME).with_suffix("").as_posix()
    _nothing, *pieces = _HEAD.split(path.read_bytes().decode())
    for name, piece in zip(pieces[::2], pieces[1::2], strict=True):
        head, _blank, text = piece.partition("\n\n")
        kinds, *lines = head.split("\n")
        recipients = tuple(_expected(line.split()) for line in lines if line.startswith(" "))
        ends = next((line.split()[1] for line in lines if line.startswith("lines ")), "")
        raw = _ENCODED.sub(_encoded, text).encode("utf-8", "surrogateescape")
        yield Sample(f"{prefix}/{name}", frozenset(kinds.split("|")), recipients, _ended(raw, ends), not ends)


def _expected(words: list[str]) -> Expected:
    failures, reasons, statuses = (_choice(word) for word in (*words[1:4], "*", "*", "*")[:3])
    return Expected(words[0].strip("()"), failures, reasons, statuses, optional=words[0].startswith("("))


def _choice(word: str) -> frozenset[str]:
    return frozenset() if word == "*" else frozenset("" if one == "-" else one for one in word.split("|"))


def _encoded(match: re.Match[str]) -> str:
    """Return the octets that stand for ⟦how: text⟧.

    `base64 CHARSET`, `qp CHARSET` encode for the body, `word CHARSET B` (or Q) for a header; `repeat N` repeats; `hex`
    is octets; anything else names the charset of the octets.
    """
    how, *arguments = match[1].split()
    text = match[2]
    if how == "base64":
        data = base64.encodebytes(text.replace("\n", "\r\n").encode(arguments[0])).rstrip()
    elif how == "qp":
        data = quopri.encodestring(text.encode(arguments[0]))
    elif how == "word":
        data = _words(text, *arguments)
    elif how == "repeat":
        data = text.encode() * int(arguments[0])
    elif how == "hex":
        data = bytes.fromhex(text)
    else:
        data = text.encode(how)
    return data.decode("utf-8", "surrogateescape")


def _words(text: str, charset: str, encoding: str) -> bytes:
    """Return a text as encoded words (RFC 2047), one a folded line."""
    pieces = [text[start : start + 18].encode(charset) for start in range(0, len(text), 18)]
    coded = [
        base64.b64encode(piece) if encoding == "B" else quopri.encodestring(piece, header=True).replace(b"?", b"=3F")
        for piece in pieces
    ]
    return b"\n ".join(b"=?%b?%b?%b?=" % (charset.encode(), encoding.encode(), piece) for piece in coded)


def _ended(raw: bytes, ends: str) -> bytes:
    return raw.replace(b"\n", {"crlf": b"\r\n", "cr": b"\r"}.get(ends, b"\n"))
