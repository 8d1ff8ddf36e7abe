"""The numbers of a public page: opened, sent and confirmed in the last 30 days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from landing import counting
from landing.models import Counted, Kind, LandingPage
from profiles.plots import Bar, Point, bars, line

KINDS = (Counted.VIEW, Counted.SUBMIT)
LABELS = {
    Counted.VIEW: gettext_lazy("Times opened"),
    Counted.SUBMIT: gettext_lazy("Forms sent"),
    Counted.CONFIRM: gettext_lazy("Requests confirmed"),
}


@dataclass(frozen=True, slots=True)
class Plots:
    """The totals as bars, and each kind as a line over the days."""

    totals: SafeString
    days: Sequence[SafeString]


def plots(page: LandingPage, *, at: datetime) -> Plots:
    """Return what is drawn on the page of a public page. One query."""
    found = counting.over(page.pk, _kinds(page), at=at)
    return Plots(
        bars(_("In all"), [Bar(str(LABELS[series.kind]), series.total) for series in found]),
        [_line(series) for series in found],
    )


def _kinds(page: LandingPage) -> tuple[Counted, ...]:
    """Return what can happen to a page: a link to preferences is asked for of a brand, and counted for no page."""
    if page.kind == Kind.PREFERENCES:
        return (Counted.VIEW,)
    confirmed = page.double_opt_in or bool(page.published and page.published.double_opt_in)
    return (*KINDS, Counted.CONFIRM) if confirmed and not page.is_opt_out else KINDS


def _line(series: counting.Series) -> SafeString:
    title = _("%(what)s, day by day") % {"what": LABELS[series.kind]}
    return line(title, [Point(date_format(day, "SHORT_DATE_FORMAT"), number) for day, number in series.days])
