"""Verdicts and evidence as pages show them: each rule in words, with what the person was shown when it was decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from deliveries.explain import Evidence
from deliveries.models import Reason
from deliveries.standing import ChannelVerdict, Confirmations
from profiles.models import ConsentEvent, Wording
from quarantine.models import QuarantinedAddress


@dataclass(frozen=True, slots=True)
class Proof:
    """The rule that decided, and the event or entry behind it, with what the person was shown then."""

    rule: str
    evidence: Evidence | None
    source: str = ""
    wording: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShownRule:
    """One rule, and whether it applies, in words."""

    rule: str
    words: str
    applies: bool


@dataclass(frozen=True, slots=True)
class ShownOther:
    """A further address of a channel; no proofs: nothing forbids writing to it."""

    address: str
    proofs: Sequence[Proof]


@dataclass(frozen=True, slots=True)
class ShownChannel:
    """A channel: can the person be written to, what forbids it, every rule, and the further addresses."""

    label: str
    address: str
    tone: str
    reachable: bool
    proofs: Sequence[Proof]
    confirmations: str
    rules: Sequence[ShownRule]
    others: Sequence[ShownOther]


class Prover:
    """Adds to evidence what the person was shown and until when an entry holds. Three queries for all of it."""

    def __init__(self, evidence: Iterable[Evidence | None]) -> None:
        found = [one for one in evidence if one]
        numbers = {e.event for e in found if e.event}
        told = ConsentEvent.objects.filter(pk__in=numbers, wording_id__isnull=False)
        events: dict[int, Any] = dict(told.values_list("pk", "wording_id")) if numbers else {}
        texts = dict(Wording.objects.filter(pk__in=events.values()).values_list("pk", "text")) if events else {}
        self.wordings = {event: texts.get(wording or 0, "") for event, wording in events.items()}
        entries = {e.entry for e in found if e.entry}
        self.until: dict[int, datetime | None] = {}
        if entries:
            self.until = dict(QuarantinedAddress.objects.filter(pk__in=entries).values_list("pk", "release_at"))

    def __call__(self, rule: str, evidence: Evidence | None) -> Proof:
        if evidence is None:
            return Proof(rule, None)
        wording = self.wordings.get(evidence.event or 0, "")
        return Proof(rule, evidence, evidence.source, wording, self.until.get(evidence.entry or 0))


def evidence_of(found: Iterable[ChannelVerdict]) -> list[Evidence | None]:
    """Return all that decides in these verdicts, for a `Prover`."""
    told = [evidence for one in found for _reason, evidence in one.evidence]
    return told + [evidence for one in found for other in one.others for _reason, evidence in other.against]


def shown_channels(found: Sequence[ChannelVerdict], prove: Prover) -> list[ShownChannel]:
    """Return verdicts as pages show them."""
    return [
        ShownChannel(
            str(one.channel.label), one.verdict.address, _tone(one), one.reachable, _proofs(one.evidence, prove),
            "" if one.reachable or not one.verdict.address else _confirmations(one.confirmations),
            [ShownRule(str(rule.reason.label), rule.words, rule.applies) for rule in one.rules],
            [ShownOther(other.address.value, _proofs(other.against, prove)) for other in one.others],
        )
        for one in found
    ]  # fmt: skip


def _proofs(against: Iterable[tuple[Reason, Evidence | None]], prove: Prover) -> list[Proof]:
    return [prove(str(reason.label), evidence) for reason, evidence in against]


def _tone(verdict: ChannelVerdict) -> str:
    if verdict.reachable:
        return "good"
    return "quiet" if verdict.verdict.reasons == {Reason.ADDRESS_MISSING} else "bad"


def _confirmations(found: Confirmations) -> str:
    if found == Confirmations.REACH:
        return _("Confirmations still reach this address.")
    if found == Confirmations.ASKED_FOR_ONLY:
        return _("Only a confirmation that they have just asked for still reaches this address.")
    return _("Confirmations do not reach this address either.")
