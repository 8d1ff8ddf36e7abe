"""What waits for a human about deliveries and mail domains, each with one link to where it is solved.

All from counters and short lists: the leases of the newest deliveries, and the mail domains that have asked to wait.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.urls import NoReverseMatch, reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import domains, reports, watch
from deliveries.held import is_held
from deliveries.models import Delivery, LogStatus, MailDomain, State
from profiles.plots import grouped
from quarantine import figures, report_words

RECENT = timedelta(days=14)
MOST_DOMAINS = 5
MOST_REPORTS = 99
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that waits for a human."""

    text: str
    url: str
    tone: str = "wait"


def of_deliveries(
    deliveries: Sequence[Delivery], counts: Mapping[int, Mapping[str, int]], *, at: datetime
) -> Iterator[Alert]:
    """Yield what is the matter with deliveries, whose run has been read; `counts`: see `home`. One query at most."""
    stalled = reports.stalled([one for one in deliveries if one.state == State.SENDING], at=at)
    for delivery in deliveries:
        numbers = counts.get(delivery.current_run_id or 0, {})
        yield from _states(delivery, stalled=delivery.pk in stalled)
        yield from _in_doubt(delivery, numbers.get(LogStatus.IN_DOUBT.counter, 0))
        yield from _complaints(delivery, numbers.get(LogStatus.SENT.counter, 0), at)


def _states(delivery: Delivery, *, stalled: bool) -> Iterator[Alert]:
    url, words = delivery_url(delivery.pk), {"delivery": delivery.label}
    if delivery.state == State.FAILED:
        yield Alert(_("%(delivery)s: the analysis failed") % words, url, "bad")
    if is_held(delivery.error):
        yield Alert(f"{delivery.label}{_(':')} {delivery.problem}", url, "bad")
    elif delivery.state == State.PAUSED and delivery.error:
        told = _("%(delivery)s has paused by itself: the receiving side refuses us, whatever the address")
        yield Alert(told % words, url, "bad")
    elif delivery.state == State.PAUSED:
        yield Alert(_("%(delivery)s is paused") % words, url)
    if stalled:
        minutes = round(reports.STALLED / timedelta(minutes=1))
        told = _("%(delivery)s is being sent, but nothing has left for %(n)s minutes. See whether the workers run")
        yield Alert(told % {**words, "n": minutes}, url, "bad")


def _in_doubt(delivery: Delivery, number: int) -> Iterator[Alert]:
    if number:
        told = ngettext(
            "%(delivery)s: the outcome of %(n)s message is unknown",
            "%(delivery)s: the outcome of %(n)s messages is unknown",
            number,
        )
        url = page_url("admin:deliveries_delivery_doubt", delivery.pk)
        yield Alert(told % {"delivery": delivery.label, "n": grouped(number)}, url)


def _complaints(delivery: Delivery, sent: int, at: datetime) -> Iterator[Alert]:
    run = delivery.current_run
    if run is None or delivery.started_at is None or at - delivery.started_at > RECENT:
        return
    if run.complaints and watch.is_share(run.complaints, sent, settings.ALERT_COMPLAINT_PERCENT):
        told = ngettext(
            "%(delivery)s: %(n)s person of %(whole)s reported it as spam (%(percent)s%%)",
            "%(delivery)s: %(n)s people of %(whole)s reported it as spam (%(percent)s%%)",
            run.complaints,
        )
        percent = number_format(100 * run.complaints / sent, decimal_pos=2)
        words = {"n": grouped(run.complaints), "whole": grouped(sent), "percent": percent}
        yield Alert(told % {"delivery": delivery.label, **words}, delivery_url(delivery.pk), "bad")


def of_domains(*, at: datetime) -> Iterator[Alert]:
    """Yield the mail domains that have been at rest for more than a day. One query."""
    tired = MailDomain.objects.filter(deferrals__gte=domains.rests_within(DAY), answered_at__gt=at - DAY)
    told = _("%(domain)s has been asking us to wait for more than a day")
    for known in tired.order_by("-deferrals", "domain")[:MOST_DOMAINS]:
        url = page_url("admin:deliveries_maildomain_change", known.pk)
        yield Alert(told % {"domain": known.domain}, url, "bad")


def of_reports() -> Iterator[Alert]:
    """Say how many reports wait for a decision, up to a number at which it no longer matters. One query."""
    waiting = report_words.waiting(MOST_REPORTS + 1)
    if not waiting:
        return
    if waiting > MOST_REPORTS:
        told = _("More than %(n)s reports about your messages wait for a decision")
    else:
        told = ngettext(
            "%(n)s report about your messages waits for a decision",
            "%(n)s reports about your messages wait for a decision",
            waiting,
        )
    yield Alert(told % {"n": min(waiting, MOST_REPORTS)}, page_url("admin:quarantine_report_changelist"))


def of_addresses(*, may_release: bool) -> Iterator[Alert]:
    """Yield the mail domains of which many messages came back within a day; the periodic job has found them."""
    for jump in figures.jumps():
        usual = number_format(jump.usual, decimal_pos=int(jump.usual < 10)) if jump.usual >= 0.05 else _("none")
        words = {"n": grouped(jump.number), "usual": usual}
        if jump.domain:
            told = ngettext(
                "%(domain)s: %(n)s address was left out within a day (usually %(usual)s). It may have broken down",
                "%(domain)s: %(n)s addresses were left out within a day (usually %(usual)s). It may have broken down",
                jump.number,
            )
        else:
            told = ngettext(
                "%(n)s address was left out within a day because messages came back (usually %(usual)s)",
                "%(n)s addresses were left out within a day because messages came back (usually %(usual)s)",
                jump.number,
            )
        name = "admin:quarantine_outage_add" if may_release else "admin:quarantine_quarantinedaddress_changelist"
        asked = "?" + urlencode({"domain": jump.domain}) if may_release and jump.domain else ""
        yield Alert(told % {**words, "domain": jump.domain}, page_url(name) + asked, "bad")


def delivery_url(pk: int) -> str:
    return page_url("admin:deliveries_delivery_workspace", pk)


def page_url(name: str, *args: Any) -> str:
    """Return the address of a page, or nothing where it is not installed."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""
