"""Leaving by the link of a message: the page for people, the address that mail programs post to, and the undo."""

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.translation import gettext as _

from deliveries.inbound import unsubscribe
from deliveries.models import Delivery
from landing import counting, limits, stopping, wording
from landing.models import Counted, PreferencesRequest
from landing.stopping import Choice, Click, Undone
from landing.tasks import handle_requests
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.errors import TokenRefused
from profiles.models import Brand, Service, Source
from profiles.ring import ring
from profiles.texts import pick
from profiles.tokens import OptOutLink, Purpose, open_token, seal

from .base import not_found, posted, public, say, show, visit

PREFERENCES = "preferences"  # the button that stops nothing: it has the link to the page of preferences mailed


class Leaving:
    """What a link of a message leads to: who wrote, about what, to which address. All of it may be gone."""

    def __init__(self, link: OptOutLink) -> None:
        delivery = Delivery.objects.select_related("brand").filter(pk=link.delivery).first() if link.delivery else None
        service = Service.objects.select_related("brand").filter(pk=link.service).first() if link.service else None
        held = stopping.holder(link)
        self.link = link
        self.delivery_name = delivery.label if delivery else ""
        self.held = held
        self.masked = held.masked if held else ""
        brand = (delivery.brand if delivery else None) or (service.brand if service else None)
        self.brand: Brand | None = brand or Brand.objects.order_by("pk").first()
        name = self.brand.name if self.brand else ""
        self.main: list[tuple[Choice, str]] = []
        if service:
            self.main.append((Choice.SERVICE, _("Stop “%(service)s”") % {"service": pick(service.label)}))
        self.main.append((Choice.CHANNEL, wording.whole_channel(Channel(link.channel), name)))
        self.wider = [
            (Choice.EVERYTHING, _("Stop every kind of message")),
            (Choice.ADDRESS, _("Never write to this address again")),
        ]
        self.title = _("What would you like to stop?")

    def sentence(self, choice: Choice) -> str:
        """Return the words of a button."""
        return dict([*self.main, *self.wider])[choice]

    def choice(self, text: str) -> Choice | None:
        """Return the choice that a form holds, if it is one of those on the page."""
        return next((choice for choice, _sentence in [*self.main, *self.wider] if choice.name.lower() == text), None)

    @property
    def can_choose(self) -> bool:
        """Say whether a link to the page of preferences can be mailed to the address."""
        return self.held is not None and self.held.channel == Channel.EMAIL

    def evidence(self, request: HttpRequest, source: Source, shown: str = "") -> Evidence:
        told = visit(request)
        return Evidence(
            source=source, language=told.language, ip=told.ip, user_agent=told.user_agent,
            wording_id=consent.cite(shown, told.language).pk if shown else None,
            delivery_id=self.link.delivery or None, delivery_name=self.delivery_name,
        )  # fmt: skip


@public()
def opt_out(request: HttpRequest, token: str) -> HttpResponse:
    """Show the choices to whoever has the link; act at once when one is pressed."""
    try:
        leaving = Leaving(OptOutLink.unpack(open_token(Purpose.OPT_OUT_PAGE, token)))
    except TokenRefused:
        return not_found(request)
    pressed = posted(request).get("choice", "") if request.method == "POST" else ""
    if pressed == PREFERENCES and leaving.brand and leaving.can_choose:
        return _mail_link(request, leaving, leaving.brand)
    choice = leaving.choice(pressed)
    if choice is None:
        return _choices(request, leaving, token)
    if leaving.link.delivery:
        counting.used(leaving.link.delivery, at=timezone.now())
    sentence = leaving.sentence(choice)
    evidence = leaving.evidence(request, Source.LANDING_PAGE, f"{leaving.title}\n\n{sentence}")
    click = stopping.stop(leaving.link, choice, evidence=evidence, at=timezone.now())
    values = {
        "sentence": sentence,
        "undo": resolve_url("landing:undo", click.seal()) if click else "",
        "back": resolve_url("landing:opt_out", token),
    }
    return show(request, "stopped", leaving.brand, values)


@public()
def one_click(request: HttpRequest, token: str) -> HttpResponse:
    """Unsubscribe at the request of a mail program (RFC 8058): no cookie, no redirect, committed before the answer.

    The body is not read: it says nothing that the link does not, and programs send it in several shapes. A person who
    opens the address sees the choices instead, and nothing changes.
    """
    try:
        leaving = Leaving(OptOutLink.unpack(open_token(Purpose.ONE_CLICK, token)))
    except TokenRefused:
        if request.method == "POST":
            return HttpResponse("This link is damaged.\n", content_type="text/plain; charset=utf-8", status=404)
        return not_found(request)
    if request.method != "POST":
        return _choices(request, leaving, seal(Purpose.OPT_OUT_PAGE, leaving.link.pack()))
    evidence, at = leaving.evidence(request, Source.ONE_CLICK), timezone.now()
    with transaction.atomic():
        change = unsubscribe(leaving.link, evidence=evidence, at=at)
        stopping.tell(leaving.link, change, language=evidence.language, at=at)
    return HttpResponse("Done.\n", content_type="text/plain; charset=utf-8")


@public()
def undo(request: HttpRequest, token: str) -> HttpResponse:
    """Show the button that takes a click back; take it back when it is pressed."""
    try:
        click = Click.open(token)
    except TokenRefused:
        return not_found(request)
    leaving, at = Leaving(click.link), timezone.now()
    if click.is_over(at):
        return _undone(request, leaving, Undone.TOO_LATE)
    if request.method != "POST":
        return show(request, "undo", leaving.brand, {"masked": leaving.masked})
    evidence = leaving.evidence(request, Source.LANDING_PAGE)
    return _undone(request, leaving, stopping.undo(click, evidence=evidence, at=at))


def _choices(request: HttpRequest, leaving: Leaving, token: str) -> HttpResponse:
    if leaving.link.delivery and request.method in ("GET", "HEAD"):
        counting.seen(Counted.PREFETCH, leaving.link.delivery, at=timezone.now())
    values = {
        "title": leaving.title,
        "masked": leaving.masked,
        "main": [(choice.name.lower(), sentence) for choice, sentence in leaving.main],
        "wider": [(choice.name.lower(), sentence) for choice, sentence in leaving.wider],
        "preferences": PREFERENCES if leaving.brand and leaving.can_choose else "",
        "action": resolve_url("landing:opt_out", token),
    }
    return show(request, "opt_out", leaving.brand, values)


def _mail_link(request: HttpRequest, leaving: Leaving, brand: Brand) -> HttpResponse:
    """Have the link to the page of preferences mailed to the address: whoever holds this message may be somebody else.

    One row is stored, and a task does the rest, as for the form of a page.
    """
    told = visit(request)
    if not limits.has_room(told.ip):
        return say(
            request, brand, status=429, title=_("Please try again later"),
            text=_("Many forms have come from your network within an hour. Yours has not been recorded."),
        )  # fmt: skip
    PreferencesRequest.objects.create(
        address=leaving.held.value if leaving.held else "", digest=leaving.link.digest, channel=leaving.link.channel,
        brand=brand, language=told.language, ip=told.ip, user_agent=told.user_agent, created_at=timezone.now(),
    )  # fmt: skip
    ring(handle_requests)
    outcome = wording.Outcome(
        _("Look in your mailbox"),
        _("A message with your link is on its way to %(address)s. The link is valid for one hour.")
        % {"address": leaving.masked},
        _("No message after a few minutes? Look among unwanted messages. A few messages a day are sent at most."),
    )
    return show(request, "received", brand, {"outcome": outcome})


def _undone(request: HttpRequest, leaving: Leaving, undone: Undone) -> HttpResponse:
    told = {
        Undone.RESTORED: (_("Undone."), _("You receive messages as you did before.")),
        Undone.ALREADY: (_("Undone."), _("You receive messages as you did before.")),
        Undone.NEWER: (
            _("Nothing was changed"),
            _("Something newer has been recorded for this address, and it stays as it is."),
        ),
        Undone.TOO_LATE: (
            _("This can no longer be undone here"),
            _("A day has passed. To receive messages again, subscribe again or write to us."),
        ),
    }
    title, text = told[undone]
    return say(request, leaving.brand, title=title, text=text)
