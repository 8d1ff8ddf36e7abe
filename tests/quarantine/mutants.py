"""Spoil messages in the ways that networks, disks and people do, and in worse ones. A number makes one mutant."""

import random
import string
from collections.abc import Callable

from tests.quarantine.corpus import Sample, samples

Spoil = Callable[[random.Random, bytes], bytes]

_OCTETS = (b"\0", b"\r", b"\n", b"\r\n", b"\n\n", b" ", b"\t", b"\x1b$B", b"\x1b(B", b"\xff\xfe", b"\xef\xbb\xbf",
           b"\x80", b"\xed\xa0\x80", b"\xc3", b"--", b":", b";", b"<", b">", b"@", b'"', b"(", b")", b"\\", b"=", b"=?",
           b"?=", b"=?utf-8?B?", b"&#0;", b"&lt;", b"\x7f", b"\xe2\x80\xae", b"%00")  # fmt: skip
# What makes a careless pattern try everything again: runs of what it repeats, without what ends it.
_RUNS = (b" ", b"\t", b"\n", b"\r", b"<", b">", b"(", b"a", b"a.", b"a@", b"@", b"<a@b.example>", b"1.", b"5.1.1 ",
         b"550 ", b"550-5.1.1 \n", b'"', b"\\", b"=?", b"=?utf-8?B?YQ==?= ", b"--", b"--x\n", b"-", b"=\n", b"=20",
         b"&", b"&amp;", b"<p>", b"<!--", b"<style>", b"To: a@b.example\n", b"> ", b">", b"Content-Type: a/b;\n",
         b"Status: 5.1.1\n\n", b"\0", b"\xff", b"\xe4\xbd\xa0", b": ", b";", b"; x=", b"Re: ", b"/", b"_",
         b"...")  # fmt: skip
_CHARSETS = (b"utf-7", b"utf-16", b"utf-32", b"iso-2022-jp", b"iso-2022-kr", b"hz", b"gb18030", b"euc-kr", b"big5",
             b"idna", b"punycode", b"unicode_escape", b"raw_unicode_escape", b"rot13", b"hex", b"zlib", b"base64",
             b"undefined", b"mbcs", b"cp65001", b"x-unknown", b"", b"../../etc/passwd", b"utf-8\0",
             b"\xff\xff")  # fmt: skip
_ENCODINGS = (b"base64", b"quoted-printable", b"7bit", b"8bit", b"binary", b"x-uuencode", b"uuencode", b"gzip", b"")
_TYPES = (b"text/plain", b"text/html", b"message/rfc822", b"message/global", b"message/delivery-status",
          b"message/feedback-report", b"message/disposition-notification", b"multipart/report", b"multipart/mixed",
          b"multipart/alternative", b"multipart/digest", b"message/partial", b"text/rfc822-headers", b"text",
          b"application/octet-stream", b"/", b"a/b/c", b"multipart/")  # fmt: skip


def mutant(seed: str, number: int) -> tuple[str, bytes]:
    """Return what was done to which sample, and the message that came out."""
    chance = random.Random(f"{seed} {number}")
    sample = chance.choice(samples())
    raw, done = sample.raw, [sample.name]
    for spoil in _chosen(chance):
        raw = spoil(chance, raw)
        done.append(spoil.__name__.strip("_"))
    return " ".join(done), raw


def _chosen(chance: random.Random) -> list[Spoil]:
    """Draw one to four ways; what makes a message big comes once in twenty."""
    ways = chance.choices(LIGHT, k=chance.choice((1, 1, 2, 2, 3, 4)))
    return [*ways, chance.choice(HEAVY)] if chance.random() < 0.05 else ways


def cut(chance: random.Random, raw: bytes) -> bytes:
    return raw[: chance.randrange(len(raw) + 1)]


def cut_beginning(chance: random.Random, raw: bytes) -> bytes:
    return raw[chance.randrange(len(raw) + 1) :]


def flip_bits(chance: random.Random, raw: bytes) -> bytes:
    return _each(chance, raw, lambda octet: octet ^ (1 << chance.randrange(8)))


def flip_octets(chance: random.Random, raw: bytes) -> bytes:
    return _each(chance, raw, lambda _octet: chance.randrange(256))


def _each(chance: random.Random, raw: bytes, change: Callable[[int], int]) -> bytes:
    data = bytearray(raw)
    for _ in range(chance.choice((1, 2, 5, 20, 100, 1_000)) if data else 0):
        place = chance.randrange(len(data))
        data[place] = change(data[place])
    return bytes(data)


def insert(chance: random.Random, raw: bytes) -> bytes:
    for _ in range(chance.choice((1, 3, 10))):
        place = chance.randrange(len(raw) + 1)
        raw = raw[:place] + chance.choice(_OCTETS) * chance.choice((1, 1, 2, 9)) + raw[place:]
    return raw


def repeat_lines(chance: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    first = chance.randrange(len(lines))
    some = lines[first : first + chance.randint(1, 20)]
    return b"\n".join([*lines[:first], *some * chance.choice((2, 3, 30)), *lines[first + len(some) :]])


def drop_lines(chance: random.Random, raw: bytes) -> bytes:
    share = chance.choice((0.02, 0.1, 0.5))
    return b"\n".join(line for line in raw.split(b"\n") if chance.random() > share)


def drop_blank_lines(chance: random.Random, raw: bytes) -> bytes:
    return b"\n".join(line for line in raw.split(b"\n") if line.strip() or chance.random() < 0.3)


def shuffle_lines(chance: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    first = chance.randrange(len(lines))
    some = lines[first : first + 30]
    chance.shuffle(some)
    return b"\n".join([*lines[:first], *some, *lines[first + 30 :]])


def other_line_ends(chance: random.Random, raw: bytes) -> bytes:
    ends = chance.choice(((b"\r\n",), (b"\r",), (b"\n", b"\r\n"), (b"\r\r\n",), (b"\n\r",), (b"\n", b"\r", b"\n\n")))
    return b"".join(line + chance.choice(ends) for line in raw.replace(b"\r\n", b"\n").split(b"\n"))


def other_charset(chance: random.Random, raw: bytes) -> bytes:
    known = chance.choice((b"utf-8", b"us-ascii", b"iso-8859-1", b"UTF-8"))
    return raw.replace(b"charset=" + known, b"charset=" + chance.choice(_CHARSETS)).replace(
        b"=?" + known, b"=?" + chance.choice(_CHARSETS)
    )


def other_encoding(chance: random.Random, raw: bytes) -> bytes:
    heading = b"Content-Transfer-Encoding: "
    if heading not in raw:
        return raw.replace(b"Content-Type:", heading + chance.choice(_ENCODINGS) + b"\nContent-Type:")
    return raw.replace(chance.choice((b": base64", b": 7bit", b": 8bit")), b": " + chance.choice(_ENCODINGS))


def other_types(chance: random.Random, raw: bytes) -> bytes:
    return raw.replace(chance.choice(_TYPES), chance.choice(_TYPES))


def other_letters(chance: random.Random, raw: bytes) -> bytes:
    return raw.upper() if chance.random() < 0.5 else raw.lower()


def splice(chance: random.Random, raw: bytes) -> bytes:
    other = chance.choice(samples()).raw
    return raw[: chance.randrange(len(raw) + 1)] + other[chance.randrange(len(other) + 1) :]


def attach(chance: random.Random, raw: bytes) -> bytes:
    """Put the message into another as a part, as a list manager or a forwarding program does."""
    kind = chance.choice(
        (b"message/rfc822", b"text/plain", b"multipart/report; boundary=x", b"message/delivery-status")
    )
    sender = chance.choice((b"a@b.example", b"MAILER-DAEMON@b.example", b"<>", b""))
    return (
        b"From: " + sender + b"\nSubject: Fwd\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=out\n\n"
        b"--out\nContent-Type: " + kind + b"\n\n" + raw + b"\n--out--\n"
    )


def same_boundaries(chance: random.Random, raw: bytes) -> bytes:
    """Make parts within parts use one boundary, or boundaries that begin alike."""
    boundary = chance.choice((b"x", b"--x", b"x" * 200, b"", b'"', b"\xff", b"x y"))
    for name in (b"inner", b"outer", b"in-1", b"aa-1", b"aa-2"):
        raw = raw.replace(name, boundary)
    return raw.replace(b"boundary=", chance.choice((b"boundary=", b"boundary*=", b"boundary*0=", b"boundary =")))


def random_octets(chance: random.Random, raw: bytes) -> bytes:
    return raw[: chance.randrange(len(raw) + 1)] + chance.randbytes(chance.choice((10, 1_000, 20_000)))


def run(chance: random.Random, raw: bytes) -> bytes:
    """Put a long run of one thing somewhere."""
    return _with_run(chance, raw, chance.choice((300, 3_000, 30_000)))


def long_run(chance: random.Random, raw: bytes) -> bytes:
    return _with_run(chance, raw, chance.choice((200_000, 1_000_000, 3_000_000)))


def _with_run(chance: random.Random, raw: bytes, size: int) -> bytes:
    what = chance.choice(_RUNS)
    place = chance.choice((0, len(raw), raw.find(b"\n\n") + 2, chance.randrange(len(raw) + 1)))
    return raw[:place] + what * (size // len(what)) + raw[place:]


def many_headers(chance: random.Random, raw: bytes) -> bytes:
    name = chance.choice((b"Received", b"To", b"X-Failed-Recipients", b"Content-Type", b"Subject", b"References", b"A"))
    one = name + b": " + chance.choice((b"a@b.example", b"<a@b.example>,", b"=?utf-8?q?a?=", b"text/plain;")) + b"\n"
    return one * chance.choice((1_000, 50_000)) + raw


def one_long_header(chance: random.Random, raw: bytes) -> bytes:
    name = chance.choice((b"To", b"Subject", b"From", b"References", b"Content-Type", b"Auto-Submitted", b"X"))
    piece = chance.choice((b"<a@b.example>,\n ", b"=?utf-8?Q?=C3?=\n ", b"; a=b\n ", b"(", b'"', b"a\n ", b"\\"))
    return name + b": " + piece * chance.choice((1_000, 100_000)) + b"\n" + raw


def nest(chance: random.Random, raw: bytes) -> bytes:
    """Put the message into as many parts within parts as nobody ever would."""
    depth = chance.choice((20, 200, 3_000))
    heads = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))
    return b"MIME-Version: 1.0\n" + heads + raw


def nest_messages(chance: random.Random, raw: bytes) -> bytes:
    return b"Content-Type: message/rfc822\n\n" * chance.choice((20, 200, 10_000)) + raw


def many_parts(chance: random.Random, raw: bytes) -> bytes:
    kind = chance.choice(_TYPES)
    part = b"--p\nContent-Type: " + kind + b"\n\nFinal-Recipient: rfc822; a@b.example\nStatus: 5.1.1\n\n"
    return (
        b"From: MAILER-DAEMON@b.example\nContent-Type: multipart/report; boundary=p\n\n"
        + part * chance.choice((100, 10_000))
        + raw
    )


def many_recipients(chance: random.Random, raw: bytes) -> bytes:
    name = "".join(chance.choices(string.ascii_lowercase, k=5))
    groups = b"".join(
        b"Final-Recipient: rfc822; %s%d@b.example\nAction: failed\nStatus: 5.1.1\n\n" % (name.encode(), number)
        for number in range(chance.choice((100, 5_000)))
    )
    return raw.replace(b"Final-Recipient:", groups + b"Final-Recipient:", 1) if b"Final-Rec" in raw else raw + groups


def double(chance: random.Random, raw: bytes) -> bytes:
    return raw * chance.choice((2, 10, 100))


LIGHT: tuple[Spoil, ...] = (
    cut, cut_beginning, flip_bits, flip_octets, insert, repeat_lines, drop_lines, drop_blank_lines, shuffle_lines,
    other_line_ends, other_charset, other_encoding, other_types, other_letters, splice, attach, same_boundaries,
    random_octets, run,
)  # fmt: skip
HEAVY: tuple[Spoil, ...] = (
    long_run, many_headers, one_long_header, nest, nest_messages, many_parts, many_recipients, double,
)  # fmt: skip


def cut_copies(sample: Sample, pieces: int) -> list[bytes]:
    """Return beginnings of a message, cut at so many places."""
    return [sample.raw[: len(sample.raw) * piece // pieces] for piece in range(1, pieces)]
