"""How many, and why: the addresses left out as plots."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from profiles import plots
from profiles.plots import Bar, Series
from quarantine import figures
from quarantine.figures import Standing


def view(admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the last days, the causes, what was wrong, and the domains. Six queries at most."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    now = timezone.now()
    found = figures.standing(now)
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Addresses left out: how many, and why"),
        "standing": found,
        "total": plots.grouped(found.total) if found else "",
        **(_bars(found) if found else {}),
        **_growth(figures.growth(now)),
    }
    return TemplateResponse(request, "admin/quarantine/figures.html", context)


def _growth(days: Any) -> dict[str, Any]:
    if days is None:
        return {}
    series = [
        Series(_("Newly left out"), "bad", [day.left_out for day in days]),
        Series(_("Released"), "good", [day.released for day in days]),
    ]
    labels = [date_format(day.day, "SHORT_DATE_FORMAT") for day in days]
    return {
        "growth": plots.lines(_("The last 90 days"), labels, series),
        "newly": plots.grouped(sum(day.left_out for day in days)),
        "released": plots.grouped(sum(day.released for day in days)),
    }


def _bars(found: Standing) -> dict[str, Any]:
    url = reverse("admin:quarantine_quarantinedaddress_changelist")
    causes = [Bar(str(cause.label), number, "", f"{url}?cause__exact={cause.value}") for cause, number in found.causes]
    reasons = [Bar(str(one.label), number, "", f"{url}?reason__exact={one.value}") for one, number in found.reasons]
    domains = [Bar(domain, number) for domain, number in found.domains]
    return {
        "causes": plots.bars(_("Why they are left out"), causes),
        "reasons": plots.bars(_("What was wrong where messages came back"), reasons) if reasons else "",
        "domains": plots.bars(_("Domains with the most addresses left out"), domains) if domains else "",
    }
