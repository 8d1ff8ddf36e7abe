"""Why won't this person get it? Each channel's verdict, each rule, what decided it, and what a delivery did about them.

What is typed is posted: it never stands in an address or a log. A link to the page names a profile by its number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from deliveries.exclusions import reasons_of
from deliveries.explain import Explained
from deliveries.models import Delivery, LogStatus, MessageClass
from deliveries.standing import ChannelVerdict, Confirmations, InDelivery, channels, in_delivery, left_out
from profiles.admin.twins import ShownTwin, twins_of
from profiles.lookup import address_q, meant
from profiles.models import Profile

from .person import may_opt_out
from .proofs import Proof, Prover, ShownChannel, evidence_of, shown_channels
from .sharing import Sharing, sharings

SHOWN = 10
MATCHES_SHOWN = 50
DELIVERIES_OFFERED = 50
_TO_SEND = {LogStatus.PENDING, LogStatus.RETRY}


@dataclass(frozen=True, slots=True)
class Question:
    """Whom, and about which delivery if any."""

    text: str
    delivery: Delivery | None


@dataclass(frozen=True, slots=True)
class ShownRow:
    """What became of one message: its status, the rule that decided, and the others that applied as well."""

    one: Explained
    status: str
    tone: str
    proof: Proof | None
    also: Sequence[str]
    will_be_left_out: bool  # to send, but something forbids it by now


@dataclass(frozen=True, slots=True)
class Answer:
    """One person: each channel, and what the delivery did (`rows`) or would do (`foreseen`)."""

    profile: Profile
    channels: Sequence[ShownChannel]
    became: InDelivery | None
    rows: Sequence[ShownRow]
    foreseen: Sequence[ShownChannel]
    absent: Proof | None


def page(request: HttpRequest) -> HttpResponse:
    """Ask, and answer below the form. `?profile=` asks about a person, `?delivery=` chooses a delivery."""
    if not request.user.has_perm("profiles.view_profile"):
        raise PermissionDenied
    question = _asked(request)
    context: dict[str, Any] = {
        "title": _("Why did they (not) get it?"),
        "question": question,
        "deliveries": _offered(request, question),
    }
    if question.text:
        context |= _answered(question) | {"may_opt_out": may_opt_out(request)}
    return TemplateResponse(request, "admin/backoffice/why.html", {**admin.site.each_context(request), **context})


def _asked(request: HttpRequest) -> Question:
    posted = request.method == "POST"
    text = request.POST.get("who", "").strip()[:500] if posted else _number(request.GET.get("profile", ""))
    number = _number((request.POST if posted else request.GET).get("delivery", ""))
    delivery = None
    if number and request.user.has_perm("deliveries.view_delivery"):
        found = Delivery.objects.select_related("current_run", "audience", "people_list", "service")
        delivery = found.filter(pk=number).first()
    return Question(text, delivery)


def _number(text: str) -> str:
    return text if text.isdecimal() and len(text) < 18 else ""


def _offered(request: HttpRequest, question: Question) -> list[Delivery]:
    """Return the deliveries to choose from: the latest, and the one asked about."""
    if not request.user.has_perm("deliveries.view_delivery"):
        return []
    latest = list(Delivery.objects.live().only("label").order_by("-pk")[:DELIVERIES_OFFERED])
    chosen = question.delivery
    return latest if chosen is None or chosen in latest else [chosen, *latest]


def _answered(question: Question) -> dict[str, Any]:
    """Look up who is meant, judge them and those who share their addresses, and put it in words."""
    at = timezone.now()
    same = address_q(question.text)
    entries = left_out(same, at=at) if same else []
    found = meant(question.text, same, limit=SHOWN + 1)
    people, matches = found[:SHOWN], []
    if not found and not entries:
        matches = list(Profile.objects.search(question.text).order_by("pk")[:MATCHES_SHOWN])
    ids = [profile.pk for profile in people]
    twins: dict[str, Any] = twins_of(*ids) if ids else {}
    family = [*people, *_profiles(twins.get("certain", ()))]
    verdicts = channels([one.pk for one in family], at=at)
    became = in_delivery(question.delivery, ids, at=at) if question.delivery else {}
    prove = Prover(_evidence(verdicts, became, [evidence for _entry, evidence in entries]))
    return {
        "answers": [_answer(one, verdicts.get(one.pk, []), became.get(one.pk), prove) for one in people],
        "more": len(found) > SHOWN,
        "entries": [(entry, prove("", evidence)) for entry, evidence in entries],
        "sharings": _of_these(sharings(family, verdicts), people),
        "matches": matches,
        **twins,
    }


def _profiles(twins: Sequence[ShownTwin]) -> list[Profile]:
    return [twin.profile for twin in twins[:SHOWN]]


def _of_these(found: Sequence[Sharing], people: Sequence[Profile]) -> list[Sharing]:
    """Keep the addresses that somebody asked about has."""
    return [sharing for sharing in found if any(profile in people for profile in sharing.people)]


def _evidence(
    verdicts: Mapping[int, Sequence[ChannelVerdict]], became: Mapping[int, InDelivery], more: Sequence[Any]
) -> list[Any]:
    told = [evidence for one in verdicts.values() for evidence in evidence_of(one)]
    for one in became.values():
        told += [row.evidence for row in one.rows] + evidence_of(one.foreseen) + [one.absent]
    return [*told, *more]


def _answer(profile: Profile, found: Sequence[ChannelVerdict], became: InDelivery | None, prove: Prover) -> Answer:
    rows = [_row(one, found, became, prove) for one in became.rows] if became else []
    return Answer(
        profile, shown_channels(found, prove), became, rows, shown_channels(became.foreseen if became else (), prove),
        prove("", became.absent) if became and became.absent else None,
    )  # fmt: skip


def _row(one: Explained, found: Sequence[ChannelVerdict], became: InDelivery, prove: Prover) -> ShownRow:
    status = LogStatus(one.row.status)
    tone = {LogStatus.SENT: "good", LogStatus.EXCLUDED: "bad", LogStatus.SUPPRESSED: "bad", LogStatus.FAILED: "bad"}
    also = sorted(reasons_of(one.row.reasons) - {one.reason})
    reachable = any(v.channel == became.delivery.channel and _may_go(v, became.delivery) for v in found)
    return ShownRow(
        one, str(status.label), tone.get(status, "wait"),
        prove(str(one.reason.label), one.evidence) if one.reason else None,
        [str(reason.label) for reason in also], status in _TO_SEND and not reachable,
    )  # fmt: skip


def _may_go(verdict: ChannelVerdict, delivery: Delivery) -> bool:
    if delivery.message_class == MessageClass.TRANSACTIONAL:
        return verdict.confirmations == Confirmations.REACH
    return verdict.reachable
