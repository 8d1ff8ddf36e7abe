"""What is read off a run or a sending: counts from counters, never from the log."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max, Min, Q, Sum

from .exclusions import AMONG_SURVIVORS, EXCLUSIONS
from .models import AnalysisRun, Delivery, Lease, LogStatus, Reason, RunReason, SendingMinute
from .targeting import DIGESTS

QUIET = timedelta(seconds=20)  # two rings of the periodic job
STALLED = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Line:
    """One reason: how many it leaves out as the first, and how many it concerns in all."""

    reason: Reason
    first: int
    in_all: int

    @property
    def label(self) -> str:
        return str(self.reason.label)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From the people targeted to the messages to send: `targeted == to_send + sum(line.first)`."""

    targeted: int
    lines: Sequence[Line]

    @property
    def left_out(self) -> int:
        return sum(line.first for line in self.lines)

    @property
    def to_send(self) -> int:
        return self.targeted - self.left_out


def reasons_evaluated() -> tuple[Reason, ...]:
    """Return the reasons that an analysis looks for today, in their order."""
    return tuple(rule.reason for rule in EXCLUSIONS) + AMONG_SURVIVORS


def waterfall(run: AnalysisRun) -> Waterfall:
    """Return who is left out by a run, zero lines included. Two queries."""
    counts = {row.reason: row for row in RunReason.objects.filter(run=run)}
    targeted = run.targeted or Lease.objects.filter(run=run).aggregate(n=Sum("size"))["n"] or 0
    return Waterfall(
        targeted,
        [
            Line(
                reason,
                counts[reason].first if reason in counts else 0,
                counts[reason].in_all if reason in counts else 0,
            )
            for reason in reasons_evaluated()
        ],
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """How an analysis differs from the one before: in all, and by reason (those that differ only)."""

    since: AnalysisRun
    targeted: int
    to_send: int
    reasons: Sequence[tuple[Reason, int]]


def changes(run: AnalysisRun) -> Changes | None:
    """Return how a run differs from the finished one before it, or None when it is the first. Two queries."""
    done = AnalysisRun.objects.filter(delivery=run.delivery_id, state=AnalysisRun.State.DONE, dry=False)
    before = done.filter(number__lt=run.number).order_by("-number").first()
    if before is None:
        return None
    differences: Counter[int] = Counter()
    for row in RunReason.objects.filter(run__in=[run.pk, before.pk]):
        differences[row.reason] += row.first if row.run_id == run.pk else -row.first
    targeted = run.targeted - before.targeted
    reasons = [(Reason(reason), number) for reason, number in sorted(differences.items()) if number]
    return Changes(before, targeted, targeted - sum(differences.values()), reasons)


def outcomes(run: AnalysisRun) -> dict[LogStatus, int]:
    """Return how many rows of a run have each status, zeros included. One query over the leases."""
    names = {status: status.counter for status in LogStatus}
    sums = Lease.objects.filter(run=run).aggregate(**{f"n_{name}": Sum(name) for name in names.values()})
    return {status: sums[f"n_{name}"] or 0 for status, name in names.items()}


def is_quiet(run: AnalysisRun, *, at: datetime) -> bool:
    """Say whether nothing has been claimed for a while: a claim renews its lease, so the lease tells. One query."""
    renewed = Lease.objects.filter(run=run).aggregate(at=Max("expires_at"))["at"]
    return renewed is None or at - (renewed - settings.LEASE_TIME) > QUIET


def stalled(deliveries: Sequence[Delivery], *, at: datetime) -> set[int]:
    """Return which of some deliveries that are being sent have work due since STALLED, and nobody doing it.

    Two queries at most; none where there is nothing to ask.
    """
    limit = at - STALLED
    runs = {one.current_run_id: one.pk for one in deliveries if one.started_at and one.started_at < limit}
    if not runs:
        return set()
    since = Q(not_before=None) | Q(not_before__lte=limit)
    due = Lease.objects.filter(Lease.open_q(), run__in=runs).order_by().values("run")
    found = due.annotate(waiting=Count("pk", filter=since), renewed=Max("expires_at"))
    idle = {
        row["run"]
        for row in found
        if row["waiting"] and (row["renewed"] is None or row["renewed"] - settings.LEASE_TIME < limit)
    }
    lately = (
        SendingMinute.objects.filter(run__in=idle, at__gte=limit - MINUTE) if idle else SendingMinute.objects.none()
    )
    return {runs[run] for run in idle - set(lately.values_list("run", flat=True))}


@dataclass(frozen=True, slots=True)
class Waiting:
    """From when until when ranges of a run come back: their rows wait for a new try, or for their mail domain."""

    first: datetime
    last: datetime


def waiting(run: AnalysisRun, *, at: datetime) -> Waiting | None:
    """Return when the ranges that wait for something are due, or None when none waits. One query."""
    found = Lease.objects.filter(Lease.open_q(), run=run, not_before__gt=at).aggregate(
        first=Min("not_before"), last=Max("not_before")
    )
    return Waiting(found["first"], found["last"]) if found["first"] else None


def most_leaving() -> int:
    """Return how many messages can be leaving at one moment: all that a pause or a stop comes too late for."""
    number: int = settings.SENDING_TASKS * settings.SENDING_CONNECTIONS * settings.HAND_OFF_GROUP
    return number


def progress(run: AnalysisRun) -> float:
    """Return how far an analysis got, from 0 to 1; writing the rows takes most of the time."""
    whole = run.last_profile - run.first_profile
    if whole <= 0:
        return 1.0
    return 0.2 * run.digests_upto / DIGESTS + 0.8 * (run.upto - run.first_profile) / whole


@dataclass(frozen=True, slots=True)
class Drift:
    """How many addresses a reason has stopped since the analysis."""

    reason: Reason
    since: int


def drift(run: AnalysisRun) -> list[Drift]:
    """Return who has been left out since the analysis, by reason. One query."""
    rows = RunReason.objects.filter(run=run, since__gt=0).order_by("reason")
    return [Drift(Reason(row.reason), row.since) for row in rows]
