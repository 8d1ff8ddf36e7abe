"""The colours of a page: those of its brand, made as dark or as light as it takes to read what stands on them.

    look("1f6f5c", "ffd8a8").light    Colors(accent="#1f6f5c", page="#ffd8a8")

WCAG 2.2, 1.4.3 and 1.4.11: 4.5 to 1 for text. The formulas are those of its definition of relative luminance.
"""

import re
from dataclasses import dataclass

DEFAULT = "1f6f5c"
ENOUGH = 4.5
Color = tuple[int, int, int]
# Of public.css: the usual page, the card upon it, and the palest text that stands on the page.
LIGHT_PAGE, LIGHT_CARD, LIGHT_TEXT = (246, 246, 244), (255, 255, 255), (85, 93, 102)
DARK_PAGE, DARK_CARD, DARK_TEXT = (20, 23, 26), (30, 33, 36), (170, 178, 186)
_CODE = re.compile(r"[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class Colors:
    """The accent and the page behind the card, as #rrggbb."""

    accent: str
    page: str


@dataclass(frozen=True, slots=True)
class Look:
    """The colours in light and in dark."""

    light: Colors
    dark: Colors


def look(color: str, page: str = "") -> Look:
    """Return the readable forms of the colours of a brand; of our own where a text is no colour."""
    base, behind = _read(color) or _read(DEFAULT) or LIGHT_TEXT, _read(page)
    return Look(
        _colors(base, _away(behind, [LIGHT_TEXT], 255) if behind else LIGHT_PAGE, LIGHT_CARD, toward=0),
        _colors(base, _away(behind, [DARK_TEXT], 0) if behind else DARK_PAGE, DARK_CARD, toward=255),
    )


def codes_of(color: str, page: str = "") -> str:
    """Return the colours as digits, for the address of their style sheet: 1f6f5c, or 1f6f5c-ffd8a8."""
    codes = [_digits(color) or DEFAULT, _digits(page)]
    return "-".join(code for code in codes if code)


def contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _colors(base: Color, page: Color, card: Color, *, toward: int) -> Colors:
    """Mix the accent with black (0) or white (255) until it stands out from the page and from the card."""
    return Colors(_hex(_away(base, [page, card], toward)), _hex(page))


def _away(color: Color, others: list[Color], toward: int) -> Color:
    """Mix a colour with black (0) or white (255) until it stands out from all the others."""
    mixed = color
    for step in range(21):
        red, green, blue = (round(part + (toward - part) * step / 20) for part in color)
        mixed = (red, green, blue)
        if all(contrast(mixed, other) >= ENOUGH for other in others):
            break
    return mixed


def _digits(color: str) -> str:
    code = color.lstrip("#").lower()
    return code if _CODE.fullmatch(code) else ""


def _read(color: str) -> Color | None:
    code = _digits(color)
    return (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) if code else None


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _luminance(color: Color) -> float:
    red, green, blue = (_linear(part / 255) for part in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
