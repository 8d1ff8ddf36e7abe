"""What every transport promises."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from ..messages import Envelope
from ..models import LogStatus


class Blame(Enum):
    """What a failure is about: this address, or what all messages would meet."""

    ADDRESS = "address"
    DOMAIN = "domain"  # its domain asks for patience, or takes nothing from us for now
    CONNECTION = "connection"  # nobody answered, or the line broke: try everything again later
    SENDER = "sender"  # who we are is refused: stop before the whole list is burnt


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one hand-off. `code` is the SMTP reply code, 0 when there was no reply."""

    status: LogStatus
    code: int = 0
    text: str = ""
    blame: Blame = Blame.ADDRESS

    @property
    def answer(self) -> str:
        """Return the reply on one line, cleaned: it comes from strangers."""
        line = f"{self.code} {self.text}" if self.code else self.text
        return " ".join("".join(char if char.isprintable() else " " for char in line).split())[:255]


class Transport(Protocol):
    """Carries messages one at a time; keeps its connection between them."""

    def send(self, envelope: Envelope) -> Outcome:
        """Hand one message over. Never raises for what the other side does: the outcome says it."""
        ...

    def close(self) -> None: ...
