"""The analysis: one log row per targeted address, to send or left out with the reason; nothing is sent.

A run goes through the target twice. First the exceptions: whose address is quarantined, whose address an earlier
surviving person has; by ranges of digests, for people who share an address have its digest in common. Then ranges of
profile ids, with their counts and leases. Each range is one short transaction together with its checkpoint:

    start → prepare (exceptions) × m → write_range × n → finish

A run is worked on by one owner at a time, whose lease the checkpoint renews. A task that is lost, repeated or late
loses and repeats nothing: the next owner goes on from the checkpoint, and an owner that has lost its lease moves no
row. Stopping moves the run out of `running`, so the next range finds that it may not write.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import (
    BooleanField,
    Count,
    ExpressionWrapper,
    F,
    FilteredRelation,
    Max,
    Min,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from profiles.channels import Channel
from profiles.models import Address, Profile, ProfileQuerySet, Subscription
from quarantine.models import QuarantinedAddress

from . import lifecycle, sql
from .exclusions import IdRange, reasons_expression, reasons_of, with_address
from .models import AnalysisRun, Delivery, ExceptionKind, Lease, MessageClass, State, Target

R = AnalysisRun.State
PURGE_BATCH = 5_000


DIGESTS = 1 << 16  # there are so many beginnings, of two bytes, of a digest
SHARED_BATCH = 1_000  # shared addresses looked at by one statement


@dataclass(frozen=True, slots=True)
class DigestRange:
    """The digests whose first two bytes, as a number, are from `first` and below `upto`.

    Digests are spread evenly, so ranges of one width hold about as many each.
    """

    first: int
    upto: int

    def q(self, column: str) -> Q:
        """Say it of a column that holds digests."""
        whole = Q(**{f"{column}__gte": self.first.to_bytes(2, "big")})
        return whole if self.upto == DIGESTS else whole & Q(**{f"{column}__lt": self.upto.to_bytes(2, "big")})


def start(delivery: Delivery, *, by: Any = None, at: datetime, scheduled: Q | None = None) -> AnalysisRun:
    """Begin an analysis; the edge then rings the task. Raise MoveRefused when the delivery is busy or sent.

    It takes a schedule away, but for one that asks for it itself: `scheduled` then says which.
    """
    origin, kept = (State.SCHEDULED, {}) if scheduled else (None, lifecycle.UNSCHEDULED)
    with transaction.atomic():
        lifecycle.move(
            delivery, State.ANALYSING, only_from=origin, provided=scheduled, current_run=None, error="", **kept
        )
        last = AnalysisRun.objects.filter(delivery=delivery).aggregate(last=Max("number"))["last"] or 0
        bounds = _target(delivery, at).aggregate(first=Min("pk"), last=Max("pk"))
        first = (bounds["first"] or 1) - 1
        return AnalysisRun.objects.create(
            delivery=delivery, number=last + 1, delivery_version=delivery.version, at=at, by=by,
            first_profile=first, upto=first, last_profile=bounds["last"] or 0,
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


def prepare(run: AnalysisRun) -> bool:
    """Find the exceptions of a run in the next range of digests; return False when the run is no longer ours."""
    channel = Channel(run.delivery.channel)
    ranges = min(max(1, (run.last_profile - run.first_profile) // settings.ANALYSIS_RANGE), DIGESTS)
    among = DigestRange(run.digests_upto, min(run.digests_upto + ceil(DIGESTS / ranges), DIGESTS))
    with transaction.atomic():
        if not _checkpoint(run, digests_upto=among.upto):
            return False
        sql.insert_quarantined(run.pk, _quarantined_people(run, channel, among))
        shared = _shared_digests(channel, among)
        for first in range(0, len(shared), SHARED_BATCH):
            sql.insert_duplicates(run.pk, _sharing_people(run, shared[first : first + SHARED_BATCH]))
    if among.upto == DIGESTS:
        sql.analyse_exceptions()
    return True


def write_range(run: AnalysisRun) -> bool:
    """Write the next range of a run with its counts and leases; return False when the run is no longer ours."""
    after, upto = run.upto, min(run.upto + settings.ANALYSIS_RANGE, run.last_profile)
    with transaction.atomic():
        if not _checkpoint(run, upto=upto):
            return False
        if sql.insert_log(run.pk, run.delivery_id, _range(run, after, upto)):
            sql.add_counts(run.pk, _by_reason(sql.count_reasons(run.pk, after, upto)))
            sql.insert_leases(run.pk, after, upto, settings.LEASE_SIZE)
    return True


def finish(run: AnalysisRun, *, at: datetime) -> bool:
    """End a run and make it the one that counts; return False when it was stopped meanwhile."""
    with transaction.atomic():
        targeted = Lease.objects.filter(run=run).aggregate(n=Sum("size"))["n"] or 0
        ended = AnalysisRun.objects.filter(pk=run.pk, state=R.RUNNING, owner=run.owner)
        if not ended.update(state=R.DONE, targeted=targeted, finished_at=at, owner="", expires_at=None):
            return False
        return lifecycle.analysed(run.delivery, current_run=run)


def fail(delivery_id: int, problem: str, *, at: datetime) -> None:
    """End the running analysis of a delivery that cannot go on, and say why."""
    with transaction.atomic():
        AnalysisRun.objects.filter(delivery=delivery_id, state=R.RUNNING).update(
            state=R.FAILED, finished_at=at, error=problem[:500]
        )
        delivery = Delivery.objects.get(pk=delivery_id)
        lifecycle.try_move(delivery, State.FAILED, origins=[State.ANALYSING], error=problem[:500])


def to_ring_again(at: datetime) -> list[int]:
    """Return the deliveries whose running analysis nobody works on: its ring, or its worker, was lost."""
    idle = Q(expires_at=None) | Q(expires_at__lte=at)
    return list(AnalysisRun.objects.filter(idle, state=R.RUNNING).values_list("delivery_id", flat=True))


def purge(*, batches: int = 20) -> int:
    """Delete log rows of runs that no longer count, some thousand at a time; return how many."""
    deleted = 0
    old = AnalysisRun.objects.exclude(state=R.RUNNING).exclude(pk__in=_current_runs())
    for run in old.filter(leases__isnull=False).distinct().order_by("pk")[:batches]:
        for _batch in range(batches):
            some = sql.delete_some("log", run.pk, PURGE_BATCH) + sql.delete_some("exceptions", run.pk, PURGE_BATCH)
            deleted += some
            if not some:
                run.leases.all().delete()
                break
    return deleted


def _next_step(run: AnalysisRun) -> Callable[[AnalysisRun], bool] | None:
    if run.digests_upto < DIGESTS:
        return prepare
    return write_range if run.upto < run.last_profile else None


def _current_runs() -> Any:
    return Delivery.objects.filter(current_run__isnull=False).values("current_run")


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
    mine = AnalysisRun.objects.filter(
        pk=run.pk, state=R.RUNNING, owner=run.owner, upto=run.upto, digests_upto=run.digests_upto
    )
    if not mine.update(expires_at=timezone.now() + settings.LEASE_TIME, **fields):
        return False
    for name, value in fields.items():
        setattr(run, name, value)
    return True


def _target(delivery: Delivery, at: datetime, within: IdRange | None = None) -> ProfileQuerySet:
    """Return the people a delivery is for, before anybody is left out; of a range, or all of them."""
    people = Profile.objects.all() if within is None else Profile.objects.filter(within.q("pk"))
    if delivery.target == Target.SERVICE:
        runs = Subscription.objects.active_q(at, "subscriptions__") & Q(subscriptions__service=delivery.service_id)
        return people.filter(runs if within is None else runs & within.q("subscriptions__profile"))
    return people


def _quarantined_people(run: AnalysisRun, channel: Channel, among: DigestRange) -> Any:
    """Yield (profile_id, position, cause) of the people whose primary address of the channel is quarantined."""
    blocking = QuarantinedAddress.objects.blocking(run.at).filter(among.q("digest"), channel=channel)
    return (
        Address.objects.primary(channel)
        .filter(among.q("digest"), digest__in=blocking.values("digest"))
        .annotate(cause=_cause_of(run, channel))
        .values("profile_id", "position", "cause")
    )


def _cause_of(run: AnalysisRun, channel: Channel) -> Any:
    entries = QuarantinedAddress.objects.blocking(run.at).filter(channel=channel, digest=OuterRef("digest"))
    return Subquery(entries.order_by("cause").values("cause")[:1])


def _exceptions(run: AnalysisRun, within: IdRange | None, kind: ExceptionKind) -> FilteredRelation:
    """Join the exceptions of a run, of one kind."""
    which = Q(delivery_exceptions__run=run.pk, delivery_exceptions__kind=kind)
    if within is not None:
        which &= within.q("delivery_exceptions__profile")
    return FilteredRelation("delivery_exceptions", condition=which)


def _judged(run: AnalysisRun, within: IdRange | None = None) -> Any:
    """Annotate the target with what the exclusions say, the quarantine read from the run's exceptions."""
    channel, message_class = Channel(run.delivery.channel), MessageClass(run.delivery.message_class)
    return (
        with_address(_target(run.delivery, run.at, within), channel, within=within)
        .annotate(left_out=_exceptions(run, within, ExceptionKind.QUARANTINED))
        .annotate(quarantine_cause=F("left_out__cause"))
        .annotate(bits=reasons_expression(channel, message_class))
    )


def _shared_digests(channel: Channel, among: DigestRange) -> list[bytes]:
    """Return the digests of the channel that several people have, at any position: the index alone tells."""
    held = Address.objects.filter(among.q("digest"), channel=channel).values("digest").annotate(n=Count("*"))
    shared = held.filter(n__gt=1).order_by("digest").values_list("digest", flat=True)
    return [bytes(digest) for digest in shared]


def _sharing_people(run: AnalysisRun, digests: Sequence[bytes]) -> Any:
    """Yield (id, position, digest, bits) of the people of the target whose primary address is one of these."""
    people = _judged(run).filter(addr__digest__in=digests)
    return people.values("id", "bits", position=F("addr__position"), digest=F("addr__digest"))


def _range(run: AnalysisRun, after: int, upto: int) -> Any:
    """Yield (id, position, address, digest, bits, duplicate) of the people of a range."""
    within = IdRange(after, upto)
    return (
        _judged(run, within)
        .annotate(twin=_exceptions(run, within, ExceptionKind.DUPLICATE))
        .values(
            "id", "bits", position=Coalesce(F("addr__position"), 1), address=Coalesce(F("addr__value"), Value("")),
            digest=F("addr__digest"),
            duplicate=ExpressionWrapper(Q(twin__id__isnull=False), output_field=BooleanField()),
        )
    )  # fmt: skip


def _by_reason(counts: list[sql.ReasonCount]) -> dict[int, tuple[int, int]]:
    """Return reason → (rows that have it first, rows that have it at all)."""
    first: Counter[int] = Counter()
    in_all: Counter[int] = Counter()
    for count in counts:
        if count.reason:
            first[count.reason] += count.rows
        for reason in reasons_of(count.reasons):
            in_all[reason] += count.rows
    return {reason: (first[reason], rows) for reason, rows in in_all.items()}
