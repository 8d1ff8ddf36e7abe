"""What every transport promises."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol

from ..messages import Envelope
from ..models import LogStatus


class Blame(Enum):
    """What a failure is about: this address, or what all messages would meet."""

    ADDRESS = "address"
    DOMAIN = "domain"  # its domain asks for patience, or takes nothing from us for now
    CONNECTION = "connection"  # nobody answered, or the line broke: try everything again later
    SENDER = "sender"  # who we are, or what we send, is refused: stop before the whole list is burnt


class Verb(StrEnum):
    """At which point of the dialogue an answer came (RFC 5321 section 4.3.2)."""

    CONNECT = "connect"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    END = "end of data"  # the final dot


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one hand-off. `code` is the SMTP reply code, 0 when there was no reply.

    `verb` is where the dialogue ended, when there was one.
    """

    status: LogStatus
    code: int = 0
    text: str = ""
    blame: Blame = Blame.ADDRESS
    verb: Verb | None = None

    @property
    def answer(self) -> str:
        """Return the reply on one line, cleaned: it comes from strangers."""
        text = self.text[:1_000]
        line = f"{self.code} {text}" if self.code else text
        return " ".join("".join(char if char.isprintable() else " " for char in line).split())[:255]

    @property
    def is_one_opinion(self) -> bool:
        """Say whether what is held against us comes from one destination, and others may think better of us.

        Else the mail server itself refuses us, and would refuse every message.
        """
        return self.blame == Blame.SENDER and self.verb in (Verb.RCPT, Verb.DATA, Verb.END)


class Transport(Protocol):
    """Carries messages one at a time; keeps its connection between them."""

    def send(self, envelope: Envelope) -> Outcome:
        """Hand one message over. Never raises for what the other side does: the outcome says it."""
        ...

    def close(self) -> None: ...
