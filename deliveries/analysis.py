"""The analysis: one log row per targeted address, to send or left out with the reason; nothing is sent.

A run goes through the target in four passes, each by ranges; each range is one short transaction together with its
checkpoint:

    start → press × k → prepare × m → write_range × n → hold_out, cut_off × p → finish

- `press` (ranges of profiles): who is under contact pressure, where a sending rule asks.
- `prepare` (ranges of digests): whose address is quarantined, whose address an earlier surviving person has. People
  who share an address have its digest in common.
- `write_range` (ranges of profiles): the log rows, their counts and leases.
- `hold_out`, `cut_off` (ranges of profiles): a control group of a certain number of people, and whoever is beyond the
  size limit, where there are such: they are drawn among all who are left, so these come last.

A run is worked on by one owner at a time, whose lease the checkpoint renews. A task that is lost, repeated or late
loses and repeats nothing: the next owner goes on from the checkpoint, and an owner that has lost its lease moves no
row. Stopping moves the run out of `running`, so the next range finds that it may not write. A run goes by its plan,
which is that of its beginning.
"""

import secrets
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min, Q, Sum
from django.utils import timezone

from . import draw, lifecycle, plan, pressure, sql
from .errors import AnalysisUnderWay
from .exclusions import IdRange, reasons_of
from .models import AnalysisRun, Delivery, Lease, Reason, State
from .plan import Plan
from .targeting import DIGESTS, DigestRange, Targeting

R = AnalysisRun.State
SHARED_BATCH = 1_000  # shared addresses looked at by one statement
NOTHING_CUT = -1  # fewer people are left than may be held out or sent to


def start(
    delivery: Delivery, *, by: Any = None, at: datetime, dry: bool = False, scheduled: Q | None = None
) -> AnalysisRun:
    """Begin an analysis; the edge then rings the task. Raise MoveRefused when the delivery is busy or sent.

    A dry one counts, and leaves the delivery as it is; it gives way to another one. Any other takes a schedule away,
    but for the one that the schedule asks for: `scheduled` then says which. Raises CriteriaRefused when the audience
    names what is gone.
    """
    going_by = plan.make(delivery, at=at)
    origin, kept = (State.SCHEDULED, {}) if scheduled else (None, lifecycle.UNSCHEDULED)
    with transaction.atomic():
        if dry:
            _refuse_second(delivery)
        else:
            lifecycle.move(
                delivery, State.ANALYSING, only_from=origin, provided=scheduled, current_run=None, error="", **kept
            )
            counting = AnalysisRun.objects.filter(delivery=delivery, state=R.RUNNING, dry=True)
            counting.update(state=R.STOPPED, finished_at=at)
        last = AnalysisRun.objects.filter(delivery=delivery).aggregate(last=Max("number"))["last"] or 0
        bounds = Targeting(delivery, going_by, at).people().aggregate(first=Min("pk"), last=Max("pk"))
        first = (bounds["first"] or 1) - 1
        return AnalysisRun.objects.create(
            delivery=delivery, number=last + 1, delivery_version=delivery.version, at=at, by=by, dry=dry,
            plan=going_by.stored(), first_profile=first, upto=first, pressed_upto=first, control_upto=first,
            limit_upto=first, last_profile=bounds["last"] or 0,
        )  # fmt: skip


def stop(delivery: Delivery, *, at: datetime) -> bool:
    """Stop an analysis and leave the delivery as it was before; return whether one was running."""
    with transaction.atomic():
        stopped = AnalysisRun.objects.filter(delivery=delivery, state=R.RUNNING).update(state=R.STOPPED, finished_at=at)
        lifecycle.try_move(delivery, State.DRAFT, origins=[State.ANALYSING], **lifecycle.UNSCHEDULED)
        return bool(stopped)


def work(delivery_id: int, *, budget: timedelta | None = None) -> bool:
    """Do or go on with the running analysis of a delivery; return whether something is left to do."""
    run = AnalysisRun.objects.filter(delivery=delivery_id, state=R.RUNNING).first()
    if run is None or not _take(run, at=timezone.now()):
        return False
    until = timezone.now() + (settings.TASK_BUDGET if budget is None else budget)
    while step := _next_step(run):
        if not step(run):
            return False
        if timezone.now() > until:
            AnalysisRun.objects.filter(pk=run.pk, owner=run.owner).update(owner="", expires_at=None)
            return True
    finish(run, at=timezone.now())
    return False


def press(run: AnalysisRun) -> bool:
    """Find who is under contact pressure in the next range; return False when the run is no longer ours."""
    after, upto = _next_range(run, run.pressed_upto)
    with transaction.atomic():
        if not _checkpoint(run, pressed_upto=upto):
            return False
        targeting = _targeting(run)
        pressure.insert_exceptions(run, targeting.plan, targeting.people(IdRange(after, upto)), after, upto)
    return True


def prepare(run: AnalysisRun) -> bool:
    """Find the exceptions of a run in the next range of digests; return False when the run is no longer ours.

    For a few people, all at once, and from their own addresses instead of from everybody's.
    """
    targeting = _targeting(run)
    ranges = min(max(1, (run.last_profile - run.first_profile) // settings.ANALYSIS_RANGE), DIGESTS)
    among: DigestRange | None
    among = DigestRange(run.digests_upto, min(run.digests_upto + ceil(DIGESTS / ranges), DIGESTS))
    if run.digests_upto == 0 and targeting.size_upto(settings.SMALL_TARGET + 1) <= settings.SMALL_TARGET:
        among = None
    upto = DIGESTS if among is None else among.upto
    with transaction.atomic():
        if not _checkpoint(run, digests_upto=upto):
            return False
        sql.insert_quarantined(run.pk, targeting.quarantined(among))
        shared = targeting.shared_digests(among)
        for first in range(0, len(shared), SHARED_BATCH):
            sql.insert_duplicates(run.pk, targeting.sharing(shared[first : first + SHARED_BATCH]))
    if upto == DIGESTS:
        sql.analyse_exceptions()
    return True


def write_range(run: AnalysisRun) -> bool:
    """Write the next range of a run with its counts and leases; return False when the run is no longer ours."""
    after, upto = _next_range(run, run.upto)
    with transaction.atomic():
        if not _checkpoint(run, upto=upto):
            return False
        targeting = _targeting(run)
        parts, salt = targeting.plan.control_parts, targeting.plan.salt
        held_out = (draw.control(salt), draw.threshold(parts)) if parts else None
        sql.join_by_merging()
        if sql.insert_log(run.pk, run.delivery_id, targeting.rows(after, upto), held_out=held_out):
            _add_counts(run, targeting.plan, sql.count_reasons(run.pk, after, upto))
            sql.insert_leases(run.pk, after, upto, settings.LEASE_SIZE)
    return True


def hold_out(run: AnalysisRun) -> bool:
    """Draw the control group of a certain size, then take its people out, range by range."""
    going_by = Plan.of(run)
    if run.control_cut is None:
        found = sql.cut_at(
            run.pk, draw.control(going_by.salt), going_by.control_count or 0, of_people=going_by.every
        )  # fmt: skip
        # Fewer people are left than the group is to have: it takes all of them.
        return _checkpoint(run, control_cut=draw.EVERYBODY if found is None else found)
    after, upto = _next_range(run, run.control_upto)
    with transaction.atomic():
        if not _checkpoint(run, control_upto=upto):
            return False
        _leave_out(run, Reason.CONTROL_GROUP, draw.control(going_by.salt), run.control_cut, after, upto, above=False)
    return True


def cut_off(run: AnalysisRun) -> bool:
    """Draw who gets one of so many messages, then take the others out, range by range."""
    going_by = Plan.of(run)
    if run.limit_cut is None:
        found = sql.cut_at(run.pk, draw.limit(going_by.salt), going_by.limit or 0, of_people=False)
        if found is None:
            return _checkpoint(run, limit_cut=NOTHING_CUT, limit_upto=run.last_profile)
        return _checkpoint(run, limit_cut=found)
    after, upto = _next_range(run, run.limit_upto)
    with transaction.atomic():
        if not _checkpoint(run, limit_upto=upto):
            return False
        _leave_out(run, Reason.SIZE_LIMIT, draw.limit(going_by.salt), run.limit_cut, after, upto, above=True)
    return True


def finish(run: AnalysisRun, *, at: datetime) -> bool:
    """End a run and make it the one that counts; return False when it was stopped meanwhile."""
    with transaction.atomic():
        targeted = Lease.objects.filter(run=run).aggregate(n=Sum("size"))["n"] or 0
        ended = AnalysisRun.objects.filter(pk=run.pk, state=R.RUNNING, owner=run.owner)
        if not ended.update(state=R.DONE, targeted=targeted, finished_at=at, owner="", expires_at=None):
            return False
        return run.dry or lifecycle.analysed(run.delivery, current_run=run)


def fail(delivery_id: int, problem: str, *, at: datetime) -> None:
    """End the running analysis of a delivery that cannot go on, and say why."""
    with transaction.atomic():
        AnalysisRun.objects.filter(delivery=delivery_id, state=R.RUNNING).update(
            state=R.FAILED, finished_at=at, error=problem[:500]
        )
        delivery = Delivery.objects.get(pk=delivery_id)
        lifecycle.try_move(
            delivery, State.FAILED, origins=[State.ANALYSING], error=problem[:500], **lifecycle.UNSCHEDULED
        )


def to_ring_again(at: datetime) -> list[int]:
    """Return the deliveries whose running analysis nobody works on: its ring, or its worker, was lost."""
    idle = Q(expires_at=None) | Q(expires_at__lte=at)
    return list(AnalysisRun.objects.filter(idle, state=R.RUNNING).values_list("delivery_id", flat=True))


def _next_step(run: AnalysisRun) -> Callable[[AnalysisRun], bool] | None:
    """Return what a run has to do next, or None when it is through; what its checkpoint says, and nothing else."""
    last, going_by = run.last_profile, Plan.of(run)
    if going_by.fatigue and run.pressed_upto < last:
        return press
    if run.digests_upto < DIGESTS:
        return prepare
    if run.upto < last:
        return write_range
    if going_by.control_count and run.control_upto < last:
        return hold_out
    return cut_off if going_by.limit is not None and run.limit_upto < last else None


def _next_range(run: AnalysisRun, after: int) -> tuple[int, int]:
    return after, min(after + settings.ANALYSIS_RANGE, run.last_profile)


def _targeting(run: AnalysisRun) -> Targeting:
    return Targeting(run.delivery, Plan.of(run), run.at, run)


def _leave_out(
    run: AnalysisRun, reason: Reason, by: draw.Draw, cut: int, after: int, upto: int, *, above: bool
) -> None:
    if number := sql.leave_out(run.pk, reason, by, cut, above=above, after=after, upto=upto):
        sql.add_counts(run.pk, {reason: (number, number)})


def _refuse_second(delivery: Delivery) -> None:
    """Refuse a dry run beside another analysis; the delivery is locked, so that two cannot both find none."""
    Delivery.objects.select_for_update().get(pk=delivery.pk)
    if AnalysisRun.objects.filter(delivery=delivery, state=R.RUNNING).exists():
        raise AnalysisUnderWay(delivery.label)


def _take(run: AnalysisRun, *, at: datetime) -> bool:
    """Become the owner of a run that nobody works on."""
    owner = secrets.token_hex(8)
    free = Q(expires_at=None) | Q(expires_at__lte=at)
    if not AnalysisRun.objects.filter(free, pk=run.pk, state=R.RUNNING).update(
        owner=owner, expires_at=at + settings.LEASE_TIME
    ):
        return False
    run.refresh_from_db()
    return run.owner == owner


def _checkpoint(run: AnalysisRun, **fields: Any) -> bool:
    """Move the run forward and renew our lease, if it is still ours; the first statement of each transaction."""
    before = {name: getattr(run, name) for name in fields}
    mine = AnalysisRun.objects.filter(pk=run.pk, state=R.RUNNING, owner=run.owner, **before)
    if not mine.update(expires_at=timezone.now() + settings.LEASE_TIME, **fields):
        return False
    for name, value in fields.items():
        setattr(run, name, value)
    return True


def _add_counts(run: AnalysisRun, going_by: Plan, counts: list[sql.ReasonCount]) -> None:
    """Add the rows of a range to the counters: per reason (first, in all), and per sending rule."""
    first: Counter[int] = Counter()
    in_all: Counter[int] = Counter()
    by_rule: Counter[tuple[int, int]] = Counter()
    for count in counts:
        if count.reason:
            first[count.reason] += count.rows
        for reason in reasons_of(count.reasons):
            in_all[reason] += count.rows
        if count.rule:
            by_rule[count.rule, count.reason] += count.rows
    sql.add_counts(run.pk, {reason: (first[reason], rows) for reason, rows in in_all.items()})
    sql.add_rule_counts(run.pk, by_rule, going_by.labels)
