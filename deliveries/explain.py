"""Why somebody did or did not get a message: the rule, and the event or entry that decides it.

The verdicts come from `exclusions`, the same code as the analysis and the hand-off; here they are only joined with
their evidence. Each function takes a constant number of queries, however many rows it explains. How people stand
now, rule by rule, is in `standing`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q
from django.utils.translation import gettext as _

from profiles.addresses import read
from profiles.channels import Channel
from profiles.models import Act, Address, ConsentEvent, Profile, Source
from quarantine.models import BlockedDomain, Cause, QuarantinedAddress, QuarantineEvent, Status

from .exclusions import QUARANTINE_REASONS
from .models import Delivery, DeliveryLog, LogStatus, Reason, RunRule

FLAG_REASONS = frozenset({Reason.BLACKLISTED, Reason.BLACKLISTED_CHANNEL})
_BY_EVENT = FLAG_REASONS | {Reason.UNSUBSCRIBED}
QUARANTINED = frozenset(QUARANTINE_REASONS.values())


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


def rows(delivery: Delivery, log: Iterable[DeliveryLog]) -> list[Explained]:
    """Return log rows of one delivery with the evidence of their reason. At most nine queries."""
    return _explained([(row, delivery) for row in log])


def history(profile: int, *, before: int | None = None, limit: int = 20) -> list[Explained]:
    """Return what each delivery did about a person, newest first, with the evidence of who was left out."""
    log = DeliveryLog.objects.filter(profile=profile, delivery__current_run=F("run_id"))
    if before is not None:
        log = log.filter(delivery__lt=before)
    found = list(log.order_by("-delivery_id", "-pk")[:limit])
    deliveries = Delivery.objects.select_related("current_run").in_bulk({row.delivery_id for row in found})
    return _explained([(row, deliveries[row.delivery_id]) for row in found])


def _explained(pairs: Sequence[tuple[DeliveryLog, Delivery]]) -> list[Explained]:
    """Join rows of any deliveries with their evidence: a few queries, however many rows and deliveries."""
    log = [row for row, _delivery in pairs]
    events = opt_outs({row.profile_id for row in log if row.reason in _BY_EVENT})
    quarantined = [(r, d) for r, d in pairs if r.reason in QUARANTINED and r.digest is not None]
    entries = entries_of((Channel(d.channel), bytes(r.digest or b"")) for r, d in quarantined)
    domains = blocked_domains(row.address for row in log if row.reason == Reason.BLOCKED_DOMAIN)
    keepers = _keepers([row for row in log if row.reason == Reason.DUPLICATE])
    rules = _rule_names([row for row in log if row.rule is not None])
    explained = []
    for row, delivery in pairs:
        reason, channel = Reason(row.reason), Channel(delivery.channel)
        at = row.finished_at or (delivery.current_run.at if delivery.current_run else None)
        evidence = None
        if reason in _BY_EVENT:
            evidence = from_events(events.get(row.profile_id, []), reason, channel, delivery.service_id, at)
        elif reason in QUARANTINED:
            evidence = entries.get((channel, bytes(row.digest or b"")))
        elif reason == Reason.BLOCKED_DOMAIN:
            evidence = domains.get(row.address)
        elif name := rules.get((row.run_id, row.rule or 0)):
            evidence = Evidence(name)
        elif keeper := keepers.get(row.pk):
            evidence = Evidence(_("The message goes to another profile with this address."), profile=keeper)
        explained.append(Explained(row, reason, evidence))
    return explained


def opt_outs(profiles: Collection[int]) -> dict[int, list[ConsentEvent]]:
    """Return the events that may have left these people out, newest first. One query."""
    found: dict[int, list[ConsentEvent]] = {}
    if profiles:
        acts = [Act.OPT_OUT, Act.UNSUBSCRIBE, Act.EXPIRE]
        for event in ConsentEvent.objects.filter(profile_id__in=profiles, act__in=acts).order_by("-pk"):
            found.setdefault(event.profile_id or 0, []).append(event)
    return found


def from_events(
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
            return of_event(event)
    return None


def of_event(event: ConsentEvent) -> Evidence:
    """Return one event of the ledger as evidence."""
    return Evidence(
        str(Act(event.act).label), event.at, str(Source(event.source).label), event.actor_name,
        event.reason or event.delivery_name, profile=event.profile_id, event=event.pk,
    )  # fmt: skip


def entries_of(held: Iterable[tuple[Channel, bytes]]) -> dict[tuple[Channel, bytes], Evidence]:
    """Return (channel, digest) → the entry that says why such an address is left out. Two queries at most."""
    by_channel: dict[Channel, set[bytes]] = {}
    for channel, digest in held:
        by_channel.setdefault(channel, set()).add(digest)
    which = Q()
    for channel, digests in by_channel.items():
        which |= Q(channel=channel, digest__in=digests)
    if not which:
        return {}
    found = QuarantinedAddress.objects.filter(which).order_by("-scope")  # the last wins: it holds for all senders
    return {(Channel(e.channel), bytes(e.digest)): evidence for e, evidence in from_entries(found)}


def from_entries(found: Iterable[QuarantinedAddress]) -> list[tuple[QuarantinedAddress, Evidence]]:
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


def blocked_domains(values: Iterable[str]) -> dict[str, Evidence]:
    """Return email address → the blocked domain that it is of. One query, and none without addresses."""
    parents = {value: _domains_above(value) for value in values}
    if not parents:
        return {}
    named = {domain for domains in parents.values() for domain in domains}
    known = {row.domain: row for row in BlockedDomain.objects.filter(domain__in=named)}
    return {
        value: Evidence(_("Nothing is sent to %(domain)s.") % {"domain": row.domain}, row.created_at, note=row.note)
        for value, domains in parents.items()
        if (row := next((known[d] for d in domains if d in known and (d == domains[0] or known[d].subdomains)), None))
    }


def _domains_above(value: str) -> list[str]:
    """Return the domain of an email address and those above it, the longest first."""
    labels = read(Channel.EMAIL, value).key.rpartition("@")[2].split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


def _rule_names(log: Sequence[DeliveryLog]) -> dict[tuple[int, int], str]:
    """Return (run, number of a sending rule) → what it was called then. One query."""
    if not log:
        return {}
    found = RunRule.objects.filter(run__in={row.run_id for row in log}, rule__in={row.rule for row in log})
    return {(run, rule): label for run, rule, label in found.values_list("run", "rule", "label") if label}


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
