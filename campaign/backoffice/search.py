"""Find a person by address, name or identifier. What is typed is posted: it never stands in an address or a log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from profiles.lookup import address_q, holders
from profiles.models import Address, Profile
from quarantine.models import QuarantinedAddress

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Found:
    """People for a text, and the addresses left out that the text itself names."""

    people: Sequence[Profile]
    entries: Sequence[QuarantinedAddress]
    more: bool
    by_address: bool


def find(request: HttpRequest) -> HttpResponse:
    """Answer a posted search: straight to the person if there is one, else the list of who it may be."""
    if not request.user.has_perm("profiles.view_profile"):
        raise PermissionDenied
    text = request.POST.get("q", "").strip()[:500]
    if not text:
        return HttpResponseRedirect(reverse("admin:index"))
    found = look_up(text, at=timezone.now())
    if len(found.people) == 1:
        return HttpResponseRedirect(reverse("admin:person", args=[found.people[0].pk]))
    context: dict[str, Any] = {"title": _("Who is meant?"), "q": text, "found": found}
    return TemplateResponse(request, "admin/backoffice/found.html", {**admin.site.each_context(request), **context})


def look_up(text: str, *, at: Any) -> Found:
    """Look for an exact address first, then for an identifier, then for a name or the part of an address."""
    same = address_q(text)
    entries = list(QuarantinedAddress.objects.blocking(at).filter(same)) if same else []
    if same and (people := _first(holders(same))):
        return Found(people[:SHOWN], entries, len(people) > SHOWN, True)
    people = _first(Profile.objects.filter(external_id=text))
    if not people and not entries:
        people = _first(Profile.objects.search(text))
    return Found(people[:SHOWN], entries, len(people) > SHOWN, False)


def _first(people: Any) -> list[Profile]:
    in_order = Prefetch("addresses", Address.objects.order_by("channel", "position"))
    return list(people.order_by("pk").prefetch_related(in_order)[: SHOWN + 1])
