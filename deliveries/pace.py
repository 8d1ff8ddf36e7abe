"""How fast a delivery is sent, what failed hand-offs cost it, and how much is left: from counters, never from the log.

Two things are counted. On the leases, in the very update that moves a row: how long its hand-off took. Per minute of a
run, when a worker gives a lease back: how many messages it sent, so that a plot over time costs no statement a message.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Sum

from .models import AnalysisRun, Lease, LogStatus, Reason, RunReason, SendingMinute

MINUTE = timedelta(minutes=1)
LATELY = 5  # minutes that tell the present speed
MOST_SLICES = 48
WIDTHS = tuple(timedelta(minutes=n) for n in (1, 5, 15, 60, 360, 1440))
# Addresses that would have failed, had they been written to.
FAILING = (Reason.ADDRESS_INVALID, Reason.QUARANTINED_BOUNCE)
_ENDS = {LogStatus.SENT: "sent", LogStatus.FAILED: "failed"}


def counted(status: LogStatus, took: timedelta) -> dict[str, Any]:
    """Return what a hand-off that ended so adds to the counters of its lease."""
    milliseconds = round(took / timedelta(milliseconds=1))
    if status == LogStatus.SENT:
        return {"sent_ms": F("sent_ms") + milliseconds}
    if status == LogStatus.SUPPRESSED:  # nothing was handed over: the receiving side cannot carry the address
        return {}
    return {"failed_ms": F("failed_ms") + milliseconds, "failed_tries": F("failed_tries") + 1}


class Minutes:
    """What one worker has done of a run, minute by minute, until it is added up."""

    def __init__(self, run: AnalysisRun) -> None:
        self.run = run
        self.done: Counter[tuple[datetime, str]] = Counter()

    def note(self, status: LogStatus, *, at: datetime) -> None:
        if name := _ENDS.get(status):
            self.done[at.replace(second=0, microsecond=0), name] += 1

    def add_up(self) -> None:
        """Add it to the counters, and begin anew. Two statements a minute and outcome."""
        for (minute, name), number in self.done.items():
            SendingMinute.objects.get_or_create(run=self.run, at=minute)
            SendingMinute.objects.filter(run=self.run, at=minute).update(**{name: F(name) + number})
        self.done.clear()


@dataclass(frozen=True, slots=True)
class Cost:
    """What the hand-offs of a run took. An average is None where there is nothing to take one of."""

    sent: int
    sent_time: timedelta
    failed: int  # hand-offs that failed; a message that was tried again may have several
    failed_time: timedelta

    @property
    def handed_over(self) -> int:
        return self.sent + self.failed

    @property
    def rate(self) -> float:
        """Return the part of the hand-offs that failed, from 0 to 1."""
        return self.failed / self.handed_over if self.handed_over else 0.0

    @property
    def whole(self) -> timedelta:
        return self.sent_time + self.failed_time

    @property
    def each_sent(self) -> timedelta | None:
        return self.sent_time / self.sent if self.sent else None

    @property
    def each_failed(self) -> timedelta | None:
        return self.failed_time / self.failed if self.failed else None


def cost(run: AnalysisRun) -> Cost:
    """Return what the hand-offs of a run took. One query over the leases."""
    names = ("sent", "sent_ms", "failed_tries", "failed_ms")
    sums = Lease.objects.filter(run=run).aggregate(**{f"n_{name}": Sum(name) for name in names})
    sent, sent_ms, failed, failed_ms = (sums[f"n_{name}"] or 0 for name in names)
    return Cost(sent, timedelta(milliseconds=sent_ms), failed, timedelta(milliseconds=failed_ms))


def failing_left_out(run: AnalysisRun) -> int:
    """Return how many addresses in error the analysis has left out. One query."""
    rows = RunReason.objects.filter(run=run, reason__in=FAILING)
    return rows.aggregate(n=Sum("first"))["n"] or 0


@dataclass(frozen=True, slots=True)
class Slice:
    """What was sent and refused from a moment on, for as long as a slice lasts."""

    at: datetime
    sent: int
    failed: int


def minutes(run: AnalysisRun) -> Sequence[Slice]:
    """Return the minutes in which messages were sent or refused, oldest first. One query."""
    rows = SendingMinute.objects.filter(run=run).order_by("at")
    return [Slice(row.at, row.sent, row.failed) for row in rows]


def over_time(found: Sequence[Slice]) -> tuple[timedelta, Sequence[Slice]]:
    """Return minutes as a few slices of one width, those in which nothing was sent too: (width, slices)."""
    if not found:
        return MINUTE, []
    first, last = found[0].at, found[-1].at
    width = next((one for one in WIDTHS if (last - first) / one < MOST_SLICES), WIDTHS[-1])
    sums: Counter[tuple[int, str]] = Counter()
    for minute in found:
        number = (minute.at - first) // width
        sums[number, "sent"] += minute.sent
        sums[number, "failed"] += minute.failed
    numbers = range((last - first) // width + 1)
    return width, [Slice(first + n * width, sums[n, "sent"], sums[n, "failed"]) for n in numbers]


def per_second(found: Sequence[Slice], *, started_at: datetime, done: int, at: datetime) -> float:
    """Return how many messages a second are sent at present, 0 when that cannot be told.

    At first from the whole; then from the last minutes that all workers have added up, so that a pause does not count.
    """
    if at - started_at < 3 * MINUTE:
        return done / max((at - started_at).total_seconds(), 1)
    upto = at.replace(second=0, microsecond=0) - MINUTE
    lately = [one for one in found if upto - LATELY * MINUTE <= one.at < upto]
    return sum(one.sent + one.failed for one in lately) / (LATELY * 60)
