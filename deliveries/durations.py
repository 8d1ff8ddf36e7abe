"""Spans of time as people say them."""

from datetime import timedelta

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def in_words(span: timedelta) -> str:
    """Return a span in one unit: "38 seconds", "31 minutes", "2 hours", "3 days"."""
    seconds = max(span.total_seconds(), 0)
    if seconds < 1:
        return _("less than a second")
    if seconds < MINUTE - 0.5:
        n = round(seconds)
        return ngettext("%(n)s second", "%(n)s seconds", n) % {"n": n}
    if seconds < 1.5 * HOUR:
        n = round(seconds / MINUTE)
        return ngettext("%(n)s minute", "%(n)s minutes", n) % {"n": n}
    if seconds < 1.5 * DAY:
        n = round(seconds / HOUR)
        return ngettext("%(n)s hour", "%(n)s hours", n) % {"n": n}
    n = round(seconds / DAY)
    return ngettext("%(n)s day", "%(n)s days", n) % {"n": n}


def short(span: timedelta) -> str:
    """Return a span that may be a fraction of a second: "0.04 s", "1.6 s", "38 s"."""
    seconds = span.total_seconds()
    places = 0 if seconds >= 10 else 1 if seconds >= 1 else 2 if seconds >= 0.01 else 3
    return _("%(seconds)s s") % {"seconds": number_format(round(seconds, places), decimal_pos=places)}


def left(span: timedelta) -> str:
    """Return how much longer something lasts, as an estimate."""
    if span < timedelta(minutes=1):
        return _("less than a minute left")
    return _("about %(time)s left") % {"time": in_words(span)}
