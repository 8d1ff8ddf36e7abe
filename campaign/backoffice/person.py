"""One person on one page: can they be written to, why not, and what every delivery did about them."""

from collections.abc import Iterable, Sequence
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
from deliveries.explain import ChannelVerdict, Evidence, Explained
from deliveries.models import LogStatus, Reason
from profiles.admin.twins import states_of, twins_of
from profiles.models import ConsentEvent, Profile, Wording
from quarantine.models import QuarantinedAddress

from .timeline import Cursor, dates_of, labels_of, read

DELIVERIES_SHOWN = 10
_LEFT_OUT = {LogStatus.EXCLUDED, LogStatus.SUPPRESSED}


@dataclass(frozen=True, slots=True)
class Proof:
    """The rule that decided, and the event or entry behind it, with what the person was shown then."""

    rule: str
    evidence: Evidence | None
    source: str = ""
    wording: str = ""
    until: datetime | None = None


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
    """Show the person; `?before=` turns the pages of their story."""
    if not request.user.has_perm("profiles.view_profile"):
        raise PermissionDenied
    profile = get_object_or_404(Profile, pk=pk)
    at = timezone.now()
    held = list(profile.addresses.order_by("channel", "position"))
    states = states_of(held)
    moments, older = read(pk, Cursor.parse(request.GET.get("before", "")))
    context = {
        "title": str(profile),
        "profile": profile,
        "verdicts": _verdicts(explain.channels(pk, at=at)),
        "addresses": [(address, states.get(address.pk)) for address in held],
        "subscriptions": profile.subscriptions.active(at).select_related("service").order_by("service__name"),
        "lines": deliveries_of(pk),
        "moments": moments,
        "older": older,
        "is_first_page": "before" not in request.GET,
        **twins_of(pk),
        "language": dict(settings.LANGUAGES).get(profile.language, profile.language),
        "may_opt_out": request.user.has_perms(["profiles.change_profile", "quarantine.add_quarantinedaddress"]),
    }
    return TemplateResponse(request, "admin/backoffice/person.html", {**admin.site.each_context(request), **context})


def deliveries_section(request: HttpRequest, profile: Profile) -> SafeString:
    """Return the block about deliveries for the page of a profile."""
    return render_to_string("admin/backoffice/deliveries.html", {"lines": deliveries_of(profile.pk)}, request)


def deliveries_of(profile: int) -> list[Line]:
    """Return what the latest deliveries did about a person, with the proof of each omission."""
    history = explain.history(profile, limit=DELIVERIES_SHOWN)
    labels, dates = labels_of(history), dates_of(history)
    prove = _Prover(one.evidence for one in history)
    return [
        Line(
            one.row.delivery_id, labels.get(one.row.delivery_id, "?"), dates.get(one.row.pk),
            str(LogStatus(one.row.status).label), _tone(one), one.row.address,
            prove(one.reason, one.evidence) if one.reason else None,
        )
        for one in history
    ]  # fmt: skip


def _verdicts(found: Sequence[ChannelVerdict]) -> list[tuple[ChannelVerdict, str, list[Proof]]]:
    prove = _Prover(evidence for verdict in found for _reason, evidence in verdict.evidence)
    return [(one, _channel_tone(one), [prove(reason, evidence) for reason, evidence in one.evidence]) for one in found]


def _channel_tone(verdict: ChannelVerdict) -> str:
    if verdict.reachable:
        return "good"
    return "quiet" if verdict.verdict.reasons == {Reason.ADDRESS_MISSING} else "bad"


def _tone(one: Explained) -> str:
    if one.row.status == LogStatus.SENT:
        return "good"
    return "bad" if one.row.status in (_LEFT_OUT | {LogStatus.FAILED}) else "wait"


class _Prover:
    """Adds to evidence what the person was shown and until when an entry holds. Three queries for all of it."""

    def __init__(self, evidence: Iterable[Evidence | None]) -> None:
        found = [one for one in evidence if one]
        told = ConsentEvent.objects.filter(pk__in={e.event for e in found if e.event}, wording_id__isnull=False)
        events: dict[int, Any] = dict(told.values_list("pk", "wording_id"))
        texts = dict(Wording.objects.filter(pk__in=events.values()).values_list("pk", "text")) if events else {}
        self.wordings = {event: texts.get(wording or 0, "") for event, wording in events.items()}
        entries = {e.entry for e in found if e.entry}
        self.until: dict[int, datetime | None] = {}
        if entries:
            self.until = dict(QuarantinedAddress.objects.filter(pk__in=entries).values_list("pk", "release_at"))

    def __call__(self, reason: Reason, evidence: Evidence | None) -> Proof:
        rule = str(reason.label)
        if evidence is None:
            return Proof(rule, None)
        wording = self.wordings.get(evidence.event or 0, "")
        return Proof(rule, evidence, evidence.source, wording, self.until.get(evidence.entry or 0))
