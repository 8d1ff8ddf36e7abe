"""Plots drawn on the server: bars and lines as SVG, each beside the table of the same numbers.

    {{ plot }}   where plot = bars(_("Who is left out"), [Bar(_("Opted out"), 12), ...])

Without colour, style sheet or sight the numbers are still there: bars stand inside the rows of their table, and a
line is followed by its table, folded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.template.loader import render_to_string
from django.utils.formats import number_format
from django.utils.safestring import SafeString

WIDTH, HEIGHT = 600, 160


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its label, its number, a tone of the style sheet (good, wait, bad, quiet) and where it leads."""

    label: str
    value: int
    tone: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a line: what stands under it, and its number."""

    label: str
    value: int


def bars(title: str, rows: Sequence[Bar]) -> SafeString:
    """Draw one horizontal bar per row, the longest over the full width."""
    top = max((row.value for row in rows), default=0) or 1
    shown = [(row, grouped(row.value), round(100 * row.value / top, 2)) for row in rows]
    return render_to_string("admin/plots/bars.html", {"title": title, "rows": shown})


def grouped(number: int) -> str:
    """Return a number with the separators of the reader's language, such as 12,000."""
    return str(number_format(number, force_grouping=True))


def line(title: str, points: Sequence[Point]) -> SafeString:
    """Draw numbers over time as one line from 0 to the highest."""
    top = max((point.value for point in points), default=0) or 1
    step = WIDTH / max(len(points) - 1, 1)
    path = " ".join(f"{n * step:.1f},{HEIGHT - HEIGHT * point.value / top:.1f}" for n, point in enumerate(points))
    context = {"title": title, "points": points, "path": path, "top": grouped(top), "width": WIDTH, "height": HEIGHT}
    return render_to_string("admin/plots/line.html", context)


@dataclass(frozen=True, slots=True)
class Series:
    """One of several lines: its name, a tone of the style sheet (good, bad, plain), and a number per label."""

    label: str
    tone: str
    values: Sequence[int]


def lines(title: str, labels: Sequence[str], series: Sequence[Series], *, over: str = "") -> SafeString:
    """Draw several numbers over time, each with dashes of its own, from the lowest (0 or less) to the highest.

    `over` names what the labels are, when they are not days.
    """
    values = [value for one in series for value in one.values]
    top, bottom = max([*values, 0]), min([*values, 0])
    height, step = (top - bottom) or 1, WIDTH / max(len(labels) - 1, 1)

    def y(value: int) -> float:
        return HEIGHT * (top - value) / height

    drawn = [(one, " ".join(f"{n * step:.1f},{y(value):.1f}" for n, value in enumerate(one.values))) for one in series]
    rows = [(label, [grouped(one.values[n]) for one in series]) for n, label in enumerate(labels)]
    context = {
        "title": title, "series": drawn, "rows": rows, "zero": round(y(0), 1), "top": grouped(top),
        "bottom": grouped(bottom) if bottom else "", "width": WIDTH, "height": HEIGHT, "over": over,
    }  # fmt: skip
    return render_to_string("admin/plots/lines.html", context)
