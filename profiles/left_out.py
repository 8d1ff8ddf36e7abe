"""Which addresses are left out of every delivery, asked from below the application that decides it.

left_out.decided_by(quarantined)      once, when that application starts
left_out.among(digests, at=at)        which of these are left out
"""

from collections.abc import Callable, Collection
from datetime import datetime

Decision = Callable[[Collection[bytes], datetime], set[bytes]]
_decisions: list[Decision] = []


def decided_by(decision: Decision) -> None:
    """Have a function say which digests of addresses are left out at a moment, in one query."""
    if decision not in _decisions:
        _decisions.append(decision)


def among(digests: Collection[bytes], *, at: datetime) -> set[bytes]:
    """Return those of the addresses, known by their digests, that are left out at a moment."""
    return {found for decision in _decisions for found in decision(digests, at)} if digests else set()
