"""What follows from proven reports: marks on log rows, addresses left out, counters of the run, a pause.

Everything is done for a batch at once. The log rows are locked first, in the order of their numbers, then the
addresses: a worker that writes down what it sent does it in the same order.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F

from profiles.addresses import read
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Source
from profiles.sql import lock_digests
from quarantine import escalation
from quarantine.escalation import Target
from quarantine.failures import Failure, Kind
from quarantine.models import Cause, Report, ReportKind, ReportState

from . import watch
from .matching import Proven
from .models import AnalysisRun, Delivery, DeliveryLog, Reported, State

_RETURNED = Reported.SOFT | Reported.HARD


@dataclass(frozen=True, slots=True)
class Act:
    """What a report says about an address that it proves. Without a failure it is a complaint."""

    who: Proven
    failure: Failure | None
    source: str

    @property
    def bit(self) -> Reported:
        if self.failure is None:
            return Reported.COMPLAINT
        return Reported.HARD if self.failure.kind == Kind.HARD else Reported.SOFT

    @property
    def lasting(self) -> bytes:
        """Return what a report is known by where no log row can be marked."""
        text = b"proven\0%d\0%d\0" % (self.who.number, self.bit) + self.who.digest
        return hashlib.sha256(text).digest()[:16]


def act(acts: Sequence[Act], *, at: datetime) -> list[bool]:
    """Act on what was not known yet; say of each whether it was new. Call it in a transaction."""
    if not acts:
        return []
    marked = _lock_rows(acts)
    lock_digests(one.who.digest for one in acts)
    before = dict(marked)
    known = _known(one.lasting for one in acts if one.who.number not in marked)
    new: list[bool] = []
    for one in acts:
        if one.who.number in marked:
            new.append(_is_news(one.bit, marked[one.who.number]))
            marked[one.who.number] |= one.bit
        else:
            new.append(one.bit != Reported.SOFT and one.lasting not in known)
            known.add(one.lasting)
    todo = [one for one, is_new in zip(acts, new, strict=True) if is_new]
    _move(todo, at=at)
    _remember([one for one in todo if one.who.number not in marked], at=at)
    _mark(before, marked)
    _count(todo, before, marked)
    return new


def _lock_rows(acts: Sequence[Act]) -> dict[int, int]:
    """Return log row → what was reported about it; those that are gone are missing."""
    wanted = sorted({one.who.number for one in acts if one.who.row is not None})
    rows = DeliveryLog.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    return dict(rows.values_list("pk", "reported")) if wanted else {}


def _known(fingerprints: Iterable[bytes]) -> set[bytes]:
    wanted = list(fingerprints)
    found = Report.objects.filter(fingerprint__in=wanted).values_list("fingerprint", flat=True) if wanted else ()
    return {bytes(value) for value in found}


def _is_news(bit: Reported, marked: int) -> bool:
    """Say whether a report tells more than what was reported: nothing is softer than what is known."""
    return not marked & (_RETURNED if bit == Reported.SOFT else bit)


def _move(acts: Sequence[Act], *, at: datetime) -> None:
    """Leave addresses out, or count their errors: complaints first, whose quarantine no outage ends."""
    deliveries = {one.who.row.delivery for one in acts if one.who.row}
    labels = dict(Delivery.objects.filter(pk__in=deliveries).values_list("pk", "label")) if deliveries else {}
    complaints: dict[int | None, list[Target]] = defaultdict(list)
    for one in acts:
        if one.failure is None:
            complaints[one.who.delivery].append(target_of(one.who.address, one.who.digest))
    for delivery, targets in sorted(complaints.items(), key=lambda item: item[0] or 0):
        evidence = _evidence(Source.COMPLAINT, delivery, labels)
        escalation.quarantine(targets, cause=Cause.COMPLAINT, evidence=evidence, at=at)
    noted = [
        (
            target_of(one.who.address, one.who.digest), one.failure,
            _evidence(Source.BOUNCE, one.who.delivery, labels), one.who.recipient.diagnostic,
        )
        for one in acts
        if one.failure is not None
    ]  # fmt: skip
    for start in range(0, len(noted), escalation.BATCH):
        escalation.note_failures(noted[start : start + escalation.BATCH], at=at)


def target_of(address: str, digest: bytes) -> Target:
    """Return an address as the quarantine knows it. Reading one is slow, and those in ASCII need not be read."""
    key = address.lower() if address.isascii() else read(Channel.EMAIL, address).key
    return Target(Channel.EMAIL, digest, address, key)


def _evidence(source: Source, delivery: int | None, labels: Mapping[int, str]) -> Evidence:
    return Evidence(source=source, delivery_id=delivery, delivery_name=labels.get(delivery or 0, ""))


def _remember(acts: Sequence[Act], *, at: datetime) -> None:
    """Keep what was acted on and has no log row to be marked, so that it counts once."""
    Report.objects.bulk_create(
        Report(
            fingerprint=one.lasting, state=ReportState.APPLIED, source=one.source, log_id=one.who.number,
            kind=ReportKind.BOUNCE if one.failure else ReportKind.COMPLAINT, received_at=at, decided_at=at,
        )
        for one in acts
    )  # fmt: skip


def _mark(before: Mapping[int, int], after: Mapping[int, int]) -> None:
    for bits in sorted({after[pk] & ~before[pk] for pk in before} - {0}):
        rows = [pk for pk in before if after[pk] & ~before[pk] == bits]
        DeliveryLog.objects.filter(pk__in=rows).update(reported=F("reported").bitor(bits))


def _count(acts: Sequence[Act], before: Mapping[int, int], after: Mapping[int, int]) -> None:
    """Add to the counters of the runs, once per message; their deliveries pause when they do harm."""
    runs = {one.who.row.pk: one.who.row.run for one in acts if one.who.row}
    complaints, bounces = Counter[int](), Counter[int]()
    for pk, run in runs.items():
        if pk in before:
            complaints[run] += bool(after[pk] & ~before[pk] & Reported.COMPLAINT)
            bounces[run] += bool(after[pk] & _RETURNED) and not before[pk] & _RETURNED
    for run in sorted(complaints.keys() | bounces.keys()):
        AnalysisRun.objects.filter(pk=run).update(
            complaints=F("complaints") + complaints[run], bounces=F("bounces") + bounces[run]
        )
    going = AnalysisRun.objects.filter(pk__in=complaints.keys() | bounces.keys(), delivery__state=State.SENDING)
    for found in going.filter(delivery__current_run=F("pk")).select_related("delivery").order_by("pk"):
        watch.pause_if_needed(found.delivery, found)
