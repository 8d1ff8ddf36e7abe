"""Leases: ranges of log rows that one worker at a time works on, with the counts of their rows by status.

A count moves with its row, in one transaction, so that the counts of a lease always sum to its size.
"""

import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Min, Q
from django.utils import timezone

from .. import lifecycle, pace
from ..models import (
    AnalysisRun,
    Delivery,
    DeliveryLog,
    InDoubtPolicy,
    Lease,
    LogStatus,
    Reason,
    RunReason,
    State,
)
from .results import Result

S = LogStatus
FINAL = (S.SENT, S.FAILED, S.SUPPRESSED)


def take_lease(run: AnalysisRun, *, at: datetime, cancelling: bool = False) -> Lease | None:
    """Become the owner of a range of rows with something to do that nobody works on, or return None.

    Ranges that nobody has begun come first, then those whose time has come.
    """
    wanted = _free(at) & (Lease.open_q() if cancelling else _due(at))
    while True:
        candidates = Lease.objects.filter(wanted, run=run)
        lease = candidates.order_by(F("not_before").asc(nulls_first=True), "after_profile").first()
        if lease is None:
            return None
        owner = secrets.token_hex(8)
        if Lease.objects.filter(_free(at), pk=lease.pk).update(owner=owner, expires_at=at + settings.LEASE_TIME):
            lease.refresh_from_db()
            return lease


def _free(at: datetime) -> Q:
    return Q(expires_at=None) | Q(expires_at__lte=at)


def _due(at: datetime) -> Q:
    """Say which leases have something to do now: rows to send, or rows that a dead owner was handing over."""
    time_has_come = Q(not_before=None) | Q(not_before__lte=at)
    return Q(handing_off__gt=0) | (Q(pending__gt=0) | Q(retry__gt=0)) & time_has_come


def another_is_untouched(run: AnalysisRun, *, at: datetime) -> bool:
    """Say whether there is a range that nobody works on and that waits for nothing. One query."""
    return Lease.objects.filter(_free(at), run=run, pending__gt=0, not_before=None).exists()


def next_due(run: AnalysisRun) -> datetime | None:
    """Return when the first of the ranges that wait for something is due, or None when none waits. One query."""
    waiting = Lease.objects.filter(Lease.open_q(), run=run, owner="", not_before__isnull=False)
    found: datetime | None = waiting.aggregate(at=Min("not_before"))["at"]
    return found


def give_back(lease: Lease, *, through: bool = False, wait_until: datetime | None = None) -> None:
    """Leave a lease to whoever comes next.

    `through` says that every row that was due has been tried; the next one then comes when the first retry is due, or
    at `wait_until`, when some rows wait for their mail domain.
    """
    not_before = None
    if through:
        # A retry that is due already waits for its domain: to come back for it at once would be to go round in circles.
        rows = DeliveryLog.objects.filter(
            run=lease.run_id, profile__gt=lease.after_profile, profile__lte=lease.upto_profile, status=S.RETRY,
            not_before__gt=timezone.now(),
        )  # fmt: skip
        retries = Lease.objects.filter(pk=lease.pk, retry__gt=0).exists()
        earliest = rows.aggregate(at=Min("not_before"))["at"] if retries else None
        not_before = min((at for at in (earliest, wait_until) if at), default=None)
    Lease.objects.filter(pk=lease.pk, owner=lease.owner).update(owner="", expires_at=None, not_before=not_before)


def settle_abandoned(lease: Lease, delivery: Delivery, *, at: datetime) -> None:
    """Mark what a dead owner of this lease was handing over: nobody knows whether it left."""
    again = delivery.in_doubt_policy == InDoubtPolicy.RESEND
    after = S.RETRY if again else S.IN_DOUBT
    for row in _rows(lease, S.HANDING_OFF):
        with transaction.atomic():
            if DeliveryLog.objects.filter(pk=row.pk, status=S.HANDING_OFF).update(status=after, finished_at=at):
                recount(lease.pk, S.HANDING_OFF, after)


def cancel_rest(delivery: Delivery, run: AnalysisRun) -> bool:
    """Cancel the rows that are left of a stopping delivery; return whether some are still leaving."""
    while lease := take_lease(run, at=timezone.now(), cancelling=True):
        at = timezone.now()
        settle_abandoned(lease, delivery, at=at)
        with transaction.atomic():
            for before in (S.PENDING, S.RETRY):
                rows = DeliveryLog.objects.filter(
                    run=run, profile__gt=lease.after_profile, profile__lte=lease.upto_profile, status=before
                )
                changed = rows.update(status=S.CANCELLED, finished_at=at)
                if changed:
                    recount(lease.pk, before, S.CANCELLED, by=changed)
        give_back(lease)
    lifecycle.finish_if_done(delivery, timezone.now())
    return False


def to_ring_again(at: datetime) -> list[int]:
    """Return the deliveries with rows to work on that have fewer tasks than they may, or only their end to find.

    One that may have several stands there several times. SENDING_TASKS keeps a long delivery from taking every worker
    from confirmations and pages.
    """
    ids = []
    for delivery in Delivery.objects.filter(state__in=[State.SENDING, State.STOPPING]):
        leases = Lease.objects.filter(Lease.open_q(), run=delivery.current_run_id)
        working = leases.filter(expires_at__gt=at).count()
        if not leases.exists():
            ids.append(delivery.pk)
        elif leases.filter(_free(at) & (_due(at) if delivery.state == State.SENDING else Q())).exists():
            tasks = -(-working // settings.SENDING_CONNECTIONS)
            ids += [delivery.pk] * (settings.SENDING_TASKS - tasks)
    return ids


def record(lease: Lease, result: Result) -> None:
    """Write what became of a hand-off, once: a row that was taken for in doubt meanwhile is put right.

    Only by an answer that ends it: its delivery may be over, and nobody would try it again.
    """
    row, after = result.row, result.status
    fields = {"status": after, "answer": result.answer, "finished_at": result.at, "not_before": result.not_before}
    if after == S.SUPPRESSED:
        fields["reason"] = Reason.ENCODING
    with transaction.atomic():
        origins = (S.HANDING_OFF, S.IN_DOUBT) if after in FINAL else (S.HANDING_OFF,)
        if after == S.SENT:  # somebody has had it sent again meanwhile (`doubt`), and it had arrived after all
            origins = (*origins, S.RETRY)
        for before in origins:
            if DeliveryLog.objects.filter(pk=row.pk, status=before, attempts=row.attempts).update(**fields):
                recount(lease.pk, before, after, took=result.took, hard=result.hard)
                if after == S.SUPPRESSED:
                    count_since(lease.run_id, Reason.ENCODING)
                return


def recount(
    lease: int, before: LogStatus, after: LogStatus, *, by: int = 1, owner: str = "", at: datetime | None = None,
    took: timedelta | None = None, hard: bool = False,
) -> bool:  # fmt: skip
    """Move rows from one count of their lease to another; with `owner`, only if that still owns it, and renew it.

    `took` is the time of the hand-off that moves the row; `hard` says that its address does not exist.
    """
    if before == after:
        return True
    fields: dict[str, object] = {before.counter: F(before.counter) - by, after.counter: F(after.counter) + by}
    if took is not None:
        fields |= pace.counted(after, took)
    if hard:
        fields["hard"] = F("hard") + 1
    leases = Lease.objects.filter(pk=lease)
    if owner and at:
        leases = leases.filter(owner=owner, expires_at__gt=at)
        fields["expires_at"] = at + settings.LEASE_TIME
    return bool(leases.update(**fields))


def _rows(lease: Lease, status: LogStatus) -> list[DeliveryLog]:
    if not getattr(lease, status.counter):
        return []
    return list(
        DeliveryLog.objects.filter(
            run=lease.run_id, profile__gt=lease.after_profile, profile__lte=lease.upto_profile, status=status
        )
    )


def count_since(run: int, reason: Reason) -> None:
    RunReason.objects.get_or_create(run_id=run, reason=reason)
    RunReason.objects.filter(run=run, reason=reason).update(since=F("since") + 1)
