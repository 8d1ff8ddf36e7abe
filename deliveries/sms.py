"""How an SMS is counted: the characters of a text decide how many messages it is sent, and paid, as.

3GPP TS 23.038 has the alphabet (section 6.2.1) and its extension table (6.2.1.1), TS 23.040 how long texts are joined
(section 9.2.3.24.1: a header of 6 octets in each segment).
"""

from dataclasses import dataclass

_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
GSM_ALONE, GSM_JOINED = 160, 153  # characters of 7 bits
UCS2_ALONE, UCS2_JOINED = 70, 67  # units of 16 bits


@dataclass(frozen=True, slots=True)
class Length:
    """How long a text is: `units` as its alphabet counts them, and in how many segments it travels.

    `other` holds the characters, each once and in order, for which the whole text needs the bigger alphabet.
    """

    units: int
    segments: int
    other: str = ""


def measure(text: str) -> Length:
    """Count a text as telephone networks do. An empty text takes no segment."""
    other = "".join(dict.fromkeys(char for char in text if char not in _GSM and char not in _GSM_EXTENSION))
    if other:
        widths = [len(char.encode("utf-16-be")) // 2 for char in text]
        return Length(sum(widths), _segments(widths, UCS2_ALONE, UCS2_JOINED), other)
    widths = [2 if char in _GSM_EXTENSION else 1 for char in text]
    return Length(sum(widths), _segments(widths, GSM_ALONE, GSM_JOINED))


def _segments(widths: list[int], alone: int, joined: int) -> int:
    """Fill segments one after the other: a character of two units is never cut in two."""
    if not widths:
        return 0
    if sum(widths) <= alone:
        return 1
    segments, free = 1, joined
    for width in widths:
        if width > free:
            segments, free = segments + 1, joined
        free -= width
    return segments
