"""The rows behind a number, by pages and in the order of the people; never by reading the whole log.

The rows with a reason have an index of their own. Those with a status are found through the leases: a lease counts
its rows by status, so only the ranges that hold some are read.
"""

from dataclasses import dataclass
from typing import Self

from django.db.models import Q, QuerySet

from .models import AnalysisRun, DeliveryLog, Lease, LogStatus, Reason

LEASES_AT_ONCE = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends: the person and the position of its last row."""

    profile: int = 0
    position: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "12-1"; anything else is the beginning."""
        parts = text.split("-")
        if len(parts) != 2 or not all(part.isdecimal() and len(part) < 18 for part in parts):
            return cls()
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return f"{self.profile}-{self.position}"

    @property
    def after(self) -> Q:
        """Say what comes after this row."""
        return Q(profile__gt=self.profile) | Q(profile=self.profile, position__gt=self.position)


def of_reason(run: AnalysisRun, reason: Reason, *, after: Place, limit: int, rule: int = 0) -> list[DeliveryLog]:
    """Return rows that have a reason first, and this sending rule if one is named. One query."""
    rows = DeliveryLog.objects.filter(run=run, reason=reason, profile__gte=after.profile).filter(after.after)
    if rule:
        rows = rows.filter(rule=rule)
    return list(rows.order_by("profile", "position")[:limit])


def of_status(run: AnalysisRun, status: LogStatus, *, after: Place, limit: int) -> list[DeliveryLog]:
    """Return rows that have a status. Two queries for each so many leases that hold some, mostly once."""
    found: list[DeliveryLog] = []
    holding = Lease.objects.filter(run=run, **{f"{status.counter}__gt": 0}).order_by("after_profile")
    seen = after.profile - 1  # leases up to here are read
    while len(found) < limit and (leases := _enough(holding.filter(upto_profile__gt=seen), status, limit)):
        within = Q()
        for lease in leases:
            within |= Q(profile__gt=lease.after_profile, profile__lte=lease.upto_profile)
        rows = DeliveryLog.objects.filter(within, after.after, run=run, status=status)
        found += rows.order_by("profile", "position")[: limit - len(found)]
        seen = leases[-1].upto_profile
    return found


def _enough(holding: QuerySet[Lease], status: LogStatus, limit: int) -> list[Lease]:
    """Return the first leases, as many as hold a page together and no more than one query can name."""
    leases, rows = [], 0
    for lease in holding[:LEASES_AT_ONCE]:
        leases.append(lease)
        rows += getattr(lease, status.counter)
        if rows >= limit:
            break
    return leases
