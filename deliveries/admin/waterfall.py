"""Who is left out: the lines from "targeted" to "to send", each with its bar and its people, and what has changed."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext

from deliveries import reports
from deliveries.models import Delivery, Reason, RunRule
from profiles.plots import grouped


@dataclass(frozen=True, slots=True)
class Row:
    """One line: how many it leaves out, how many it concerns besides, its bar (hundredths), where its people are.

    `rules` are the sending rules behind the line: (name, number, address).
    """

    label: str
    number: str
    also: str
    start: float
    width: float
    url: str
    rules: list[tuple[str, str, str]]


def context(delivery: Delivery) -> dict[str, Any]:
    """Return the table, lines of nobody apart, and the difference from the analysis before. Five queries."""
    run = delivery.current_run
    if run is None:
        return {}
    found, rules = reports.waterfall(run), _rules(delivery, run.pk)
    rows, none, left = [], [], found.targeted
    for line in found.lines:
        url = reverse("admin:deliveries_delivery_left_out", args=[delivery.pk, int(line.reason)])
        if not line.first:
            none.append((line.label, grouped(line.in_all) if line.in_all else ""))
            continue
        left -= line.first
        also = grouped(line.in_all - line.first) if line.in_all > line.first else ""
        rows.append(
            Row(
                line.label, grouped(line.first), also, _share(left, found.targeted),
                max(_share(line.first, found.targeted), 0.5), url, rules.get(line.reason, []),
            )
        )  # fmt: skip
    return {
        "targeted": grouped(found.targeted),
        "to_send": grouped(found.to_send),
        "left_out": grouped(found.left_out),
        "to_send_width": _share(found.to_send, found.targeted),
        "rows": rows,
        "none": none,
        "overlaps": any(row.also for row in rows),
        "changes": changes(run),
    }


def changes(run: Any) -> dict[str, Any] | None:
    """Return what differs from the analysis before, in signed numbers. Two queries."""
    found = reports.changes(run)
    if found is None:
        return None
    return {
        "since": found.since.at,
        "targeted": _signed(found.targeted),
        "to_send": _signed(found.to_send),
        "lines": [(str(reason.label), _signed(number)) for reason, number in found.reasons],
        "same": not (found.targeted or found.to_send or found.reasons),
    }


def _rules(delivery: Delivery, run: int) -> dict[int, list[tuple[str, str, str]]]:
    """Return reason → its sending rules that left somebody out. One query."""
    found: dict[int, list[tuple[str, str, str]]] = {}
    for rule in RunRule.objects.filter(run=run, number__gt=0).order_by("-number", "rule"):
        label = gettext(rule.label) if rule.label else str(Reason(rule.reason).label)  # built-in names are English
        url = reverse("admin:deliveries_delivery_left_out", args=[delivery.pk, rule.reason])
        found.setdefault(rule.reason, []).append((label, grouped(rule.number), f"{url}?rule={rule.rule}"))
    return found


def _share(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


def _signed(number: int) -> str:
    return f"{'+' if number > 0 else '−' if number else ''}{grouped(abs(number))}"
