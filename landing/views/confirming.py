"""Confirming a request by the link that was mailed: the page shows, its button confirms."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.translation import gettext as _

from deliveries.tasks import drain_outbox
from landing import double_opt_in, wording
from landing.models import Availability, Kind, LandingPage, PendingOptIn
from profiles.addresses import mask
from profiles.channels import Channel
from profiles.errors import TokenRefused
from profiles.ring import ring
from profiles.texts import pick
from profiles.tokens import Purpose, open_token

from .base import not_found, posted, public, say, show, visit


@public()
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Show what is about to be confirmed; confirm it when the button is pressed."""
    try:
        number = int.from_bytes(open_token(Purpose.CONFIRM_OPT_IN, token), "big")
    except TokenRefused:
        return not_found(request)
    rows = PendingOptIn.objects.select_related("version__page__brand", "version__page__service")
    pending, at = rows.filter(pk=number).first(), timezone.now()
    if pending is None:
        return _over(request, None)
    page = pending.version.page
    if pending.confirmed_at is not None:
        return _confirmed(request, page, lifted=not double_opt_in.stays_off(pending))
    if pending.expires_at <= at:
        return _over(request, page)
    if not page.is_offered:
        return _no_longer_offered(request, page)
    stays_off = double_opt_in.stays_off(pending)
    if request.method != "POST":
        return _button(request, pending, stays_off=stays_off)
    lift = stays_off and posted(request).get("lift", "") == "1"
    done = double_opt_in.confirm(pending, visit=visit(request), lift=lift, at=at)
    if not done and not double_opt_in.is_offered(page):
        return _no_longer_offered(request, page)
    ring(drain_outbox)
    return _confirmed(request, page, lifted=lift or not stays_off)


def _button(request: HttpRequest, pending: PendingOptIn, *, stays_off: bool) -> HttpResponse:
    page = pending.version.page
    names = {"service": pick(page.service.label) if page.service else "", "brand": page.brand.name}
    subscription = page.kind == Kind.SUBSCRIPTION
    values = {
        "title": _("Confirm your subscription") if subscription else _("Confirm your choice"),
        "text": (
            _("You are about to subscribe to “%(service)s” by %(brand)s.")
            if subscription
            else _("You are about to receive messages from %(brand)s.")
        )
        % names,
        "duration": wording.duration(page),
        "masked": mask(Channel(page.channel), pending.address),
        "stays_off": stays_off,
        "lift": wording.lift(Channel(page.channel), page.brand.name),
    }
    return show(request, "confirm", page.brand, values)


def _confirmed(request: HttpRequest, page: LandingPage, *, lifted: bool) -> HttpResponse:
    text = _("Thank you. You can stop these messages at any time, by the link at the end of each of them.")
    if not lifted:
        text = _("Your subscription is recorded. As you asked earlier, nothing is sent to you for now.")
    return say(request, page.brand, title=_("Confirmed."), text=text)


def _no_longer_offered(request: HttpRequest, page: LandingPage) -> HttpResponse:
    """Say that nobody can subscribe by a page any more: its service has become private, or is over."""
    return say(
        request, page.brand, status=410, title=_("This is no longer offered"),
        text=_("Since you asked, this subscription has closed, so nothing has been recorded. A question? Write to us."),
    )  # fmt: skip


def _over(request: HttpRequest, page: LandingPage | None) -> HttpResponse:
    """Say that a link has expired, and where to ask for another one."""
    again = page is not None and page.availability(timezone.now()) == Availability.OPEN
    return say(
        request, page.brand if page else None, status=410, title=_("This link is no longer valid"),
        text=_("It was valid for a limited time, and nothing has been recorded. You can ask for a new one.")
        if page
        else _("It was valid for a limited time. What you confirmed with it stays; otherwise, ask for a new one."),
        again=resolve_url("landing:page", page.slug) if page and again else "",
    )  # fmt: skip
