"""The page on which somebody chooses what they receive, behind the link that was mailed to them."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from deliveries.tasks import drain_outbox
from landing import history, offers, stopping, wishes
from landing.models import Kind, LandingPage, PreferencesRequest
from landing.offers import Person, Shown
from landing.preferences import is_open
from landing.stopping import Choice
from landing.wishes import Saved
from profiles.errors import TokenRefused
from profiles.models import Brand
from profiles.ring import ring
from profiles.tokens import OptOutLink, Purpose, open_token

from .base import View, not_found, posted, public, say, show, visit

Linked = tuple[PreferencesRequest, Person]


def behind_link(view: View) -> View:
    """Give a view the request and the person of its link; answer for it when the link no longer opens."""

    def opened(request: HttpRequest, token: str) -> HttpResponse:
        try:
            number = int.from_bytes(open_token(Purpose.PREFERENCES, token), "big")
        except TokenRefused:
            return not_found(request)
        found = PreferencesRequest.objects.select_related("brand").filter(pk=number).first()
        if found is None or not is_open(found, timezone.now()):
            return _over(request, found.brand if found else None)
        person = offers.person_of(found)
        return view(request, found, person, token) if person else _gone(request, found)

    return opened


@public()
@behind_link
def preferences(request: HttpRequest, asked: PreferencesRequest, person: Person, token: str) -> HttpResponse:
    """Show what there is to choose; act when a button is pressed."""
    at = timezone.now()
    act = posted(request).get("act", "") if request.method == "POST" else ""
    if act == "stop":
        return _stop(request, asked, token, at)
    if act != "save":
        return _page(request, asked, person, token, at)
    try:
        shown = Shown.open(posted(request).get("shown", ""))
    except TokenRefused:
        shown = None
    if shown is None or shown.request != asked.pk:
        return _page(request, asked, person, token, at, status=422, again=True)
    saved = wishes.save(asked, shown, set(posted(request).getlist("on")), visit=visit(request), at=at)
    now = offers.person_of(asked)
    if saved is None or now is None:
        return _gone(request, asked)
    ring(drain_outbox)
    return _page(request, asked, now, token, at, saved=saved)


@public()
@behind_link
def download(request: HttpRequest, asked: PreferencesRequest, person: Person, token: str) -> HttpResponse:
    """Return the history as a file."""
    events = [
        {"when": line.at.isoformat(), "what": line.what, "from": line.origin, "text shown": line.told}
        for line in history.read(person.ids, person.digests, proven=bytes(asked.digest))
    ]
    whole = {
        "address": person.proven.masked, "organisation": asked.brand.name, "language": get_language(),
        "written": timezone.now().isoformat(), "events": events,
    }  # fmt: skip
    response = JsonResponse(whole, json_dumps_params={"ensure_ascii": False, "indent": 2})
    response["Content-Disposition"] = 'attachment; filename="history.json"'
    return response


def _page(
    request: HttpRequest,
    asked: PreferencesRequest,
    person: Person,
    token: str,
    at: datetime,
    *,
    status: int = 200,
    saved: Saved | None = None,
    again: bool = False,
) -> HttpResponse:
    offered = offers.read(asked, person, at=at)
    values: dict[str, Any] = {
        "title": offers.TITLE, "services": offers.SERVICES, "channels": offers.CHANNELS, "offered": offered,
        "shown": offered.shown.seal(), "masked": person.proven.masked, "saved": saved, "again": again,
        "history": history.read(person.ids, person.digests, proven=bytes(asked.digest)),
        "download": f"{resolve_url('landing:history', token)}?lang={get_language()}",
        # Not until when: visitors live in time zones that we do not know.
        "minutes": -((at - asked.expires_at) // timedelta(minutes=1)) if asked.expires_at else 0,
    }  # fmt: skip
    return show(request, "preferences", asked.brand, values, status=status)


def _stop(request: HttpRequest, asked: PreferencesRequest, token: str, at: datetime) -> HttpResponse:
    """Stop everything for whoever has the address, and offer to undo it."""
    sentence = _("Stop everything")
    link = OptOutLink(channel=asked.channel, digest=bytes(asked.digest))
    with transaction.atomic():
        evidence = wishes.evidence_of(f"{offers.TITLE}\n\n{sentence}", visit(request))
        click = stopping.stop(link, Choice.EVERYTHING, evidence=evidence, at=at)
    values = {
        "sentence": sentence,
        "undo": resolve_url("landing:undo", click.seal()) if click else "",
        "back": resolve_url("landing:preferences", token),
    }
    return show(request, "stopped", asked.brand, values)


def _over(request: HttpRequest, brand: Brand | None) -> HttpResponse:
    """Say that a link has expired, and where to ask for another one."""
    pages = LandingPage.objects.open(timezone.now()).filter(kind=Kind.PREFERENCES).order_by("pk")
    page = (pages.filter(brand=brand).first() if brand else None) or pages.first()
    return say(
        request, brand, status=410, title=_("This link is no longer valid"),
        text=_("It was valid for one hour. What you chose with it stays; to change it, ask for a new link.")
        if page
        else _("It was valid for one hour. What you chose with it stays; to change it, write to us."),
        again=resolve_url("landing:page", page.slug) if page else "",
    )  # fmt: skip


def _gone(request: HttpRequest, asked: PreferencesRequest) -> HttpResponse:
    return say(
        request, asked.brand, status=410, title=_("We no longer have this address"),
        text=_("So there is nothing to choose, and nothing is sent to it."),
    )  # fmt: skip
