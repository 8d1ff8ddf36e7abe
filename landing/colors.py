"""The accent of a page: a brand's colour, made as dark or as light as it takes to be read.

WCAG 2.2, 1.4.3 and 1.4.11: 4.5 to 1 for text. The formulas are those of its definition of relative luminance.
"""

import re
from dataclasses import dataclass

DEFAULT = "1f6f5c"
ENOUGH = 4.5
LIGHT_PAGE, DARK_PAGE = (246, 246, 244), (30, 33, 36)  # the hardest backgrounds of public.css
Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Accent:
    """The accent on light and on dark pages, as #rrggbb."""

    light: str
    dark: str


def accent(color: str) -> Accent:
    """Return the readable forms of a colour; of our own one when the text is no colour."""
    code = color.lstrip("#").lower()
    if not re.fullmatch(r"[0-9a-f]{6}", code):
        code = DEFAULT
    red, green, blue = (int(code[i : i + 2], 16) for i in (0, 2, 4))
    base = (red, green, blue)
    return Accent(light=_readable(base, LIGHT_PAGE, toward=0), dark=_readable(base, DARK_PAGE, toward=255))


def code_of(color: str) -> str:
    """Return a colour as six digits, for the address of its style sheet."""
    code = color.lstrip("#").lower()
    return code if re.fullmatch(r"[0-9a-f]{6}", code) else DEFAULT


def contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _readable(color: Color, page: Color, *, toward: int) -> str:
    """Mix the colour with black (0) or white (255) until it stands out from the page."""
    mixed = color
    for step in range(21):
        red, green, blue = (round(part + (toward - part) * step / 20) for part in color)
        mixed = (red, green, blue)
        if contrast(mixed, page) >= ENOUGH:
            break
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _luminance(color: Color) -> float:
    red, green, blue = (_linear(part / 255) for part in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
