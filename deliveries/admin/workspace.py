"""The page of one delivery: where it stands, who is left out, what became of each message, and what may be done."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from deliveries import history, pace, scheduling, specimens
from deliveries.models import Delivery, State

from . import live as live_parts
from . import progress, rail, results, review, seen, steps, summary, waterfall
from .standing import MOVING, Standing, read

STATE_TONES = {
    State.FINISHED: "good", State.FAILED: "bad", State.STOPPED: "bad", State.PAUSED: "bad", State.ANALYSING: "wait",
    State.SENDING: "wait", State.STOPPING: "wait", State.SCHEDULED: "wait",
}  # fmt: skip


def show(admin: Any, request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """Show the whole page; its live parts are fetched again while something moves."""
    found = read(delivery, request.user, at=timezone.now())
    context = {
        **admin.admin_site.each_context(request),
        **_live(found),
        "title": delivery.label,
        "buttons": steps.possible(found),
        "live_url": reverse("admin:deliveries_delivery_live", args=[delivery.pk]),
        "contents": [
            (content, rail.content_url(delivery, content.language))
            for content in delivery.contents.order_by("language")
        ],
        "content_url": rail.content_url(delivery),
        "errors": found.errors,
        "warnings": found.warnings,
        "proofs": found.proofs[:5],
        "target": summary.target(delivery, found.expected),
        "may_change": admin.has_change_permission(request, delivery),
        "who": waterfall.context(delivery),
        "history": history.happenings(delivery),
    }
    return TemplateResponse(request, "admin/deliveries/workspace.html", context)


def live(admin: Any, request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """Return the parts of the page that change by themselves; the header says whether to ask again."""
    context = _live(read(delivery, request.user, at=timezone.now()))
    response = HttpResponse(render_to_string("admin/deliveries/live.html", context, request))
    response["X-Moving"] = "yes" if delivery.state in MOVING else "no"
    return response


def _live(found: Standing) -> dict[str, Any]:
    delivery, run = found.delivery, found.delivery.current_run
    minutes = pace.minutes(run) if run is not None and found.is_sent else []
    scheduled = found.state in (State.SCHEDULED, State.ANALYSING) and delivery.approved is not None
    return {
        "delivery": delivery,
        "state": found.state,
        "tone": STATE_TONES.get(found.state, ""),
        "moving": found.state in MOVING,
        "steps": rail.steps(found),
        "progress": progress.of(found, minutes),
        "scheduled": review.in_words(delivery.scheduled_at, now=found.at)
        if scheduled and delivery.scheduled_at
        else "",
        "paused": live_parts.paused(found),
        "approved": delivery.approved,
        "growth": scheduling.MOST_GROWTH,
        **results.context(found, minutes),
    }


def preview(admin: Any, request: HttpRequest, delivery: Delivery, language: str) -> HttpResponse:
    """Show the message of a language as one person would get it, in a frame that can run and load nothing."""
    content = delivery.contents.filter(language=language).first()
    if content is None:
        raise Http404
    person, address, problem = seen.chosen(request, delivery)
    specimen = specimens.draw(delivery, content, person=person, address=address)
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Preview"),
        "delivery": delivery,
        "content": content,
        "contents": delivery.contents.order_by("language"),
        "person": person,
        "address": address,
        "rendered": None if specimen.refused else specimen.parts,
        "problem": " ".join([problem, *map(str, specimen.refused.values())]).strip(),
    }
    return TemplateResponse(request, "admin/deliveries/preview.html", context)
