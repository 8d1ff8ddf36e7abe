"""Leaving by the link of a message: the page for people, the address that mail programs post to, and the undo."""

from dataclasses import replace

from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.translation import gettext as _

from deliveries.models import Delivery
from landing import counting, limits, stopping, wording
from landing.limits import Room
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

from .base import not_found, posted, public, say, show, try_later, visit

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
        wording = consent.cite(shown, visit(request).language).pk if shown else None
        return replace(_evidence(request, self.link, source, self.delivery_name), wording_id=wording)


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
        link = OptOutLink.unpack(open_token(Purpose.ONE_CLICK, token))
    except TokenRefused:
        if request.method == "POST":
            return HttpResponse("This link is damaged.\n", content_type="text/plain; charset=utf-8", status=404)
        return not_found(request)
    if request.method != "POST":
        return _choices(request, Leaving(link), seal(Purpose.OPT_OUT_PAGE, link.pack()))
    stopping.leave(link, evidence=_evidence(request, link, Source.ONE_CLICK), at=timezone.now())
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


def _evidence(request: HttpRequest, link: OptOutLink, source: Source, delivery_name: str | None = None) -> Evidence:
    """Return who leaves, from where, and by which message. Reads nothing but the name of its delivery."""
    told = visit(request)
    if delivery_name is None:
        labels = Delivery.objects.filter(pk=link.delivery).values_list("label", flat=True)
        delivery_name = next(iter(labels), "") if link.delivery else ""
    return Evidence(
        source=source, language=told.language, ip=told.ip, user_agent=told.user_agent,
        delivery_id=link.delivery or None, delivery_name=delivery_name,
    )  # fmt: skip


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
    told, at = visit(request), timezone.now()
    room = limits.room_to_ask("link", leaving.link.digest, ip=told.ip, at=at)
    if room in (Room.NETWORK_FULL, Room.SITE_FULL):
        return try_later(request, brand, room)
    if room == Room.TAKE:
        PreferencesRequest.objects.create(
            address=leaving.held.value if leaving.held else "", digest=leaving.link.digest,
            channel=leaving.link.channel, brand=brand, language=told.language, ip=told.ip, user_agent=told.user_agent,
            created_at=at,
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
        Undone.RESTORED: (_("Undone."), _("All is as it was before this choice.")),
        Undone.ALREADY: (_("Undone."), _("All is as it was before this choice.")),
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
