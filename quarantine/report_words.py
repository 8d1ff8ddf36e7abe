"""What a report says about each recipient, in words, and what would follow from taking it at its word.

words(report.kind, spoken)       "No such mailbox: leaves the address out"
look(report, at=...)             every recipient with what is known of the address now; two queries
purge(at=...)                    what is old goes
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from profiles import addresses
from profiles.channels import Channel
from profiles.digests import digest

from . import lifecycle
from .escalation import Target
from .kinds import Failure, Fault, Kind
from .models import QuarantinedAddress, Reason, Report, ReportKind, ReportState, Status

SHOWN = 20  # recipients of one report
RAW_KEPT = timedelta(days=7)  # after a decision
BATCH = 1_000
DECIDED = (ReportState.APPLIED, ReportState.ACCEPTED, ReportState.DISMISSED)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a report says about one recipient."""

    address: str
    kind: Kind | None
    reason: Reason
    status: str
    action: str
    diagnostic: str

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Spoken":
        """Read what is stored of a recipient. What nobody knows is left out: other versions may have written it."""
        kinds = {kind.value: kind for kind in Kind}
        reasons = {reason.name.lower(): reason for reason in Reason}
        text = {name: str(stored.get(name) or "") for name in ("address", "status", "action", "diagnostic")}
        kind, reason = kinds.get(str(stored.get("failure"))), reasons.get(str(stored.get("reason")), Reason.NOT_DEFINED)
        return cls(kind=kind, reason=reason, **text)


@dataclass(frozen=True, slots=True)
class Consequence:
    """A recipient of a report, what it says, and what accepting it would do now. `target` is None for no address."""

    spoken: Spoken
    target: Target | None
    entry: QuarantinedAddress | None
    said: str
    then: str
    acts: bool


def look(report: Report, *, at: datetime) -> Sequence[Consequence]:
    """Return the first recipients of a report with what would follow."""
    spoken = [Spoken.of(one) for one in report.recipients[:SHOWN] if isinstance(one, dict)]
    targets = [_target(one.address) for one in spoken]
    rows = QuarantinedAddress.objects.with_digests([t.digest for t in targets if t]).filter(scope="")
    known = {bytes(row.digest): row for row in rows if row.channel == Channel.EMAIL}
    found = []
    for one, target in zip(spoken, targets, strict=True):
        entry = known.get(target.digest) if target else None
        then, acts = _then(ReportKind(report.kind), one, target, entry, at)
        found.append(Consequence(one, target, entry, words(report.kind, one.kind, one.reason), then, acts))
    return found


def words(kind: str, failure: Kind | None, reason: Reason) -> str:
    """Say what a report tells about a recipient."""
    if kind == ReportKind.COMPLAINT:
        return _("Reported the message as spam")
    if kind == ReportKind.UNSUBSCRIBE:
        return _("Wants no more of these messages")
    match failure:
        case Kind.HARD:
            return _("Failed for good: %(reason)s") % {"reason": reason.label}
        case Kind.SOFT:
            return _("Failed for now: %(reason)s") % {"reason": reason.label}
        case Kind.IGNORED:
            return _("Says nothing against the address: %(reason)s") % {"reason": reason.label}
    return _("Nothing failed")


def failure_words(failure: Failure) -> str:
    """Say what an answer means for the address, and whose fault it is."""
    found = words(ReportKind.BOUNCE, failure.kind, failure.reason)
    if failure.fault == Fault.ADDRESS:
        return found
    whose = _("its provider asks us to wait, or blocks us for now")
    return f"{found} ({whose if failure.fault == Fault.DOMAIN else _('the refusal is about us')})"


def _target(address: str) -> Target | None:
    found = addresses.read(Channel.EMAIL, address) if address else None
    if found is None or found.flaw:
        return None
    return Target(Channel.EMAIL, digest(Channel.EMAIL, found.key), found.value, found.key)


def _then(
    kind: ReportKind, spoken: Spoken, target: Target | None, entry: QuarantinedAddress | None, at: datetime
) -> tuple[str, bool]:
    """Return what accepting would do to an address, in words, and whether that is anything."""
    if target is None:
        return _("Nothing: this is no email address."), False
    over = entry is not None and lifecycle.overdue(entry, at) is not None
    known = None if entry is None or over else entry
    state = lifecycle.state_of(known) if known else lifecycle.State.VALID
    event = _event(kind, spoken, known, at)
    follows = lifecycle.after(state, event) if event else lifecycle.Nothing.IGNORED
    if follows == Status.ERRONEOUS:
        return _("An error is noted. Several of them, on different days, leave the address out."), True
    if follows == Status.QUARANTINED:
        return _("Nothing is sent to this address any more."), True
    if event and state == lifecycle.State.ALLOWLISTED:
        return _("Nothing: this address is always written to."), False
    if event and known and known.status == Status.QUARANTINED:
        return _("Nothing: this address is left out already."), False
    if event == lifecycle.Event.SOFT_TOO_SOON:
        return _("Nothing: an error was noted only just before."), False
    return _("Nothing."), False


def _event(kind: ReportKind, spoken: Spoken, known: QuarantinedAddress | None, at: datetime) -> lifecycle.Event | None:
    """Return what accepting would have happened to an address."""
    if kind == ReportKind.COMPLAINT:
        return lifecycle.Event.COMPLAINT
    if kind == ReportKind.BOUNCE and spoken.kind == Kind.HARD:
        return lifecycle.Event.HARD
    if kind == ReportKind.BOUNCE and spoken.kind == Kind.SOFT:
        return lifecycle.soft_failure(known, at) if known else lifecycle.Event.SOFT
    return None


def waiting(limit: int) -> int:
    """Return how many reports wait for a decision, up to a number. One query."""
    return len(Report.objects.filter(state=ReportState.WAITING).order_by("-pk").values_list("pk")[:limit])


def purge(*, at: datetime, batches: int = 20) -> int:
    """Delete the reports that are old, and the messages of those decided a while ago; return how many rows."""
    return sum(_delete_some(at) + _blank_some(at) for _batch in range(batches))


def _delete_some(at: datetime) -> int:
    """Delete some of the oldest. They are in the order of their numbers, so that no index on the date is needed."""
    oldest = Report.objects.order_by("pk").values_list("pk", "received_at")[:BATCH]
    old = [pk for pk, received in oldest if received < at - timedelta(days=settings.REPORT_DAYS)]
    return Report.objects.filter(pk__in=old).delete()[0] if old else 0


def _blank_some(at: datetime) -> int:
    decided = Report.objects.filter(state__in=DECIDED, raw__isnull=False, decided_at__lt=at - RAW_KEPT)
    some = list(decided.order_by("pk").values_list("pk", flat=True)[:BATCH])
    return Report.objects.filter(pk__in=some).update(raw=None) if some else 0
