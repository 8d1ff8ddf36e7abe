"""The rows behind a number, by pages and in the order of the people; never by reading the whole log.

The rows with a reason have an index of their own. Those with a status are found through the leases: a lease counts
its rows by status, so only the ranges that hold some are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Self

from django.db.models import Q

from .models import AnalysisRun, DeliveryLog, Lease, LogStatus, Reason

LEASES_AT_ONCE = 50


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
    """Return rows that have a status. One query per lease that holds some, until the page is full."""
    return list(islice(_with_status(run, status, after), limit))


def _with_status(run: AnalysisRun, status: LogStatus, after: Place) -> Iterator[DeliveryLog]:
    holding = Lease.objects.filter(run=run, **{f"{status.counter}__gt": 0}).order_by("after_profile")
    seen = after.profile - 1  # leases up to here are read
    while leases := list(holding.filter(upto_profile__gt=seen)[:LEASES_AT_ONCE]):
        for lease in leases:
            within = Q(profile__gt=lease.after_profile, profile__lte=lease.upto_profile)
            rows = DeliveryLog.objects.filter(within, after.after, run=run, status=status)
            yield from rows.order_by("profile", "position")
        seen = leases[-1].upto_profile
