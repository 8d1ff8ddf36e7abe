"""The pages that marketers publish: shown, previewed, and their form received."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from landing import counting, limits, wording
from landing.double_opt_in import Visit, validity
from landing.forms import EMBEDDED, TRAP, PageForm
from landing.limits import Room
from landing.models import (
    Availability,
    Counted,
    Kind,
    LandingPage,
    LandingPageVersion,
    OptOutRequest,
    PageState,
    PendingOptIn,
    PreferencesRequest,
)
from landing.publishing import fields_of
from landing.tasks import handle_requests
from profiles.ring import ring

from .base import not_found, posted, public, say, show, try_later, visit


@public()
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a page and receive its form. The answer is the same for all: one row is stored, a task does the rest."""
    found = LandingPage.objects.select_related("brand", "service", "published").filter(slug=slug).first()
    if found is None:
        return not_found(request)
    if "preview" in request.GET:
        return _preview(request, found)
    at = timezone.now()
    available = found.availability(at)
    if available == Availability.NOWHERE or found.published is None:
        return not_found(request)
    if available != Availability.OPEN:
        return _not_open(request, found, available)
    words = wording.words(found, found.published)
    if request.method != "POST":
        if request.method == "GET":
            counting.seen(Counted.VIEW, found.pk, at=at)
        return _form(request, found, words, PageForm(found, found.published.fields, words, at=at))
    return _receive(request, found, found.published, words)


@public()
def missing(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer an address that leads nowhere (Django's handler404)."""
    return not_found(request)


def _receive(
    request: HttpRequest, page: LandingPage, version: LandingPageVersion, words: wording.Words
) -> HttpResponse:
    at, data = timezone.now(), posted(request)
    if EMBEDDED in data:
        return _form(request, page, words, _filled_in(page, version, words, data, at), again=True)
    form = PageForm(page, version.fields, words, data, at=at)
    if not form.is_valid():
        return _form(request, page, words, form, status=422)
    if form.seems_robotic or form.lacks_proof:
        return _form(request, page, words, form, status=422, again=True)
    told = visit(request)
    if page.is_opt_out:
        room = limits.room_to_stop(ip=told.ip, at=at)
    else:
        room = limits.room_to_ask(str(page.pk), form.digest, ip=told.ip, at=at)
    if room in (Room.NETWORK_FULL, Room.SITE_FULL):
        return try_later(request, page.brand, room, stopping=page.is_opt_out)
    if room == Room.TAKE:
        _store(page, version, form, told, at)
        ring(handle_requests)
    return show(request, "received", page.brand, {"outcome": wording.outcome(page, version)})


def _filled_in(
    page: LandingPage, version: LandingPageVersion, words: wording.Words, data: QueryDict, at: datetime
) -> PageForm:
    """Return the form with what was typed on another site; nothing is ticked in advance, and nothing is stored."""
    typed = {name: text for name, text in data.items() if name != "agreed" and isinstance(text, str)}
    return PageForm(page, version.fields, words, at=at, initial=typed)


def _store(page: LandingPage, version: LandingPageVersion, form: PageForm, told: Visit, at: datetime) -> None:
    """Store what was asked for: one row at most, whoever asks."""
    row: dict[str, Any] = {
        "address": form.cleaned_data["address"], "digest": form.digest, "created_at": at,
        "language": told.language, "ip": told.ip, "user_agent": told.user_agent,
    }  # fmt: skip
    if page.kind == Kind.PREFERENCES:
        PreferencesRequest.objects.create(**row, brand=page.brand, channel=page.channel)
    elif page.is_opt_out:
        # The same request, while one waits: what is done for one is done for both.
        OptOutRequest.objects.bulk_create([OptOutRequest(**row, version=version)], ignore_conflicts=True)
    else:
        PendingOptIn.objects.create(
            **row, version=version, expires_at=at + validity(), answers=form.answers,
            agreed=form.cleaned_data.get("agreed", False),
        )  # fmt: skip


def _form(
    request: HttpRequest, page: LandingPage, words: wording.Words, form: PageForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    values = {"page": page, "words": words, "form": form, "trap": TRAP, **more}
    return show(request, "page", page.brand, values, status=status)


def _not_open(request: HttpRequest, page: LandingPage, available: Availability) -> HttpResponse:
    if available == Availability.NOT_YET:
        day = date_format(timezone.localtime(page.opens_at), "DATE_FORMAT")
        text = _("It opens on %(day)s.") % {"day": day}
        return say(request, page.brand, title=_("This page is not open yet"), text=text)
    if page.redirect_url.startswith(("https://", "http://")):
        return HttpResponseRedirect(page.redirect_url)
    # What is written once a page is closed counts at once: publishing it would open the page again.
    content = page if page.state == PageState.CLOSED or page.published is None else page.published
    return _closed(request, page, content, status=410)


def _closed(
    request: HttpRequest,
    page: LandingPage,
    content: LandingPage | LandingPageVersion,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    text = wording.closed(page, content)
    return say(request, page.brand, title=_("This page is closed"), text=text, status=status, **more)


def _preview(request: HttpRequest, page: LandingPage) -> HttpResponse:
    """Show the draft to those who may see it in the back-office; for everybody else there is no such page."""
    user: Any = request.user
    if not (user.is_authenticated and user.is_staff and user.has_perm("landing.view_landingpage")):
        return not_found(request)
    screen = request.GET["preview"]
    if screen == "thanks":
        return show(request, "received", page.brand, {"outcome": wording.outcome(page, page), "preview": screen})
    if screen == "closed":
        return _closed(request, page, page, preview=screen, leads_to=page.redirect_url)
    words = wording.words(page, page)
    form = PageForm(page, fields_of(page), words, at=timezone.now())
    return _form(request, page, words, form, preview="form")
