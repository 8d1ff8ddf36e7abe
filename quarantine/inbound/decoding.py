"""Turn octets into text: encoded words of headers, transfer encodings, charsets, HTML. No input raises."""

import binascii
import codecs
import html
import re
import string

# RFC 2047 section 2. Blanks between two encoded words are no part of the text (section 6.2).
_WORD = re.compile(r"=\?([^?\s]{1,40})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?[^?\s]{1,40}\?[bBqQ]\?)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
# Codecs of Python that no mail is written in; some warn, some take very long.
_NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
# What programs say, and the larger charset that they mean by it (WHATWG Encoding, section 4.2).
_LARGER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "iso8859-1": "cp1252",
           "ascii": "utf-8", "iso2022_jp": "iso2022_jp_ext"}  # fmt: skip
_UNSEEN = re.compile(r"<(style|script|head|title)\b|<!--", re.IGNORECASE)
_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)  # keeps the length, unlike lower()
_TAG = re.compile(r"(?s)<(?![\w.+=-]{1,64}@)[^<>]*>")
_BREAK = re.compile(r"(?i)<(?:br|/?p|/?div|/?tr|/?li|/?h[1-6])\b[^<>]*>")


def decode_words(text: str) -> str:
    """Return a header with its encoded words decoded, on one line."""
    if "=?" in text:
        text = _WORD.sub(lambda word: _word(word[1], word[2], word[3]), _BETWEEN_WORDS.sub(r"\1", text))
    return " ".join(text.split())


def transferred(data: bytes, encoding: str) -> bytes:
    """Return the octets that a transfer encoding stands for (RFC 2045 section 6), as far as they are whole."""
    if encoding == "base64":
        return _from_base64(data)
    return binascii.a2b_qp(data) if encoding == "quoted-printable" else data


def in_charset(data: bytes, name: str) -> str:
    """Return octets as text; what is looked for is mostly ASCII, so a charset that nobody knows does no harm."""
    if not name and b"\x1b$" in data:  # Japanese mail without a label (RFC 1468)
        name = "iso-2022-jp"
    try:
        known = codecs.lookup(name or "utf-8").name
        if known not in _NO_CHARSETS:
            return data.decode(_LARGER.get(known, known), "replace").replace("\0", "")
    except (LookupError, ValueError):  # unknown; no codec of text; a name that no codec can have
        pass
    return data.decode("latin-1").replace("\0", "")


def seen(text: str) -> str:
    """Return what a reader of HTML sees, roughly."""
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", _without_unseen(text))))


def _without_unseen(text: str) -> str:
    """Return HTML without what is not for readers. One look at each end: an expression would search again and again."""
    lower, kept, at, endless = text.translate(_SMALL), [], 0, set()
    for found in _UNSEEN.finditer(text):
        close = f"</{found[1].lower()}" if found[1] else "-->"
        if found.start() < at or close in endless:
            continue
        end = lower.find(close, found.end())
        if end < 0:
            endless.add(close)
            continue
        kept.append(text[at : found.start()])
        at = end + 3 if close == "-->" else lower.find(">", end) + 1 or len(text)
    return " ".join((*kept, text[at:]))


def _from_base64(data: bytes) -> bytes:
    letters = _NOT_BASE64.sub(b"", data)
    return binascii.a2b_base64(letters[: len(letters) // 4 * 4] + _last(letters[len(letters) // 4 * 4 :]))


def _last(letters: bytes) -> bytes:
    """Return the end of base64 that was cut off, with the padding that it lacks; one letter alone says nothing."""
    return letters + b"=" * (4 - len(letters)) if len(letters) > 1 else b""


def _word(charset: str, encoding: str, text: str) -> str:
    data = text.encode("utf-8", "replace")
    found = _from_base64(data) if encoding in "bB" else binascii.a2b_qp(data, header=True)
    return in_charset(found, charset.partition("*")[0])  # RFC 2231 section 5: a language may follow
