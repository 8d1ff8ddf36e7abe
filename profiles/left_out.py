"""Which addresses are left out of every delivery, asked from below the application that decides it.

left_out.decided_by(quarantined)      once, when that application starts
left_out.among(digests, at=at)        which of these are left out, and why: bounce, complaint, stop, person...
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

Decision = Callable[[Collection[bytes], datetime], Mapping[bytes, str]]
_decisions: list[Decision] = []


def decided_by(decision: Decision) -> None:
    """Have a function say which digests of addresses are left out at a moment, and why, in one query."""
    if decision not in _decisions:
        _decisions.append(decision)


def among(digests: Collection[bytes], *, at: datetime) -> dict[bytes, str]:
    """Return those of the addresses, known by their digests, that are left out at a moment, with the cause of each."""
    decided = (decision(digests, at) for decision in _decisions) if digests else ()
    return {digest: cause for found in decided for digest, cause in found.items()}
