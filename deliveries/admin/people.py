"""The people behind each number: who is left out or was written to, with the evidence; on screen and as a file."""

import csv
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from deliveries import explain, reports
from deliveries.models import Delivery, DeliveryLog, LogStatus, Reason
from profiles import audit
from profiles.formulas import disarmed

PAGE = 50
EXPORT_BATCH = 500


def left_out(admin: Any, request: HttpRequest, delivery: Delivery, reason: int) -> HttpResponse:
    """Show the people whom a reason leaves out."""
    if reason not in Reason.values:
        raise Http404
    title = _("Left out: %(reason)s") % {"reason": Reason(reason).label}
    return _show(admin, request, delivery, title, reason=reason)


def by_status(admin: Any, request: HttpRequest, delivery: Delivery, status: int) -> HttpResponse:
    """Show the messages that have a status."""
    if status not in LogStatus.values:
        raise Http404
    return _show(admin, request, delivery, str(LogStatus(status).label), status=status)


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


def _show(admin: Any, request: HttpRequest, delivery: Delivery, title: str, **which: int) -> HttpResponse:
    if delivery.current_run is None:
        return HttpResponseRedirect(reverse("admin:deliveries_delivery_workspace", args=[delivery.pk]))
    after = request.GET.get("after", "")
    log = DeliveryLog.objects.filter(run=delivery.current_run, **which).order_by("profile", "position")
    if after.isdecimal() and len(after) < 18:
        log = log.filter(profile__gt=int(after))
    found = list(log[: PAGE + 1])
    explained = explain.rows(delivery, found[:PAGE])
    people = explain.names(explained)
    context = {
        **admin.admin_site.each_context(request),
        "title": f"{delivery}: {title}",
        "delivery": delivery,
        "rows": [_row(one, people) for one in explained],
        "next": found[PAGE - 1].profile_id if len(found) > PAGE else None,
        "first": not after,
        "reason": which.get("reason"),
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
    after = 0
    while True:
        log = DeliveryLog.objects.filter(run=delivery.current_run, status=LogStatus.EXCLUDED, profile__gt=after)
        rows = list(log.order_by("profile", "position")[:EXPORT_BATCH])
        if not rows:
            return
        explained = explain.rows(delivery, rows)
        people = explain.names(explained)
        for one in explained:
            yield writer.writerow([disarmed(cell) for cell in _cells(one, people)])
        after = rows[-1].profile_id


def _cells(one: explain.Explained, people: dict[int, Any]) -> list[str]:
    person, evidence = people.get(one.row.profile_id), one.evidence
    when = localize(localtime(evidence.at)) if evidence and evidence.at else ""
    return [
        str(one.row.profile_id), person.external_id or "" if person else "", one.row.address, str(one.reason.label),
        evidence.what if evidence else "", when, evidence.source if evidence else "", evidence.by if evidence else "",
        evidence.note if evidence else "",
    ]  # fmt: skip
