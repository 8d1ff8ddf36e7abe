"""How people stand: what every rule says of them on each channel now, and what a delivery did or would do about them.

    channels([7, 9], at=now)[7]         one verdict per channel, with every rule, whether it applies or not
    in_delivery(delivery, [7], at=now)  what became of them, or, before an analysis, what would

The verdicts come from `exclusions`, like those of the analysis and the hand-off: a rule that is added there is
explained here. `channels` takes a constant number of queries, however many people it is asked about.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from django.db.models import Q
from django.utils.translation import gettext as _

from profiles.addresses import Validity
from profiles.channels import Channel
from profiles.models import Act, Address, ConsentEvent, Profile, Subscription
from profiles.twins import same_q
from quarantine.models import Cause, QuarantinedAddress

from . import explain, plan
from . import verdicts as judging
from .criteria import CriteriaRefused
from .exclusions import AMONG_SURVIVORS, EXCLUSIONS, QUARANTINE_REASONS, Verdict, rules_of, verdicts
from .explain import FLAG_REASONS, QUARANTINED, Evidence, Explained
from .models import AnalysisRun, Delivery, DeliveryLog, MessageClass, Reason, Target

# What only the sending rules of a delivery can say.
OF_A_DELIVERY = frozenset({Reason.FILTERING_RULE, Reason.FATIGUE_RULE})


class Outcome(StrEnum):
    """What a rule says of a person."""

    APPLIES = "applies"
    DOES_NOT = "does_not_apply"
    NOT_JUDGED = "not_judged"


class Confirmations(StrEnum):
    """Whether messages that ignore opt-outs still get there."""

    REACH = "reach"
    ASKED_FOR_ONLY = "asked_for_only"  # one that the person has just asked for (see gate.judge_confirmation)
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """What one rule says, and what decided it where it applies."""

    reason: Reason
    outcome: Outcome
    evidence: Evidence | None = None

    @property
    def applies(self) -> bool:
        return self.outcome == Outcome.APPLIES

    @property
    def words(self) -> str:
        """Return the outcome as screens say it."""
        if self.outcome == Outcome.NOT_JUDGED:
            depends = self.reason in OF_A_DELIVERY or self.reason in AMONG_SURVIVORS
            return _("Depends on the delivery") if depends else _("Not for this kind of message")
        return _("Applies") if self.applies else _("Does not apply")


@dataclass(frozen=True, slots=True)
class OtherAddress:
    """A further address of a channel (position 2, 3…), and what forbids writing to it."""

    address: Address
    against: Sequence[tuple[Reason, Evidence | None]]


@dataclass(frozen=True, slots=True)
class ChannelVerdict:
    """Whether a person can be written to on a channel now: every rule, in the order of the analysis."""

    channel: Channel
    verdict: Verdict
    rules: Sequence[RuleVerdict]
    others: Sequence[OtherAddress] = ()

    @property
    def reachable(self) -> bool:
        return not self.verdict.reasons

    @property
    def evidence(self) -> list[tuple[Reason, Evidence | None]]:
        """Return the rules that forbid it, with what decided each."""
        return [(rule.reason, rule.evidence) for rule in self.rules if rule.applies]

    @property
    def confirmations(self) -> Confirmations:
        """Say whether transactional messages get there, by the rules that these obey."""
        obeyed = {rule.reason for rule in rules_of(MessageClass.TRANSACTIONAL)}
        against = self.verdict.reasons & obeyed
        if against == {Reason.QUARANTINED_PERSON} and self.channel == Channel.EMAIL:
            return Confirmations.ASKED_FOR_ONLY
        return Confirmations.STOPPED if against else Confirmations.REACH


class _Proofs(NamedTuple):
    """What decided, for many people and channels: read at once."""

    events: dict[int, list[ConsentEvent]]
    entries: dict[tuple[Channel, bytes], Evidence]
    domains: dict[str, Evidence]

    def of(self, found: Verdict, reason: Reason, channel: Channel, at: datetime) -> Evidence | None:
        if reason in FLAG_REASONS:
            return explain.from_events(self.events.get(found.profile, []), reason, channel, None, at)
        if reason in QUARANTINED:
            return self.entries.get((channel, found.digest or b""))
        return self.domains.get(found.address) if reason == Reason.BLOCKED_DOMAIN else None


@dataclass(frozen=True, slots=True)
class InDelivery:
    """What a delivery did about a person: their log rows; before an analysis, what one would say now (`foreseen`).

    With neither, the person is not among those targeted, and `absent` says why where that can be told.
    """

    delivery: Delivery
    run: AnalysisRun | None
    rows: Sequence[Explained] = ()
    foreseen: Sequence[ChannelVerdict] = ()
    absent: Evidence | None = None

    @property
    def targeted(self) -> bool:
        return bool(self.rows or self.foreseen)


def channels(
    profiles: Collection[int], *, at: datetime, message_class: MessageClass = MessageClass.MARKETING
) -> dict[int, list[ChannelVerdict]]:
    """Return, for each of these people, the verdict of each channel now, with every rule.

    Somebody who does not exist is not in it. Fifteen queries at most.
    """
    judged = {channel: verdicts(profiles, channel, at=at, message_class=message_class) for channel in Channel}
    told = _with_rules(judged, message_class, unjudged=OF_A_DELIVERY, at=at)
    others = _others(profiles, at=at)
    return {
        pk: [replace(one, others=others.get((pk, one.channel), ())) for one in verdicts_of]
        for pk, verdicts_of in told.items()
    }


def in_delivery(delivery: Delivery, profiles: Collection[int], *, at: datetime) -> dict[int, InDelivery]:
    """Return what a delivery did about each of these people; before an analysis, what it would do."""
    run = delivery.current_run
    log: dict[int, list[Explained]] = {}
    would: dict[int, list[ChannelVerdict]] = {}
    if run is None:
        try:
            would = foreseen(delivery, profiles, at=at)
        except CriteriaRefused as problem:
            return {pk: InDelivery(delivery, None, absent=Evidence(str(problem))) for pk in profiles}
    else:
        rows = DeliveryLog.objects.filter(run=run, profile__in=profiles).order_by("profile", "position")
        for one in explain.rows(delivery, rows):
            log.setdefault(one.row.profile_id, []).append(one)
    missing = [pk for pk in profiles if pk not in log and pk not in would]
    absent = _absences(delivery, missing, at=run.at if run else at)
    return {pk: InDelivery(delivery, run, log.get(pk, ()), would.get(pk, ()), absent.get(pk)) for pk in profiles}


def foreseen(delivery: Delivery, profiles: Collection[int], *, at: datetime) -> dict[int, list[ChannelVerdict]]:
    """Return what an analysis of a delivery would say now of those among these people whom it is for.

    One verdict per address that it would write to. A few queries a person. Raise CriteriaRefused when the audience or
    a sending rule names something that is gone.
    """
    going_by, channel = plan.make(delivery, at=at), Channel(delivery.channel)
    said = {pk: judging.for_person(delivery, pk, at=at, going_by=going_by) for pk in profiles}
    held = Address.objects.filter(channel=channel, profile__in=profiles).values_list("profile", "position", "digest")
    digests = {(pk, position): bytes(digest) for pk, position, digest in held}
    judged = [
        (one, Verdict(pk, one.reasons, one.address, digests.get((pk, one.position)) if one.address else None))
        for pk, found in said.items()
        for one in found
    ]
    proofs = _proofs((channel, verdict) for _one, verdict in judged)
    told: dict[int, list[ChannelVerdict]] = {}
    for one, verdict in judged:
        rules = _rules_in(MessageClass(delivery.message_class), one, verdict, channel, proofs, at, going_by.labels)
        told.setdefault(verdict.profile, []).append(ChannelVerdict(channel, verdict, rules))
    return told


def _rules_in(
    message_class: MessageClass,
    one: judging.AddressVerdict,
    verdict: Verdict,
    channel: Channel,
    proofs: _Proofs,
    at: datetime,
    labels: Mapping[int, str],
) -> list[RuleVerdict]:
    """Return every rule for an address in a delivery, with those that look at the other people at the end.

    These are a matter only of whoever nothing else leaves out.
    """
    looked_at = {rule.reason for rule in rules_of(message_class)}
    if not verdict.reasons:
        looked_at |= {Reason.FATIGUE_RULE, Reason.DUPLICATE}
    reasons = [*(rule.reason for rule in EXCLUSIONS), *AMONG_SURVIVORS]
    told = [_rule(reason, verdict, channel, looked_at, proofs, at) for reason in reasons]
    decided: Evidence | None = None
    if one.keeper:
        decided = Evidence(_("The message goes to another profile with this address."), profile=one.keeper)
    elif labels.get(one.rule):
        decided = Evidence(labels[one.rule])
    return [replace(rule, evidence=decided) if rule.reason == one.reason and decided else rule for rule in told]


def left_out(same: Q, *, at: datetime) -> list[tuple[QuarantinedAddress, Evidence]]:
    """Return the entries that forbid writing to an address now, whether or not anybody has it. Two queries."""
    return explain.from_entries(QuarantinedAddress.objects.blocking(at).filter(same).order_by("channel", "pk"))


def _with_rules(
    judged: Mapping[Channel, Mapping[int, Verdict]],
    message_class: MessageClass,
    *,
    unjudged: frozenset[Reason],
    at: datetime,
) -> dict[int, list[ChannelVerdict]]:
    """Join verdicts with every rule and what decided it. Four queries at most."""
    proofs = _proofs((channel, one) for channel, found in judged.items() for one in found.values())
    looked_at = {rule.reason for rule in rules_of(message_class)} - unjudged
    told: dict[int, list[ChannelVerdict]] = {}
    for channel, found in judged.items():
        for pk, verdict in sorted(found.items()):
            rules = [_rule(rule.reason, verdict, channel, looked_at, proofs, at) for rule in EXCLUSIONS]
            told.setdefault(pk, []).append(ChannelVerdict(channel, verdict, rules))
    return told


def _rule(
    reason: Reason, verdict: Verdict, channel: Channel, looked_at: Collection[Reason], proofs: _Proofs, at: datetime
) -> RuleVerdict:
    if reason in verdict.reasons:
        return RuleVerdict(reason, Outcome.APPLIES, proofs.of(verdict, reason, channel, at))
    return RuleVerdict(reason, Outcome.DOES_NOT if reason in looked_at else Outcome.NOT_JUDGED)


def _proofs(judged: Iterable[tuple[Channel, Verdict]]) -> _Proofs:
    found = list(judged)
    return _Proofs(
        explain.opt_outs({one.profile for _channel, one in found if one.reasons & FLAG_REASONS}),
        explain.entries_of((channel, one.digest) for channel, one in found if one.reasons & QUARANTINED and one.digest),
        explain.blocked_domains(one.address for _channel, one in found if Reason.BLOCKED_DOMAIN in one.reasons),
    )


def _others(profiles: Collection[int], *, at: datetime) -> dict[tuple[int, Channel], list[OtherAddress]]:
    """Return (profile, channel) → the addresses after the first, and what forbids writing to each."""
    rows = list(Address.objects.filter(profile__in=profiles, position__gt=1).order_by("profile", "channel", "position"))
    entries = left_out(same_q(rows), at=at) if rows else []
    against = {(entry.channel, bytes(entry.digest)): (entry, evidence) for entry, evidence in entries}
    domains = explain.blocked_domains(row.value for row in rows if row.channel == Channel.EMAIL)
    found: dict[tuple[int, Channel], list[OtherAddress]] = {}
    for row in rows:
        reasons: list[tuple[Reason, Evidence | None]] = []
        if row.validity == Validity.INVALID:
            reasons.append((Reason.ADDRESS_INVALID, None))
        if known := against.get((row.channel, bytes(row.digest))):
            reasons.append((QUARANTINE_REASONS[Cause(known[0].cause or 0)], known[1]))
        if row.channel == Channel.EMAIL and (evidence := domains.get(row.value)):
            reasons.append((Reason.BLOCKED_DOMAIN, evidence))
        found.setdefault((row.profile_id, Channel(row.channel)), []).append(OtherAddress(row, reasons))
    return found


def _absences(delivery: Delivery, profiles: Collection[int], *, at: datetime) -> dict[int, Evidence]:
    """Return why these people were not among those targeted at a moment. Two queries at most."""
    if not profiles:
        return {}
    if delivery.target == Target.SERVICE:
        return _not_subscribed(delivery.service_id or 0, profiles, at)
    if delivery.target == Target.EVERYBODY:
        later = Profile.objects.filter(pk__in=profiles, created_at__gt=at).values_list("pk", "created_at")
        return {pk: Evidence(_("Known only since then"), since) for pk, since in later}
    named = delivery.audience if delivery.target == Target.AUDIENCE else delivery.people_list
    told = (
        _("Not in the audience “%(name)s”") if delivery.target == Target.AUDIENCE else _("Not on the list “%(name)s”")
    )
    return dict.fromkeys(profiles, Evidence(told % {"name": named}))


def _not_subscribed(service: int, profiles: Collection[int], at: datetime) -> dict[int, Evidence]:
    acts = [Act.SUBSCRIBE, Act.UNSUBSCRIBE, Act.EXPIRE]
    events = ConsentEvent.objects.filter(profile_id__in=profiles, service_id=service, act__in=acts).order_by("-pk")
    by_person: dict[int, list[ConsentEvent]] = {}
    for event in events:
        by_person.setdefault(event.profile_id or 0, []).append(event)
    held = {row.profile_id: row for row in Subscription.objects.filter(service=service, profile__in=profiles)}
    return {pk: _why_not(by_person.get(pk, []), held.get(pk), at) for pk in profiles}


def _why_not(events: Sequence[ConsentEvent], held: Subscription | None, at: datetime) -> Evidence:
    """Say why somebody was not subscribed at a moment, from the events of the service, newest first."""
    if held is not None and held.expires_at is not None and held.expires_at <= at:
        return Evidence(str(Act.EXPIRE.label), held.expires_at)
    last = next((event for event in events if event.at <= at), None)
    if last is not None and last.act != Act.SUBSCRIBE:
        return explain.of_event(last)
    if last is None and events:
        return replace(explain.of_event(events[-1]), what=_("Subscribed only later"))
    if held is not None and held.created_at > at:
        return Evidence(_("Subscribed only later"), held.created_at)
    return Evidence(_("Not subscribed to this service"))
