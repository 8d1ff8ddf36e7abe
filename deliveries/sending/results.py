"""What a claim is asked and answers, and what became of hand-offs: shared by both ways of claiming."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..models import DeliveryLog, LogStatus


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one hand-off, to be written with the next claim.

    `status` may also be PENDING or RETRY for a row that was claimed and not handed over after all. It counts only for
    the try it is about: a row that has been claimed again since keeps what it has.
    """

    row: DeliveryLog  # its `attempts` is that of the try
    status: LogStatus
    at: datetime
    answer: str = ""
    not_before: datetime | None = None
    took: timedelta | None = None  # None: it was not handed over
    hard: bool = False


@dataclass(slots=True)
class Answer:
    """What a claim found: the rows that may be handed over now, and whether there is any use in going on."""

    claimed: set[int] = field(default_factory=set)
    recorded: set[int] = field(default_factory=set)
    erroneous: set[int] = field(default_factory=set)  # of the claimed rows, those whose address has had errors counted
    sending: bool = True
    owned: bool = True
    # Rows that may not leave, or not by what one statement can tell: to be looked at one by one.
    doubtful: list[DeliveryLog] = field(default_factory=list)
