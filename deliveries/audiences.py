"""How many people criteria mean, and a few of them, while somebody is still putting the criteria together.

size(tree, at=...)      exact where that is quick, else estimated; it never reads ten million people
sample(tree, at=...)    the first few, in the order of their numbers
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, QuerySet
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from profiles.models import Profile
from profiles.time_limits import TookTooLong, limited

from . import criteria
from .exclusions import IdRange

UPTO = 100_000  # counted one by one
RANGES = 20
WIDTH = 5_000  # ids in a range
PATIENCE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Size:
    """A number of people; an estimate unless `exact`."""

    number: int
    exact: bool

    def __str__(self) -> str:
        if self.exact:
            told = ngettext("%(number)s person", "%(number)s people", self.number)
            return told % {"number": number_format(self.number, force_grouping=True)}
        return _("about %(number)s people") % {"number": number_format(_rounded(self.number), force_grouping=True)}


def size(
    tree: criteria.Node,
    *,
    at: datetime,
    upto: int = UPTO,
    ranges: int = RANGES,
    width: int = WIDTH,
    patience: timedelta = PATIENCE,
) -> Size:
    """Return how many people criteria mean: exactly up to `upto` where that takes no longer than `patience`.

    Beyond, the people of a few ranges of numbers are counted, spread evenly over all numbers. Two queries, or as many
    more as there are ranges.
    """
    try:
        with limited(patience):
            number = _meant(tree, at)[: upto + 1].count()
    except TookTooLong:
        number = upto + 1
    return Size(number, exact=True) if number <= upto else _estimate(tree, at, ranges, width)


def sample(tree: criteria.Node, *, at: datetime, n: int = 5, patience: timedelta = PATIENCE) -> list[Profile]:
    """Return some of the people whom criteria mean, those with the lowest numbers first; their addresses are read too.

    Where finding them takes too long, whoever is found in a few ranges of numbers.
    """
    try:
        with limited(patience):
            return list(_meant(tree, at).order_by("pk").prefetch_related("addresses")[:n])
    except TookTooLong:
        found: list[Profile] = []
        for within in _spread(RANGES, WIDTH):
            people = _meant(tree, at, within).order_by("pk").prefetch_related("addresses")
            found += people[: n - len(found)]
            if len(found) == n:
                break
        return found


def _meant(tree: criteria.Node, at: datetime, within: IdRange | None = None) -> QuerySet[Profile]:
    people = Profile.objects.order_by()
    if within is not None:
        people = people.filter(within.q("pk"))
    return people.filter(criteria.condition(tree, at=at, within=within))


def _estimate(tree: criteria.Node, at: datetime, ranges: int, width: int) -> Size:
    """Scale the people found in some ranges up to all numbers: right where people are spread as evenly as these."""
    found = seen = 0
    for within in _spread(ranges, width):
        found += _meant(tree, at, within).count()
        seen += within.upto - within.after
    first, last = _ends()
    return Size(round(found * (last - first + 1) / seen) if seen else 0, exact=seen == last - first + 1)


def _spread(ranges: int, width: int) -> Iterator[IdRange]:
    """Yield ranges of numbers, evenly spread; one that holds them all where they would meet."""
    first, last = _ends()
    span = last - first + 1
    if ranges * width >= span:
        yield IdRange(first - 1, last)
        return
    for number in range(ranges):
        # In the middle of its share, so that neither the oldest nor the newest weigh more.
        after = first - 1 + (2 * number + 1) * span // (2 * ranges) - width // 2
        yield IdRange(after, after + width)


def _ends() -> tuple[int, int]:
    ends = Profile.objects.aggregate(first=Min("pk"), last=Max("pk"))
    return ends["first"] or 1, ends["last"] or 0


def _rounded(number: int) -> int:
    """Keep the first three figures."""
    scale: int = 10 ** max(0, len(str(number)) - 3)
    return round(number / scale) * scale
