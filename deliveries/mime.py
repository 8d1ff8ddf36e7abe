"""The bytes of a message, put together by hand: the standard library takes a hundred times as long.

Nothing that people typed reaches a header as it stands. What is not plain goes out as encoded words (RFC 2047), whose
letters cannot end a line, an address or a quotation. The library's own folding takes the quotes off a long name, which
makes several addresses of one.

Bodies are quoted-printable (RFC 2045 section 6.7), like everywhere: base64 would be as fast, and is a mark of unwanted
mail where a text hardly needs it. Lines are independent of each other in it, and most are the same in each message of
a delivery, so they are encoded once.
"""

import base64
import binascii
import re

CRLF = "\r\n"
# RFC 2047 section 2: no line with an encoded word is longer, and no encoded word longer than 75.
LONGEST_LINE, LONGEST_WORD = 76, 75
# What stays the same is met in the first messages; what is about one person need not be kept.
LINES_KEPT = 2_000

# RFC 5322 section 2.2: a header value holds no line break; everything below a blank is refused there.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")  # RFC 5322 section 3.2.3
# Quoted-printable writes each "=" as "=3D", so that this occurs in no body (as RFC 2045 section 6.7 advises).
_BOUNDARY = "=_alternative"
_START, _END = "=?utf-8?b?", "?="


def one_line(text: str) -> str:
    """Return a text on one line: no line break of any kind, no control character, single blanks."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # half of a surrogate pair, from a field of an import
    return " ".join(_CONTROL.sub(" ", text).split())


def unstructured(name: str, text: str) -> str:
    """Return a header whose value is any text on one line (see `one_line`), folded, with its line end."""
    start = f"{name}: "
    if text.isascii() and "=?" not in text:
        if len(start) + len(text) <= LONGEST_LINE:
            return start + text + CRLF
        if folded := _fold(start, text):
            return folded + CRLF
    return start + _encoded_words(text, used=len(start)) + CRLF


def mailbox(name: str, address: str, display: str = "") -> str:
    """Return a header that holds one address (as it goes on the wire), with the name to show (see `one_line`)."""
    start = f"{name}: "
    if not display:
        return start + address + CRLF
    if not display.isascii() or "=?" in display or len(start) + len(display) > LONGEST_LINE - 20:
        shown = _encoded_words(display, used=len(start))
    elif _ATOMS.fullmatch(display):
        shown = display
    else:
        shown = '"' + display.replace("\\", r"\\").replace('"', r"\"") + '"'
    last = len(start + shown) if CRLF not in shown else len(shown) - shown.rindex(CRLF)
    blank = " " if last + len(address) + 3 <= LONGEST_LINE else CRLF + " "
    return f"{start}{shown}{blank}<{address}>{CRLF}"


def _fold(start: str, text: str) -> str:
    """Return an ASCII text folded between its words; empty when a word is too long for a line."""
    lines, line = [], start.rstrip()
    for word in text.split(" "):
        if len(start) + len(word) > LONGEST_LINE:
            return ""
        if len(line) + 1 + len(word) > LONGEST_LINE:
            lines.append(line)
            line = ""
        line += " " + word
    return CRLF.join([*lines, line])


def _encoded_words(text: str, *, used: int) -> str:
    """Return a text as encoded words, one a line; `used` is what the first line holds already."""
    words, chunk = [], b""
    room = _octets(LONGEST_LINE - used)
    for letter in text:
        octets = letter.encode()
        if len(chunk) + len(octets) > room:
            words.append(chunk)
            chunk, room = b"", _octets(LONGEST_WORD)
        chunk += octets
    words.append(chunk)
    return (CRLF + " ").join(_START + base64.b64encode(word).decode() + _END for word in words)


def _octets(length: int) -> int:
    """Return how many octets of a text an encoded word of a length holds."""
    return (length - len(_START) - len(_END)) // 4 * 3


class _QuotedLines(dict[bytes, bytes]):
    """Lines in quoted-printable, encoded when they are first asked for."""

    def __missing__(self, line: bytes) -> bytes:
        encoded = binascii.b2a_qp(line).replace(b"\n", b"\r\n")
        if len(self) < LINES_KEPT:
            self[line] = encoded
        return encoded


class Skeleton:
    """All that the messages of a delivery in one language share, encoded once; `fill` makes one of them."""

    def __init__(self, headers: str) -> None:
        """Take the headers that do not vary, each with its line end."""
        self._top = (
            f"{headers}MIME-Version: 1.0\r\n"
            f'Content-Type: multipart/alternative; boundary="{_BOUNDARY}"\r\n\r\n'
            f"--{_BOUNDARY}\r\n{_part('plain')}"
        ).encode("ascii")
        self._middle = f"\r\n\r\n--{_BOUNDARY}\r\n{_part('html')}".encode("ascii")
        self._bottom = f"\r\n\r\n--{_BOUNDARY}--\r\n".encode("ascii")
        self._lines = _QuotedLines()

    def fill(self, headers: str, *, text: str, html: str) -> bytes:
        """Return a message with the headers that are its own (each with its line end) and its two bodies.

        Letters other than ASCII stand in them for an address only, and the mail server must then speak SMTPUTF8.
        """
        return b"".join((headers.encode(), self._top, self._body(text), self._middle, self._body(html), self._bottom))

    def _body(self, text: str) -> bytes:
        return b"\r\n".join(map(self._lines.__getitem__, text.encode("utf-8", "replace").splitlines()))


def _part(subtype: str) -> str:
    return f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
