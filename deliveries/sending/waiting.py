"""Rows whose mail domain must be given time, and the order in which the rows of a lease are sent because of it."""

import heapq
import itertools
import time
from collections.abc import Iterator

from profiles.models import Profile

from ..models import DeliveryLog

Due = tuple[DeliveryLog, Profile | None]


class Waiting:
    """The rows of a lease that wait for their domain, the soonest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Due]] = []
        self._numbers = itertools.count()
        self._until: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._heap)

    def put(self, domain: str, due: Due, *, until: float) -> None:
        """Keep a row until a moment (of `time.time()`)."""
        self._until[domain] = until
        heapq.heappush(self._heap, (until, next(self._numbers), due))

    def held_until(self, domain: str, *, at: float) -> float:
        """Return until when a domain that is waited for must still wait, or 0.0: it need not be asked about again."""
        until = self._until.get(domain, 0.0)
        return until if until > at else 0.0

    def soonest(self) -> float:
        """Return the moment at which the first row is due."""
        return self._heap[0][0]

    def ready(self) -> Iterator[Due]:
        """Yield the rows whose moment has come; the caller asks for their domain again."""
        now = time.time()
        for _n in range(len(self._heap)):
            if not self._heap or self._heap[0][0] > now:
                return
            yield heapq.heappop(self._heap)[2]
