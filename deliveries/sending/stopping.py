"""Whether this process is asked to end: what is in hand is then finished, and nothing more is begun."""

from collections.abc import Callable

_asked: list[Callable[[], bool]] = []


def when(asked: Callable[[], bool]) -> None:
    """Have senders ask this before each message."""
    _asked.append(asked)


def is_asked() -> bool:
    """Say whether to end after the message in hand."""
    return any(asked() for asked in _asked)
