"""Find a person by address, name or identifier. What is typed is posted: it never stands in an address or a log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from profiles import addresses
from profiles.channels import Channel
from profiles.digests import digest
from profiles.models import Address, Profile
from quarantine.models import QuarantinedAddress

SHOWN = 50
_TYPED = (Channel.EMAIL, Channel.SMS, Channel.PHONE)


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
    same = _same_address_q(text)
    entries = list(QuarantinedAddress.objects.blocking(at).filter(same)) if same else []
    if same:
        held = Address.objects.filter(same).values("profile")
        if people := _first(Profile.objects.filter(pk__in=held)):
            return Found(people[:SHOWN], entries, len(people) > SHOWN, True)
    people = _first(Profile.objects.filter(external_id=text))
    if not people and not entries:
        people = _first(Profile.objects.search(text))
    return Found(people[:SHOWN], entries, len(people) > SHOWN, False)


def _first(people: Any) -> list[Profile]:
    in_order = Prefetch("addresses", Address.objects.order_by("channel", "position"))
    return list(people.order_by("pk").prefetch_related(in_order)[: SHOWN + 1])


def _same_address_q(text: str) -> Q:
    """Say what has the address that the text reads as, on email, SMS and phone; an empty Q when it is none."""
    condition = Q()
    for channel in _TYPED:
        read = addresses.read(channel, text, country=settings.DEFAULT_COUNTRY)
        if read.flaw is None:
            condition |= Q(channel=channel, digest=digest(channel, read.key))
    return condition
