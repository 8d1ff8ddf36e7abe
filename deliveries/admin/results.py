"""What became of the messages: bars, a plot over time, and what errors cost."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import durations, pace
from deliveries.models import LogStatus
from profiles.plots import Bar, Series, bars, grouped, lines

from . import live
from .standing import Standing, percent

TONES = {
    LogStatus.SENT: "good",
    LogStatus.FAILED: "bad",
    LogStatus.IN_DOUBT: "bad",
    LogStatus.RETRY: "wait",
    LogStatus.PENDING: "wait",
    LogStatus.HANDING_OFF: "wait",
    LogStatus.SUPPRESSED: "quiet",
    LogStatus.CANCELLED: "quiet",
}


def context(standing: Standing, minutes: Sequence[pace.Slice]) -> dict[str, Any]:
    """Return what became of the messages. One query."""
    run = standing.delivery.current_run
    if run is None or not standing.outcomes:
        return {}
    return {
        "outcomes": _bars(standing),
        "plot": over_time(minutes),
        "errors_cost": _errors(standing, pace.cost(run)),
        "domains": live.domains(standing),
        "in_doubt": standing.outcomes[LogStatus.IN_DOUBT],
        "drift": live.drift(standing.drift),
        "drift_total": sum(line.since for line in standing.drift),
    }


def over_time(minutes: Sequence[pace.Slice]) -> str:
    """Draw what was sent and refused over time; nothing while it all fits one slice."""
    width, slices = pace.over_time(minutes)
    if len(slices) < 2:
        return ""
    style = "SHORT_DATE_FORMAT" if width >= timedelta(days=1) else "SHORT_DATETIME_FORMAT"
    series = [
        Series(str(LogStatus.SENT.label), "good", [one.sent for one in slices]),
        Series(str(LogStatus.FAILED.label), "bad", [one.failed for one in slices]),
    ]
    title = _("Messages over time, in slices of %(time)s") % {"time": durations.in_words(width)}
    labels = [date_format(localtime(one.at), style) for one in slices]
    return lines(title, labels, series, over=_("From"))


def _bars(standing: Standing) -> str:
    delivery, shown = standing.delivery, standing.outcomes.items()
    return bars(
        _("What became of the messages"),
        [
            Bar(
                str(status.label), n, TONES[status],
                reverse("admin:deliveries_delivery_by_status", args=[delivery.pk, int(status)]) if n else "",
            )
            for status, n in shown
            if status in TONES and (n or status in (LogStatus.SENT, LogStatus.FAILED))
        ],
    )  # fmt: skip


def _errors(standing: Standing, cost: pace.Cost) -> list[str]:
    """Say how many hand-offs failed, what time they took, and what leaving others out in time has saved."""
    said = []
    if cost.handed_over:
        told = ngettext(
            "Error rate: %(rate)s. %(n)s of %(whole)s attempt failed.",
            "Error rate: %(rate)s. %(n)s of %(whole)s attempts failed.",
            cost.handed_over,
        )
        words = {"n": grouped(cost.failed), "whole": grouped(cost.handed_over)}
        said.append(told % {**words, "rate": percent(cost.failed, cost.handed_over)})
    if cost.each_failed is not None:
        words = {"failed": durations.short(cost.failed_time), "whole": durations.short(cost.whole)}
        words["each"] = durations.short(cost.each_failed)
        if cost.each_sent is not None:
            words["sent"] = durations.short(cost.each_sent)
            told = _(
                "Those that failed took %(failed)s of the %(whole)s of handing over: %(each)s each, against %(sent)s "
                "for one that worked."
            )
        else:
            told = _("They took %(failed)s: %(each)s each.")
        said.append(told % words)
    return [*said, *_saved(standing, cost)]


def _saved(standing: Standing, cost: pace.Cost) -> list[str]:
    found = standing.waterfall
    early = sum(line.first for line in found.lines if line.reason in pace.FAILING) if found else 0
    if not early:
        return []
    told = ngettext(
        "%(n)s address in error had been left out before.", "%(n)s addresses in error had been left out before.", early
    )
    said = told % {"n": grouped(early)}
    if cost.each_failed is not None and cost.each_failed * early >= timedelta(seconds=1):
        time = {"time": durations.in_words(cost.each_failed * early)}
        said += " " + _("At the pace of those that failed, that has saved about %(time)s.") % time
    return [said]
