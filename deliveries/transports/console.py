"""Writes messages to the console instead of sending them (EMAIL_URL=consolemail://), to look at them."""

import sys
import threading

from ..messages import Envelope
from ..models import LogStatus
from .base import Outcome

_ONE_AT_A_TIME = threading.Lock()


class ConsoleTransport:
    """Accepts everything, as Django's mail backend of the same name does."""

    def send(self, envelope: Envelope) -> Outcome:
        with _ONE_AT_A_TIME:
            sys.stdout.write(envelope.body.decode("utf-8", "replace") + "\n" + "-" * 79 + "\n")
            sys.stdout.flush()
        return Outcome(LogStatus.SENT, 250, "console")

    def close(self) -> None:
        """Nothing is kept open."""
