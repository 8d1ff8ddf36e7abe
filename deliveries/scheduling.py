"""Scheduling: a delivery that starts by itself at a moment, if it is then still what a human agreed to.

What was agreed to stands on the delivery: `scheduled_at`, and `approved`, the number of messages to send. The state,
these two and the current run say all there is to know; nothing is remembered elsewhere, so a task that is lost,
repeated, late or beside another one finds what is left to do, and only that:

    state      scheduled_at, approved   run               what happens, and to which state
    ---------  -----------------------  ----------------  -------------------------------------------------------
    analysed   —                        of now            `schedule` → scheduled
    scheduled  later                    any               nothing; `unschedule` → analysed; an edit → draft
    scheduled  over an hour ago         any               `start_due` → analysed: it waits for a human, who is told
    scheduled  now                      before the date   `start_due` → analysing, both kept; the edge rings
    analysing  kept                     none              the end of the analysis → scheduled; stopping it → draft
    scheduled  now                      since the date,   `start_due` → analysing once more: the audience, the sending
                                        but outdated      rules or the messages of others have changed meanwhile
    scheduled  now                      since the date    `start_due` → sending; the edge rings
    scheduled  now                      since the date,   `start_due` → analysed, or draft if it was changed: it waits
                                        but not as agreed for a human, who is told

Not as agreed: the messages to send are over 5 % more than approved, or the checks of the message find an error by
now. Each move is one conditional update that also says of which date, number and run it is: whoever has scheduled it
anew meanwhile wins. An analysis asked for by a person takes the schedule away, so nothing starts that they did not see.
A worker that dies after a move but before its ring is made good by `tasks.ring_again`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q

from . import analysis, lifecycle, plan, reports, sending
from .criteria import CriteriaRefused
from .errors import ChannelNotSent, MoveRefused, NotLater, NotReady
from .held import Held, held
from .models import AnalysisRun, Delivery, State

LATEST = timedelta(hours=1)  # a schedule older than this waits for a human
MOST_GROWTH = 5  # percent
BATCH = 100


@dataclass(slots=True)
class Due:
    """What a beat has set going, for the edge to ring."""

    to_analyse: list[int] = field(default_factory=list)
    to_send: list[int] = field(default_factory=list)


def schedule(delivery: Delivery, *, at: datetime, now: datetime) -> None:
    """Have a delivery start by itself at a moment, with the messages that its analysis found to send.

    Raises NotLater, and what `sending.ensure_ready` does.
    """
    if at <= now:
        raise NotLater
    sending.ensure_ready(delivery, at=now)
    run = delivery.current_run
    assert run is not None  # noqa: S101 (ensure_ready has seen to it)
    lifecycle.move(
        delivery, State.SCHEDULED, only_from=State.ANALYSED, provided=Q(current_run=run),
        scheduled_at=at, approved=reports.waterfall(run).to_send, error="",
    )  # fmt: skip


def unschedule(delivery: Delivery) -> None:
    """Take the date away; the analysis stays. Raise MoveRefused when it is not scheduled any more."""
    lifecycle.move(delivery, State.ANALYSED, only_from=State.SCHEDULED, **lifecycle.UNSCHEDULED)


def start_due(at: datetime) -> Due:
    """Take each scheduled delivery whose moment has come one step further; return what to ring."""
    due = Due()
    for delivery in _due(at):
        step(delivery, due, at=at)
    return due


def step(delivery: Delivery, due: Due, *, at: datetime) -> None:
    """Take one delivery that is due further, as it was read; nothing happens if it has been moved since."""
    assert delivery.scheduled_at is not None  # noqa: S101 (a constraint of the database)
    if at - delivery.scheduled_at > LATEST:
        _wait(delivery, held(Held.LATE, at=delivery.scheduled_at))
        return
    try:
        _analyse_or_send(delivery, due, at=at)
    except CriteriaRefused:
        _wait(delivery, held(Held.CRITERIA, at=delivery.scheduled_at))
    except MoveRefused:  # somebody else was faster
        return


def _analyse_or_send(delivery: Delivery, due: Due, *, at: datetime) -> None:
    run, moment = delivery.current_run, delivery.scheduled_at
    if run is None or moment is None or run.at < moment or _is_outdated(run, delivery, at):
        analysis.start(delivery, at=at, scheduled=_as_read(delivery))
        due.to_analyse.append(delivery.pk)
    elif problem := _not_as_agreed(delivery, run, at=at):
        _wait(delivery, problem)
    elif lifecycle.try_move(
        delivery, State.SENDING, origins=[State.SCHEDULED], provided=_as_read(delivery),
        started_at=at, approved=None, error="",
    ):  # fmt: skip
        due.to_send.append(delivery.pk)


def _is_outdated(run: AnalysisRun, delivery: Delivery, at: datetime) -> bool:
    """Say whether others have changed what the delivery goes by; what its own form has changed waits for a human."""
    return run.delivery_version == delivery.version and plan.outdated(run, delivery, at=at)


def grew_too_much(approved: int, to_send: int) -> bool:
    """Say whether more is to be sent than the one who scheduled it can be taken to agree to."""
    return to_send * 100 > approved * (100 + MOST_GROWTH)


def _due(at: datetime) -> Sequence[Delivery]:
    scheduled = Delivery.objects.live().filter(state=State.SCHEDULED, scheduled_at__lte=at)
    return list(scheduled.select_related("brand", "service", "current_run").order_by("scheduled_at")[:BATCH])


def _as_read(delivery: Delivery) -> Q:
    """Say that date, number and run of a delivery are still those that were read."""
    return Q(
        scheduled_at=delivery.scheduled_at, approved=delivery.approved, current_run=delivery.current_run_id,
        archived_at=None,
    )  # fmt: skip


def _not_as_agreed(delivery: Delivery, run: AnalysisRun, *, at: datetime) -> str:
    """Return why a delivery may not start by itself after it has been analysed again, or nothing."""
    assert delivery.scheduled_at is not None  # noqa: S101 (a constraint of the database)
    to_send = reports.waterfall(run).to_send
    if delivery.approved is None or grew_too_much(delivery.approved, to_send):
        return held(Held.GREW, before=delivery.approved or 0, after=to_send)
    try:
        sending.ensure_ready(delivery, at=at)
    except NotReady:
        return held(Held.CHECKS, at=delivery.scheduled_at)
    except ChannelNotSent:
        return held(Held.CHANNEL)
    except MoveRefused:
        return held(Held.CHANGED, at=delivery.scheduled_at)
    return ""


def _wait(delivery: Delivery, problem: str) -> None:
    """Take the schedule away and say why; what was changed since its analysis is a draft again."""
    run, read = delivery.current_run, _as_read(delivery)
    if run is not None and run.delivery_version == delivery.version:
        lifecycle.try_move(
            delivery, State.ANALYSED, origins=[State.SCHEDULED], provided=read, error=problem, **lifecycle.UNSCHEDULED
        )
    else:
        lifecycle.try_move(
            delivery, State.DRAFT, origins=[State.SCHEDULED], provided=read, current_run=None, error=problem,
            **lifecycle.UNSCHEDULED,
        )  # fmt: skip
