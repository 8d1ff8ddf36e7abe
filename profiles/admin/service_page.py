"""How a service fares: subscribers, growth, public addresses, the latest events. In a number of queries that stays."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles import growth, plots
from profiles.models import ConsentEvent, Service
from profiles.plots import Series

from . import hooks
from .hooks import PublicLink

LATEST = 10
TITLE = gettext_lazy("The last 90 days")


def context(request: HttpRequest, service: Service, *, at: datetime) -> dict[str, Any]:
    """Return what the page of a service shows around its form."""
    may = request.user.has_perm
    found: dict[str, Any] = {"links": links(service), **number(service, at=at), **_growth(service, at)}
    if may("profiles.view_profile"):
        found["people_url"] = reverse("admin:profiles_profile_changelist") + f"?service={service.pk}"
    if may("profiles.view_consentevent"):
        events = ConsentEvent.objects.filter(service_id=service.pk).order_by("-at", "-pk")
        found["events"] = list(events[:LATEST])
        found["events_url"] = reverse("admin:profiles_consentevent_changelist") + f"?service_id={service.pk}"
    return found


def number(service: Service, *, at: datetime) -> dict[str, Any]:
    """Return how many are subscribed, in words."""
    found = growth.subscribers(service, at=at)
    counted = plots.grouped(found.number)
    return {"subscribers": _("more than %(number)s") % {"number": counted} if found.at_least else counted}


def links(service: Service) -> list[PublicLink]:
    """Return the public pages of a service that visitors can use now."""
    return [link for links_of in hooks.public_links for link in links_of(service)]


def _growth(service: Service, at: datetime) -> dict[str, Any]:
    days = growth.growth(service, at=at)
    joined, left = sum(day.joined for day in days), sum(day.left for day in days)
    series = [
        Series(_("Subscribed"), "good", [day.joined for day in days]),
        Series(_("People who left"), "bad", [day.left for day in days]),
        Series(_("Difference"), "plain", [day.net for day in days]),
    ]
    labels = [date_format(day.day, "SHORT_DATE_FORMAT") for day in days]
    return {
        "joined": plots.grouped(joined),
        "left": plots.grouped(left),
        "net": f"{'+' if joined >= left else '−'}{plots.grouped(abs(joined - left))}",
        "growth": plots.lines(str(TITLE), labels, series),
    }
