"""The words for a failure: how much it says about an address, what was wrong, and whose fault it is."""

from dataclasses import dataclass
from enum import Enum

from .models import Reason


class Kind(Enum):
    """How much an answer says about the address."""

    HARD = "hard"
    SOFT = "soft"
    IGNORED = "ignored"


class Fault(Enum):
    """Whose fault a refusal is, which is who would meet the same one."""

    ADDRESS = "address"  # this mailbox: other messages may pass
    DOMAIN = "domain"  # its domain asks for patience or blocks us for now: rate, greylisting, reputation
    SENDER = "sender"  # who we are or what we send: all messages would meet it


@dataclass(frozen=True, slots=True)
class Failure:
    kind: Kind
    reason: Reason
    fault: Fault = Fault.ADDRESS
