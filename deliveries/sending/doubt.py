"""Messages whose outcome is unknown: what somebody who has looked into it says became of them.

    resolve(run, [7, 9], Resolution.ARRIVED, by=user, at=now)       these are sent
    resolve(run, None, Resolution.SEND_AGAIN, by=user, at=now)      all are claimed and checked anew, and sent again

A message that is sent again keeps its Message-ID, so that most mail programs show it once should both arrive. Only
rows that are still in doubt move: what somebody else has decided, or an answer that came late, stays as it is.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import Q

from profiles import audit

from .. import lifecycle, sql
from ..errors import MoveRefused
from ..models import AnalysisRun, Delivery, DeliveryLog, Lease, LogStatus, State
from .leases import recount

S = LogStatus
AT_ONCE = 50  # ranges that one transaction holds
OPEN_TO_MORE = (State.SENDING, State.PAUSED, State.FINISHED)


class Resolution(StrEnum):
    """What became of a message whose outcome was unknown."""

    ARRIVED = "arrived"
    SEND_AGAIN = "again"

    @property
    def status(self) -> LogStatus:
        return S.SENT if self == Resolution.ARRIVED else S.RETRY


def may_send_again(delivery: Delivery) -> bool:
    """Say whether messages of a delivery can still be sent: not of one that was stopped for good."""
    return State(delivery.state) in OPEN_TO_MORE


def resolve(run: AnalysisRun, rows: Collection[int] | None, to: Resolution, *, by: Any, at: datetime) -> int:
    """Decide about rows of a run (None: about all) that are in doubt; return how many have moved.

    A finished delivery goes back to being sent when there is something to send again: ring its task. Each transaction
    covers AT_ONCE ranges and is audited with its number. Raises MoveRefused when nothing may be sent any more.
    """
    return sum(_settle(run, leases, rows, to, by=by, at=at) for leases in _portions(run, rows))


def _portions(run: AnalysisRun, rows: Collection[int] | None) -> Iterator[Sequence[int]]:
    """Yield the leases that hold such rows, as keys in their order, so many at a time."""
    held = Lease.objects.filter(run=run, in_doubt__gt=0).order_by("after_profile")
    if rows is not None:
        yield from _portions_of(run, held, sorted(rows))
        return
    seen = -1
    while leases := list(held.filter(after_profile__gt=seen).values_list("pk", "after_profile")[:AT_ONCE]):
        yield [pk for pk, _after in leases]
        seen = leases[-1][1]


def _portions_of(run: AnalysisRun, held: Any, rows: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(rows), AT_ONCE):
        chosen = DeliveryLog.objects.filter(pk__in=rows[first : first + AT_ONCE], run=run, status=S.IN_DOUBT)
        within = Q()
        for profile in set(chosen.values_list("profile", flat=True)):
            within |= Q(after_profile__lt=profile, upto_profile__gte=profile)
        if within:
            yield list(held.filter(within).values_list("pk", flat=True))


def _settle(
    run: AnalysisRun, leases: Sequence[int], rows: Collection[int] | None, to: Resolution, *, by: Any, at: datetime
) -> int:
    """Move what is in doubt of some leases, with their counters, in one transaction."""
    delivery = Delivery.objects.get(pk=run.delivery_id)
    moved = 0
    with transaction.atomic():
        # In the order of everybody's locks: leases, then the delivery.
        for lease in Lease.objects.select_for_update().filter(pk__in=leases).order_by("after_profile"):
            found = DeliveryLog.objects.filter(
                run=run, profile__gt=lease.after_profile, profile__lte=lease.upto_profile, status=S.IN_DOUBT
            )
            if rows is not None:
                found = found.filter(pk__in=_of(rows, found))
            if number := found.update(status=to.status, not_before=None):
                recount(lease.pk, S.IN_DOUBT, to.status, by=number)
                moved += number
                if to == Resolution.SEND_AGAIN:
                    Lease.objects.filter(pk=lease.pk).update(not_before=None)
        if moved:
            before = _reopen(delivery) if to == Resolution.SEND_AGAIN else State(delivery.state)
            audit.record(
                audit.Action.CHANGED, by, delivery, at=at, rows=moved, before={"state": before},
                after={"state": delivery.state, "in_doubt": to.value},
            )  # fmt: skip
    return moved


def _of(rows: Collection[int], found: Any) -> list[int]:
    """Return which of the rows are among those found: there may be more rows than one statement can name."""
    return sorted(set(rows) & set(found.values_list("pk", flat=True)))


def _reopen(delivery: Delivery) -> State:
    """Have the delivery sent, if it had finished; return where it stood. Raises MoveRefused after its last word."""
    sql.lock_for_move(delivery.pk)  # it can not finish now, before it sees what has moved
    delivery.refresh_from_db()
    before = State(delivery.state)
    if not may_send_again(delivery):
        raise MoveRefused(delivery.label, str(before.label), str(State.SENDING.label))
    if before == State.FINISHED:
        lifecycle.move(delivery, State.SENDING, only_from=State.FINISHED, finished_at=None)
    return before
