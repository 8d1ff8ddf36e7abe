"""Why somebody did or did not get a message: the rule, and the event or entry that decides it.

The verdicts come from `exclusions`, the same code as the analysis and the hand-off; here they are only joined with
their evidence. Each function takes a constant number of queries, however many rows it explains.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from profiles.channels import Channel
from profiles.models import Act, Address, ConsentEvent, Profile, Source
from quarantine.models import Cause, QuarantinedAddress, QuarantineEvent, Status

from .exclusions import QUARANTINE_REASONS, Verdict, verdict
from .models import Delivery, DeliveryLog, LogStatus, Reason

_FLAG_REASONS = {Reason.BLACKLISTED, Reason.BLACKLISTED_CHANNEL}
_QUARANTINED = set(QUARANTINE_REASONS.values())


@dataclass(frozen=True, slots=True)
class Evidence:
    """What decides: what happened, when, from where, by whom; and the profile or entry it is about."""

    what: str
    at: datetime | None = None
    source: str = ""
    by: str = ""
    note: str = ""
    profile: int | None = None
    entry: int | None = None
    event: int | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """One log row with every rule that applied and the evidence of the first."""

    row: DeliveryLog
    reason: Reason
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class ChannelVerdict:
    """Whether a person can be written to on a channel now, every rule that forbids it, and its evidence."""

    channel: Channel
    verdict: Verdict
    evidence: Sequence[tuple[Reason, Evidence | None]]

    @property
    def reachable(self) -> bool:
        return not self.verdict.reasons


def channels(profile: int, *, at: datetime) -> list[ChannelVerdict]:
    """Return the verdict of each channel for one person now, with the evidence of every rule that applies."""
    found = []
    for channel in Channel:
        judged = verdict(profile, channel, at=at)
        if judged is None:
            return []
        proofs = [(reason, _evidence_now(judged, reason, channel, at)) for reason in sorted(judged.reasons)]
        found.append(ChannelVerdict(channel, judged, proofs))
    return found


def left_out(same: Q, *, at: datetime) -> list[tuple[QuarantinedAddress, Evidence]]:
    """Return the entries that forbid writing to an address now, whether or not anybody has it. Two queries."""
    return _from_entries(QuarantinedAddress.objects.blocking(at).filter(same).order_by("channel", "pk"))


def rows(delivery: Delivery, log: Iterable[DeliveryLog]) -> list[Explained]:
    """Return log rows of one delivery with the evidence of their reason. At most six queries."""
    return _explained([(row, delivery) for row in log])


def history(profile: int, *, before: int | None = None, limit: int = 20) -> list[Explained]:
    """Return what each delivery did about a person, newest first, with the evidence of who was left out."""
    log = DeliveryLog.objects.filter(profile=profile)
    if before is not None:
        log = log.filter(delivery__lt=before)
    found = list(log.order_by("-delivery_id", "-pk")[: limit * 2])
    deliveries = Delivery.objects.select_related("current_run").in_bulk({row.delivery_id for row in found})
    pairs = [(row, d) for row in found if (d := deliveries.get(row.delivery_id)) and d.current_run_id == row.run_id]
    return _explained(pairs[:limit])


def _explained(pairs: Sequence[tuple[DeliveryLog, Delivery]]) -> list[Explained]:
    """Join rows of any deliveries with their evidence: one query for events, and a few per channel and per run."""
    log = [row for row, _delivery in pairs]
    events = _opt_outs(sorted({row.profile_id for row in log if row.reason in _FLAG_REASONS | {Reason.UNSUBSCRIBED}}))
    entries = {
        channel: _entries(
            channel, [bytes(r.digest or b"") for r, d in pairs if d.channel == channel and _is_quarantined(r)]
        )
        for channel in {Channel(delivery.channel) for _row, delivery in pairs}
    }
    keepers = _keepers([row for row in log if row.reason == Reason.DUPLICATE])
    explained = []
    for row, delivery in pairs:
        reason, channel = Reason(row.reason), Channel(delivery.channel)
        at = row.finished_at or (delivery.current_run.at if delivery.current_run else None)
        evidence = None
        if row.profile_id in events:
            evidence = _from_events(events[row.profile_id], reason, channel, delivery.service_id, at)
        elif _is_quarantined(row):
            evidence = entries[channel].get(bytes(row.digest or b""))
        elif keeper := keepers.get(row.pk):
            evidence = Evidence(_("The message goes to another profile with this address."), profile=keeper)
        explained.append(Explained(row, reason, evidence))
    return explained


def _is_quarantined(row: DeliveryLog) -> bool:
    return row.reason in _QUARANTINED and row.digest is not None


def _evidence_now(judged: Verdict, reason: Reason, channel: Channel, at: datetime) -> Evidence | None:
    if reason in _FLAG_REASONS:
        return _from_events(_opt_outs([judged.profile]).get(judged.profile, []), reason, channel, None, at)
    if reason in _QUARANTINED and judged.digest:
        return _entries(channel, [judged.digest]).get(judged.digest)
    return None


def _opt_outs(profiles: Sequence[int]) -> dict[int, list[ConsentEvent]]:
    """Return the events that may have left these people out, newest first."""
    found: dict[int, list[ConsentEvent]] = {}
    if profiles:
        acts = [Act.OPT_OUT, Act.UNSUBSCRIBE, Act.EXPIRE]
        for event in ConsentEvent.objects.filter(profile_id__in=profiles, act__in=acts).order_by("-pk"):
            found.setdefault(event.profile_id or 0, []).append(event)
    return found


def _from_events(
    events: Iterable[ConsentEvent], reason: Reason, channel: Channel, service: int | None, at: datetime | None
) -> Evidence | None:
    """Return the newest event that explains a reason, at the moment when it was found."""
    for event in events:
        if at is not None and event.at > at:
            continue
        if reason == Reason.UNSUBSCRIBED:
            fits = event.act in (Act.UNSUBSCRIBE, Act.EXPIRE) and event.service_id == service
        else:
            wanted = None if reason == Reason.BLACKLISTED else int(channel)
            fits = event.act == Act.OPT_OUT and event.channel == wanted
        if fits:
            return Evidence(
                str(Act(event.act).label), event.at, str(Source(event.source).label), event.actor_name,
                event.reason or event.delivery_name, profile=event.profile_id, event=event.pk,
            )  # fmt: skip
    return None


def _entries(channel: Channel, digests: Sequence[bytes]) -> dict[bytes, Evidence]:
    if not digests:
        return {}
    entries = QuarantinedAddress.objects.filter(channel=channel, digest__in=digests)
    return {bytes(entry.digest): evidence for entry, evidence in _from_entries(entries)}


def _from_entries(found: Iterable[QuarantinedAddress]) -> list[tuple[QuarantinedAddress, Evidence]]:
    """Join entries with the change that last made each of them one that is not written to. One more query."""
    entries = [entry for entry in found if entry.cause is not None]
    if not entries:
        return []
    changes = QuarantineEvent.objects.filter(entry_id__in=[e.pk for e in entries], after=Status.QUARANTINED)
    latest = {change.entry_id: change for change in changes.order_by("pk")}
    joined = []
    for entry in entries:
        change = latest.get(entry.pk)
        source, by, reason = (change.source_label, change.actor_name, change.note) if change else ("", "", "")
        note = entry.text or entry.delivery_name or reason
        what = str(Cause(entry.cause or 0).label)
        joined.append((entry, Evidence(what, entry.quarantined_at, source, by, note, entry=entry.pk)))
    return joined


def _keepers(duplicates: Sequence[DeliveryLog]) -> dict[int, int]:
    """Return log row → the profile to which the message of a duplicate goes. Two queries, however many runs."""
    if not duplicates:
        return {}
    digests = {bytes(row.digest) for row in duplicates if row.digest}
    owners: dict[bytes, list[int]] = {}
    for digest, profile in Address.objects.with_digests(digests).values_list("digest", "profile_id"):
        owners.setdefault(bytes(digest), []).append(profile)
    everyone = {profile for profiles in owners.values() for profile in profiles}
    kept = set(
        DeliveryLog.objects.filter(run__in={row.run_id for row in duplicates}, profile__in=everyone)
        .exclude(status=LogStatus.EXCLUDED)
        .values_list("run_id", "profile_id")
    )
    return {
        row.pk: keeper
        for row in duplicates
        if (keeper := next((p for p in sorted(owners.get(bytes(row.digest or b""), [])) if (row.run_id, p) in kept), 0))
    }


def names(log: Iterable[Explained]) -> dict[int, Profile]:
    """Return the people of explained rows and of their evidence. One query."""
    ids = {one.row.profile_id for one in log} | {
        one.evidence.profile for one in log if one.evidence and one.evidence.profile
    }
    return Profile.objects.in_bulk(ids)
