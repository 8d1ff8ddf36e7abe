"""The states of a delivery and the moves between them.

A move is one conditional update: it happens if the delivery is still in a state from which it is allowed, and only
the row count says whether it did. Screens show only the moves that `allowed` returns.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from . import sql
from .errors import MoveRefused
from .models import Delivery, Lease, State

S = State
MOVES: dict[State, frozenset[State]] = {
    S.DRAFT: frozenset({S.ANALYSING}),
    S.ANALYSING: frozenset({S.ANALYSED, S.SCHEDULED, S.DRAFT, S.FAILED}),
    S.ANALYSED: frozenset({S.ANALYSING, S.DRAFT, S.SCHEDULED, S.SENDING}),
    S.SCHEDULED: frozenset({S.ANALYSING, S.ANALYSED, S.DRAFT, S.SENDING}),
    S.SENDING: frozenset({S.PAUSED, S.STOPPING, S.FINISHED}),
    S.PAUSED: frozenset({S.SENDING, S.STOPPING}),
    S.STOPPING: frozenset({S.STOPPED}),
    S.STOPPED: frozenset(),
    S.FINISHED: frozenset({S.SENDING}),
    S.FAILED: frozenset({S.ANALYSING, S.DRAFT}),
}
# A message of unknown outcome is sent again (`sending.doubt`). No button offers it, and nothing else does it.
REOPENED = (S.FINISHED, S.SENDING)
# What goes away with a schedule, whoever takes it away.
UNSCHEDULED: dict[str, Any] = {"scheduled_at": None, "approved": None}


def allowed(delivery: Delivery) -> frozenset[State]:
    """Return the states to which people may move the delivery now."""
    state = State(delivery.state)
    return frozenset(to for to in MOVES[state] if (state, to) != REOPENED)


def move(
    delivery: Delivery, to: State, *, only_from: State | None = None, provided: Q | None = None, **fields: Any
) -> None:
    """Move a delivery and set `fields` with it; raise MoveRefused when it is not where it must be."""
    origins = [only_from] if only_from else [state for state, targets in MOVES.items() if to in targets]
    if not try_move(delivery, to, origins=origins, provided=provided, **fields):
        delivery.refresh_from_db()
        raise MoveRefused(delivery.label, str(State(delivery.state).label), str(to.label))


def try_move(delivery: Delivery, to: State, *, origins: list[State], provided: Q | None = None, **fields: Any) -> bool:
    """Move a delivery that is in one of the origins, and of which `provided` holds; return whether it moved."""
    permitted = [state for state in origins if to in MOVES[state]]
    where = Q(pk=delivery.pk, state__in=permitted) & (provided or Q())
    with transaction.atomic():
        sql.lock_for_move(delivery.pk)
        changed = Delivery.objects.filter(where).update(state=to, **fields)
    if changed:
        delivery.state = to
        for name, value in fields.items():
            setattr(delivery, name, value)
    return bool(changed)


def void_analysis(delivery: Delivery) -> bool:
    """Forget the analysis of a delivery whose message or target has changed; return whether there was one.

    The run itself stays until old runs are purged: pointing away from it is instant.
    """
    Delivery.objects.filter(pk=delivery.pk).update(version=F("version") + 1)
    delivery.refresh_from_db(fields=["version"])
    return try_move(
        delivery, S.DRAFT, origins=[S.ANALYSED, S.SCHEDULED, S.FAILED], current_run=None, error="", **UNSCHEDULED
    )


def analysed(delivery: Delivery, **fields: Any) -> bool:
    """End an analysis: back to the schedule that asked for it, if one did; return whether it was under way."""
    agreed = Q(approved__isnull=False, scheduled_at__isnull=False)
    return try_move(delivery, S.SCHEDULED, origins=[S.ANALYSING], provided=agreed, **fields) or try_move(
        delivery, S.ANALYSED, origins=[S.ANALYSING], **fields
    )


def finish_if_done(delivery: Delivery, at: datetime) -> bool:
    """Finish a delivery (or end its stopping) once no row of its run is open; return whether it ended."""
    open_ones = Lease.objects.filter(Lease.open_q(), run=delivery.current_run_id)
    if open_ones.exists():
        return False
    with transaction.atomic():
        # Again, under the lock: rows whose outcome was unknown may just have been opened by `sending.doubt`.
        sql.lock_for_move(delivery.pk)
        if open_ones.exists():
            return False
        return try_move(delivery, S.FINISHED, origins=[S.SENDING], finished_at=at) or try_move(
            delivery, S.STOPPED, origins=[S.STOPPING], finished_at=at
        )
