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
from ..transports import Outcome

S = LogStatus


def take_lease(run: AnalysisRun, *, at: datetime, cancelling: bool = False) -> Lease | None:
    """Become the owner of a range of rows with something to do that nobody works on, or return None."""
    free = Q(expires_at=None) | Q(expires_at__lte=at)
    due = Q(pending__gt=0) | Q(handing_off__gt=0) | Q(retry__gt=0) & (Q(not_before=None) | Q(not_before__lte=at))
    while True:
        candidates = Lease.objects.filter(free, Lease.open_q() if cancelling else due, run=run).order_by(
            "after_profile"
        )
        lease = candidates.first()
        if lease is None:
            return None
        owner = secrets.token_hex(8)
        if Lease.objects.filter(free, pk=lease.pk).update(owner=owner, expires_at=at + settings.LEASE_TIME):
            lease.refresh_from_db()
            return lease


def give_back(lease: Lease) -> None:
    """Leave a lease to whoever comes next, at the earliest when its first retry is due."""
    retries = DeliveryLog.objects.filter(
        run=lease.run_id, profile__gt=lease.after_profile, profile__lte=lease.upto_profile, status=S.RETRY
    )
    earliest = (
        retries.aggregate(at=Min("not_before"))["at"]
        if Lease.objects.filter(pk=lease.pk, retry__gt=0).exists()
        else None
    )
    Lease.objects.filter(pk=lease.pk, owner=lease.owner).update(owner="", expires_at=None, not_before=earliest)


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
    """Return the deliveries that nobody works on, with rows to work on or only their end to find.

    One task per delivery is rung at a time: a long delivery must not take every worker from confirmations and pages.
    """
    ids = []
    for delivery in Delivery.objects.filter(state__in=[State.SENDING, State.STOPPING]):
        leases = Lease.objects.filter(Lease.open_q(), run=delivery.current_run_id)
        if leases.filter(expires_at__gt=at).exists():
            continue
        due = Q(pending__gt=0) | Q(handing_off__gt=0) | Q(not_before=None) | Q(not_before__lte=at)
        if leases.filter(due).exists() or not leases.exists():
            ids.append(delivery.pk)
    return ids


def record(
    row: DeliveryLog, lease: Lease, outcome: Outcome, *, at: datetime, not_before: datetime | None = None,
    took: timedelta | None = None,
) -> None:  # fmt: skip
    """Write what became of a hand-off, once: a row that was taken for in doubt meanwhile is put right."""
    fields = {"status": outcome.status, "answer": outcome.answer, "finished_at": at, "not_before": not_before}
    if outcome.status == S.SUPPRESSED:
        fields["reason"] = Reason.ENCODING
    with transaction.atomic():
        for before in (S.HANDING_OFF, S.IN_DOUBT):
            if DeliveryLog.objects.filter(pk=row.pk, status=before, attempts=row.attempts).update(**fields):
                recount(lease.pk, before, outcome.status, took=took)
                if outcome.status == S.SUPPRESSED:
                    count_since(lease.run_id, Reason.ENCODING)
                return


def recount(
    lease: int, before: LogStatus, after: LogStatus, *, by: int = 1, owner: str = "", at: datetime | None = None,
    took: timedelta | None = None,
) -> bool:  # fmt: skip
    """Move rows from one count of their lease to another; with `owner`, only if that still owns it, and renew it.

    `took` is the time of the hand-off that moves the row.
    """
    if before == after:
        return True
    fields: dict[str, object] = {before.counter: F(before.counter) - by, after.counter: F(after.counter) + by}
    if took is not None:
        fields |= pace.counted(after, took)
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
