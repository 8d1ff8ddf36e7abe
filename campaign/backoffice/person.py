"""One person on one page: can they be written to, why not, and what every delivery did about them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from deliveries import explain
from deliveries.explain import Explained
from deliveries.models import LogStatus
from deliveries.standing import channels
from profiles.admin.twins import twins_of
from profiles.models import Profile

from . import facts
from .proofs import Proof, Prover, evidence_of, shown_channels
from .sharing import sharings
from .timeline import KINDS, Cursor, dates_of, labels_of, read

DELIVERIES_SHOWN = 10
TWINS_JUDGED = 10
_LEFT_OUT = {LogStatus.EXCLUDED, LogStatus.SUPPRESSED}


@dataclass(frozen=True, slots=True)
class Line:
    """What a delivery did about the person."""

    delivery: int
    label: str
    at: datetime | None
    status: str
    tone: str
    address: str
    proof: Proof | None


def page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the person; `?before=` turns the pages of their story, `?kind=` keeps one kind of it."""
    if not request.user.has_perm("profiles.view_profile"):
        raise PermissionDenied
    profile = get_object_or_404(Profile, pk=pk)
    kind = request.GET.get("kind", "")
    moments, older = read(pk, Cursor.parse(request.GET.get("before", "")), kind)
    context = {
        "title": str(profile),
        "profile": profile,
        "moments": moments,
        "older": older,
        "kinds": KINDS.items(),
        "kind": kind if kind in KINDS else "",
        "is_first_page": "before" not in request.GET,
    }
    if context["is_first_page"]:
        context |= _facts(request, profile)
    return TemplateResponse(request, "admin/backoffice/person.html", {**admin.site.each_context(request), **context})


def _facts(request: HttpRequest, profile: Profile) -> dict[str, Any]:
    """Return all that the first page shows above the story."""
    at = timezone.now()
    twins = twins_of(profile.pk)
    same = [profile, *(twin.profile for twin in twins["certain"][:TWINS_JUDGED])]
    verdicts = channels([one.pk for one in same], at=at)
    found = verdicts.get(profile.pk, [])
    running, past = facts.subscriptions(profile.pk, at=at)
    return {
        "verdicts": shown_channels(found, Prover(evidence_of(found))),
        "addresses": facts.addresses(profile, at=at),
        "opted_out_of": facts.opted_out_of(profile),
        "running": running,
        "past": past,
        "lines": deliveries_of(profile.pk),
        "sharings": [one for one in sharings(same, verdicts) if one.unequal],
        **twins,
        "language": dict(settings.LANGUAGES).get(profile.language, profile.language),
        "may_opt_out": may_opt_out(request),
    }


def may_opt_out(request: HttpRequest) -> bool:
    """Say whether the user may opt a person out everywhere."""
    return bool(request.user.has_perms(["profiles.change_profile", "quarantine.add_quarantinedaddress"]))


def deliveries_section(request: HttpRequest, profile: Profile) -> SafeString:
    """Return the block about deliveries for the page of a profile."""
    return render_to_string("admin/backoffice/deliveries.html", {"lines": deliveries_of(profile.pk)}, request)


def deliveries_of(profile: int) -> list[Line]:
    """Return what the latest deliveries did about a person, with the proof of each omission."""
    history = explain.history(profile, limit=DELIVERIES_SHOWN)
    labels, dates = labels_of(history), dates_of(history)
    prove = Prover(one.evidence for one in history)
    return [
        Line(
            one.row.delivery_id, labels.get(one.row.delivery_id, "?"), dates.get(one.row.pk),
            str(LogStatus(one.row.status).label), _tone(one), one.row.address,
            prove(str(one.reason.label), one.evidence) if one.reason else None,
        )
        for one in history
    ]  # fmt: skip


def _tone(one: Explained) -> str:
    if one.row.status == LogStatus.SENT:
        return "good"
    return "bad" if one.row.status in (_LEFT_OUT | {LogStatus.FAILED}) else "wait"
