"""The first page of the back-office: a search for a person, what needs attention, the latest deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Sum
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries.models import Delivery, Lease, LogStatus, State
from landing.models import MetTwins, OptOutBurst
from profiles import brands
from profiles.models import Brand, ImportJob
from profiles.plots import grouped

from . import alerts
from .alerts import RECENT, Alert, delivery_url, page_url

LATEST = 8
LOOKED_AT = 100  # the deliveries among which trouble is looked for: the newest
THINNEST = 0.8  # hundredths of a bar: one refused message of a million is still seen
# What a bar shows of a delivery: status → tone, in the order of the bar.
TONES = {
    LogStatus.SENT: "good",
    LogStatus.PENDING: "soft",
    LogStatus.RETRY: "wait",
    LogStatus.IN_DOUBT: "wait",
    LogStatus.FAILED: "bad",
    LogStatus.EXCLUDED: "quiet",
    LogStatus.SUPPRESSED: "quiet",
}
STATE_TONES = {
    State.FINISHED: "good",
    State.FAILED: "bad",
    State.STOPPED: "bad",
    State.PAUSED: "wait",
    State.STOPPING: "wait",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery with its numbers, and the parts of its bar as (tone, start, width) in hundredths."""

    delivery: Delivery
    url: str
    tone: str
    sent: str
    left_out: str
    targeted: str
    parts: Sequence[tuple[str, float, float]]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the context of the admin's first page what it shows (UNFOLD["DASHBOARD_CALLBACK"])."""
    may = request.user.has_perm
    context.update(title=_("Home"), may_search=may("profiles.view_profile"), jobs=_jobs(request), alerts=[], rows=None)
    if may("deliveries.view_delivery"):
        deliveries = list(Delivery.objects.live().select_related("current_run").order_by("-pk")[:LOOKED_AT])
        counts = _counts([d.current_run_id for d in deliveries if d.current_run_id])
        context["rows"] = [_row(d, counts.get(d.current_run_id or 0, {})) for d in deliveries[:LATEST]]
        context["alerts"] += alerts.of_deliveries(deliveries, counts, at=timezone.now())
    if may("quarantine.view_quarantinedaddress"):
        context["alerts"] += alerts.of_addresses(may_release=may("quarantine.release_quarantinedaddress"))
    if may("deliveries.view_maildomain"):
        context["alerts"] += alerts.of_domains(at=timezone.now())
    if may("quarantine.accept_report"):
        context["alerts"] += alerts.of_reports()
    if may("profiles.view_brand"):
        context["alerts"] += _incomplete_brands()
    if may("landing.view_mettwins"):
        context["alerts"] += _met_twins()
    if may("landing.view_optoutburst"):
        context["alerts"] += _bursts()
    if may("profiles.view_importjob"):
        context["alerts"] += _failed_imports(timezone.now())
    return context


def _counts(runs: Sequence[int]) -> dict[int, dict[str, int]]:
    """Return run → status → number, from the counters of its leases. One query."""
    sums = {f"n_{status.counter}": Sum(status.counter) for status in LogStatus}
    rows: Any = Lease.objects.filter(run__in=runs).order_by().values("run").annotate(**sums)
    return {row["run"]: {name[2:]: row[name] or 0 for name in sums} for row in rows}


def _incomplete_brands() -> list[Alert]:
    """Name the brands that may not be used yet."""
    waiting = [brand for brand in Brand.objects.order_by("name")[:LOOKED_AT] if not brands.is_ready(brand)]
    return [
        Alert(str(brands.incomplete(brand)), page_url("admin:profiles_brand_change", brand.pk), "bad")
        for brand in waiting
    ]


def _bursts() -> list[Alert]:
    """Name the opt-outs that machines may have made, and that nobody has decided about. One query."""
    found = []
    for burst in OptOutBurst.objects.filter(state=OptOutBurst.State.NEW).order_by("-pk")[:5]:
        told = ngettext(
            "%(delivery)s: %(n)s person at %(domain)s opted out within seconds. A machine may have pressed the links",
            "%(delivery)s: %(n)s people at %(domain)s opted out within seconds. A machine may have pressed the links",
            burst.people,
        )
        words = {"delivery": burst.delivery_name, "n": grouped(burst.people), "domain": burst.domain}
        found.append(Alert(told % words, page_url("admin:landing_optoutburst_change", burst.pk), "bad"))
    return found


def _failed_imports(at: datetime) -> list[Alert]:
    jobs = ImportJob.objects.filter(state=ImportJob.State.FAILED, created_at__gte=at - RECENT).order_by("-pk")[:5]
    told = _("The import of %(file)s failed")
    return [
        Alert(told % {"file": job.file_name}, page_url("admin:profiles_importjob_change", job.pk), "bad")
        for job in jobs
    ]


def _met_twins() -> list[Alert]:
    """Say how many sign-ups met several profiles, up to a number at which it no longer matters."""
    waiting = len(MetTwins.objects.filter(seen_at=None).values_list("pk")[: LOOKED_AT + 1])
    if not waiting:
        return []
    told = ngettext(
        "%(n)s sign-up met several profiles of one address",
        "%(n)s sign-ups met several profiles of one address",
        waiting,
    )
    number = grouped(waiting) if waiting <= LOOKED_AT else f"{grouped(LOOKED_AT)}+"
    return [Alert(told % {"n": number}, page_url("admin:landing_mettwins_changelist") + "?seen=no")]


def _row(delivery: Delivery, counts: dict[str, int]) -> Row:
    total = sum(counts.values()) or 1
    parts, start = [], 0.0
    for status, tone in TONES.items():
        width = 100 * counts.get(status.counter, 0) / total
        if width:
            parts.append((tone, round(start, 2), max(round(width, 2), THINNEST)))
        start += width
    left_out = counts.get("excluded", 0) + counts.get("suppressed", 0)
    tone = STATE_TONES.get(State(delivery.state), "")
    sent, all_of_them = grouped(counts.get("sent", 0)), grouped(sum(counts.values()))
    return Row(delivery, delivery_url(delivery.pk), tone, sent, grouped(left_out), all_of_them, parts)


def _jobs(request: HttpRequest) -> list[tuple[str, str]]:
    """Return what people come here to do, as far as this user may."""
    jobs = (
        ("deliveries.add_delivery", "admin:deliveries_delivery_add", _("Write a new delivery")),
        ("profiles.import_profile", "admin:profiles_importjob_add", _("Import people")),
        ("profiles.add_profile", "admin:profiles_profile_add", _("Add one person")),
        ("quarantine.add_quarantinedaddress", "admin:quarantine_quarantinedaddress_add", _("Leave an address out")),
        ("quarantine.release_quarantinedaddress", "admin:quarantine_outage_add", _("Release after an outage")),
        ("landing.add_landingpage", "admin:landing_landingpage_add", _("Make a public page")),
    )
    found = [(page_url(name), title) for permission, name, title in jobs if request.user.has_perm(permission)]
    return [(url, title) for url, title in found if url]
