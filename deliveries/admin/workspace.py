"""The page of one delivery: where it stands, who is left out, what became of each message, and what may be done."""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from deliveries import control, messages, rendering, reports
from deliveries.errors import TemplateRefused
from deliveries.models import Delivery, LogStatus, Proof, State
from profiles.channels import Channel
from profiles.models import Address, Profile
from profiles.plots import Bar, bars
from profiles.tokens import OptOutLink

from . import steps

MOVING = {State.ANALYSING, State.SENDING, State.STOPPING}
SENT_STATES = {State.SENDING, State.PAUSED, State.STOPPING, State.STOPPED, State.FINISHED}
TONES = {
    LogStatus.SENT: "good",
    LogStatus.FAILED: "bad",
    LogStatus.IN_DOUBT: "bad",
    LogStatus.RETRY: "wait",
    LogStatus.PENDING: "wait",
    LogStatus.HANDING_OFF: "wait",
    LogStatus.SUPPRESSED: "quiet",
    LogStatus.CANCELLED: "quiet",
}


def show(admin: Any, request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """Show the whole page; its live part is fetched again while something moves."""
    context = {
        **admin.admin_site.each_context(request),
        **_live(delivery, request.user),
        "title": delivery.label,
        "contents": list(delivery.contents.order_by("language")),
        "findings": control.check(delivery) if delivery.is_editable or delivery.state == State.ANALYSING else [],
        "proofs": Proof.objects.filter(delivery=delivery).order_by("-pk")[:5],
        "may_change": admin.has_change_permission(request, delivery),
        "steps": _steps(delivery),
    }
    return TemplateResponse(request, "admin/deliveries/workspace.html", context)


def live(admin: Any, request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """Return the part of the page that changes by itself; the header says whether to ask again."""
    html = render_to_string("admin/deliveries/live.html", _live(delivery, request.user), request)
    response = HttpResponse(html)
    response["X-Moving"] = "yes" if delivery.state in MOVING else "no"
    return response


def preview(admin: Any, request: HttpRequest, delivery: Delivery, language: str) -> HttpResponse:
    """Show the message of a language as one person would get it, in a frame that can run and load nothing."""
    content = delivery.contents.filter(language=language).first()
    if content is None:
        raise Http404
    person, address, problem = _chosen(request, delivery)
    rendered: rendering.Rendered | None = None
    try:
        rendered = _rendered(delivery, content, person, address)
    except TemplateRefused as error:
        problem = str(error)
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Preview"),
        "delivery": delivery,
        "content": content,
        "contents": delivery.contents.order_by("language"),
        "person": person,
        "address": address,
        "rendered": rendered,
        "problem": problem,
    }
    return TemplateResponse(request, "admin/deliveries/preview.html", context)


def _chosen(request: HttpRequest, delivery: Delivery) -> tuple[Profile | None, str, str]:
    """Return the person whose number or address was typed (by POST: addresses stay out of URLs), and a problem."""
    typed = request.POST.get("person", "").strip()
    if not typed:
        return None, "camille@example.org", ""
    person = Profile.objects.filter(pk=int(typed)).first() if typed.isdecimal() and len(typed) < 18 else None
    if person is None:
        digest = Address.make(Channel(delivery.channel), typed).digest
        person = Profile.objects.having(bytes(digest)).order_by("pk").first()
    if person is None:
        return None, "camille@example.org", _("Nobody has the number or address “%(typed)s”.") % {"typed": typed}
    own = person.addresses.filter(channel=delivery.channel).order_by("position").first()
    return person, own.value if own else "", ""


def _rendered(delivery: Delivery, content: Any, person: Profile | None, address: str) -> rendering.Rendered:
    # A link of nobody: pressing it in a preview opts nobody out.
    link = OptOutLink(channel=delivery.channel, digest=uuid.uuid4().bytes, delivery=delivery.pk)
    with override(content.language):
        who = person or Profile(first_name="Camille", last_name="Martin")
        values = rendering.values_for(
            profile=who, address=address, brand=delivery.brand, service=delivery.service,
            opt_out_url=messages.opt_out_urls(delivery.brand, link).page, language=content.language,
        )  # fmt: skip
    return rendering.render(content, values)


def _live(delivery: Delivery, user: Any) -> dict[str, Any]:
    run = delivery.current_run or delivery.runs.order_by("-number").first()
    state = State(delivery.state)
    context: dict[str, Any] = {
        "delivery": delivery,
        "state": state,
        "run": run,
        "moving": state in MOVING,
        "buttons": steps.possible(delivery, user),
        "may_send": state == State.ANALYSED and user.has_perm("deliveries.send_delivery"),
        "live_url": reverse("admin:deliveries_delivery_live", args=[delivery.pk]),
    }
    if run is None:
        return context
    if state == State.ANALYSING:
        context["percent"] = int(100 * reports.progress(run))
    if delivery.current_run is not None:
        context["waterfall"] = found = reports.waterfall(run)
        context["waterfall_rows"] = _waterfall_rows(delivery, found)
        context["overlaps"] = any(line.in_all > line.first for line in found.lines)
    if state in SENT_STATES:
        context |= _results(delivery, run)
    return context


def _waterfall_rows(delivery: Delivery, found: reports.Waterfall) -> list[dict[str, Any]]:
    """Return one row per reason, zero lines too, with its overlap and the people it leads to."""
    return [
        {
            "label": line.label,
            "first": line.first,
            "also": line.in_all - line.first,
            "width": round(100 * line.first / found.targeted, 1) if found.targeted else 0,
            "url": reverse("admin:deliveries_delivery_left_out", args=[delivery.pk, int(line.reason)]),
        }
        for line in found.lines
    ]


def _results(delivery: Delivery, run: Any) -> dict[str, Any]:
    found = reports.outcomes(run)
    to_send = sum(n for status, n in found.items() if status != LogStatus.EXCLUDED)
    left = found[LogStatus.PENDING] + found[LogStatus.RETRY] + found[LogStatus.HANDING_OFF]
    shown = [
        Bar(
            str(status.label), n, TONES[status],
            reverse("admin:deliveries_delivery_by_status", args=[delivery.pk, int(status)]) if n else "",
        )
        for status, n in found.items()
        if status != LogStatus.EXCLUDED
    ]  # fmt: skip
    drift = reports.drift(run)
    return {
        "outcomes": bars(_("What became of the messages"), shown),
        "percent": int(100 * (to_send - left) / to_send) if to_send else 100,
        "sent": found[LogStatus.SENT],
        "left": left,
        "to_send": to_send,
        "in_doubt": found[LogStatus.IN_DOUBT],
        "quiet": delivery.state == State.SENDING and left and reports.is_quiet(run, at=timezone.now()),
        "drift": drift,
        "drift_total": sum(line.since for line in drift),
    }


def _steps(delivery: Delivery) -> list[tuple[str, str]]:
    """Return the steps of the page and where each stands: done, now or later."""
    order = [State.DRAFT, State.ANALYSING, State.ANALYSED, State.SENDING, State.FINISHED]
    names = [_("Message"), _("Analysis"), _("Check and send"), _("Sending"), _("Results")]
    aliases = {
        State.SCHEDULED: State.ANALYSED,
        State.PAUSED: State.SENDING,
        State.STOPPING: State.SENDING,
        State.STOPPED: State.FINISHED,
        State.FAILED: State.DRAFT,
    }
    state = State(delivery.state)
    place = order.index(aliases.get(state, state))
    return [(name, "done" if n < place else "now" if n == place else "later") for n, name in enumerate(names)]
