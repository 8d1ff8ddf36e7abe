"""The people behind each number: who is left out or was written to, with the evidence; on screen and as a file."""

import csv
from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from deliveries import explain, listing, reports
from deliveries.listing import Place
from deliveries.models import AnalysisRun, Delivery, DeliveryLog, LogStatus, Reason, RunRule
from profiles import audit
from profiles.formulas import disarmed

PAGE = 50
EXPORT_BATCH = 500


def left_out(admin: Any, request: HttpRequest, delivery: Delivery, reason: int) -> HttpResponse:
    """Show the people whom a reason leaves out; `?rule=` keeps to one sending rule."""
    if reason not in Reason.values:
        raise Http404
    text = request.GET.get("rule", "")
    rule = int(text) if text.isdecimal() and len(text) < 10 else 0
    named = RunRule.objects.filter(run=delivery.current_run_id or 0, rule=rule).first() if rule else None
    title = _("Left out: %(reason)s") % {"reason": named or Reason(reason).label}

    def rows(run: AnalysisRun, after: Place) -> list[DeliveryLog]:
        return listing.of_reason(run, Reason(reason), after=after, limit=PAGE + 1, rule=rule)

    return _show(admin, request, delivery, title, rows, kept=f"rule={rule}&" if named else "")


def by_status(admin: Any, request: HttpRequest, delivery: Delivery, status: int) -> HttpResponse:
    """Show the messages that have a status."""
    if status not in LogStatus.values:
        raise Http404

    def rows(run: AnalysisRun, after: Place) -> list[DeliveryLog]:
        return listing.of_status(run, LogStatus(status), after=after, limit=PAGE + 1)

    return _show(admin, request, delivery, str(LogStatus(status).label), rows)


def export(admin: Any, request: HttpRequest, delivery: Delivery) -> HttpResponse | StreamingHttpResponse:
    """Return everybody who was left out, with reason and evidence, as CSV."""
    if not request.user.has_perm("profiles.export_profile"):
        raise PermissionDenied
    if delivery.current_run is None:
        return HttpResponseRedirect(reverse("admin:deliveries_delivery_workspace", args=[delivery.pk]))
    rows = reports.waterfall(delivery.current_run).left_out
    audit.record(audit.Action.EXPORTED, request.user, delivery, at=timezone.now(), rows=rows)
    response = StreamingHttpResponse(_csv(delivery), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="left-out-{delivery.pk}.csv"'
    return response


def _show(
    admin: Any,
    request: HttpRequest,
    delivery: Delivery,
    title: str,
    rows: Callable[[AnalysisRun, Place], list[DeliveryLog]],
    *,
    kept: str = "",
) -> HttpResponse:
    """Show a page of rows; `kept` is what the addresses of its other pages say besides the place."""
    if delivery.current_run is None:
        return HttpResponseRedirect(reverse("admin:deliveries_delivery_workspace", args=[delivery.pk]))
    after = request.GET.get("after", "")
    found = rows(delivery.current_run, Place.parse(after))
    explained = explain.rows(delivery, found[:PAGE])
    people = explain.names(explained)
    context = {
        **admin.admin_site.each_context(request),
        "title": f"{delivery}: {title}",
        "delivery": delivery,
        "rows": [_row(one, people) for one in explained],
        "next": Place(found[PAGE - 1].profile_id, found[PAGE - 1].position) if len(found) > PAGE else None,
        "first": not after,
        "kept": kept,
    }
    return TemplateResponse(request, "admin/deliveries/people.html", context)


def _row(one: explain.Explained, people: dict[int, Any]) -> dict[str, Any]:
    evidence = one.evidence
    about = (evidence and evidence.profile) or one.row.profile_id
    other = people.get(about) if about != one.row.profile_id else None
    return {
        "log": one.row,
        "person": people.get(one.row.profile_id),
        "person_url": person_url(one.row.profile_id),
        "why_url": why_url(one.row),
        "status": LogStatus(one.row.status),
        "reason": one.reason,
        "evidence": evidence,
        "other": other,
        "other_url": person_url(other.pk) if other else "",
    }


def person_url(profile: int) -> str:
    """Return the page about a person, which the back-office provides; else their form."""
    try:
        return reverse("admin:person", args=[profile])
    except NoReverseMatch:
        return reverse("admin:profiles_profile_change", args=[profile])


def why_url(row: DeliveryLog) -> str:
    """Return the page that explains what became of a person in a delivery; empty where there is no back-office."""
    try:
        return f"{reverse('admin:why')}?profile={row.profile_id}&delivery={row.delivery_id}"
    except NoReverseMatch:
        return ""


class _Echo:
    def write(self, line: str) -> str:
        return line


def _csv(delivery: Delivery) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff"
    yield writer.writerow(
        [
            _("profile"),
            _("identifier elsewhere"),
            _("address"),
            _("reason"),
            _("what"),
            _("when"),
            _("from"),
            _("by"),
            _("note"),
        ]
    )
    after, run = Place(), delivery.current_run
    while run and (rows := listing.of_status(run, LogStatus.EXCLUDED, after=after, limit=EXPORT_BATCH)):
        explained = explain.rows(delivery, rows)
        people = explain.names(explained)
        for one in explained:
            yield writer.writerow([disarmed(cell) for cell in _cells(one, people)])
        after = Place(rows[-1].profile_id, rows[-1].position)


def _cells(one: explain.Explained, people: dict[int, Any]) -> list[str]:
    person, evidence = people.get(one.row.profile_id), one.evidence
    when = localize(localtime(evidence.at)) if evidence and evidence.at else ""
    return [
        str(one.row.profile_id), person.external_id or "" if person else "", one.row.address, str(one.reason.label),
        evidence.what if evidence else "", when, evidence.source if evidence else "", evidence.by if evidence else "",
        evidence.note if evidence else "",
    ]  # fmt: skip
