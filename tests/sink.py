"""A real SMTP server on loopback that keeps what it accepts, and can refuse or break the line on purpose."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from django.conf import settings


@dataclass
class Caught:
    sender: str
    recipient: str
    body: bytes

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.body, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


@dataclass
class Sink:
    """What was caught, and what to answer: `at_rcpt` and `at_data` may return another reply for a recipient."""

    port: int = 0
    caught: list[Caught] = field(default_factory=list)
    at_mail: Callable[[str], str | None] = lambda sender: None
    at_rcpt: Callable[[str], str | None] = lambda recipient: None
    at_data: Callable[[str], str | None] = lambda recipient: None
    before_answer: Callable[[str], None] = lambda recipient: None
    drop_after_data: bool = False

    @property
    def recipients(self) -> list[str]:
        return [caught.recipient for caught in self.caught]

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if answer := self.at_mail(address):
            return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if answer := self.at_rcpt(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        recipient = envelope.rcpt_tos[0]
        if answer := self.at_data(recipient):
            return answer
        self.caught.append(Caught(envelope.mail_from, recipient, bytes(envelope.content)))
        self.before_answer(recipient)
        if self.drop_after_data:
            server.transport.close()
        return "250 OK"


@contextmanager
def running_sink(*, smtputf8: bool = True) -> Iterator[Sink]:
    """Run a sink on a free port and point Django's mail settings at it."""
    sink = Sink()
    controller = Controller(sink, hostname="127.0.0.1", port=0, enable_SMTPUTF8=smtputf8)
    # Port 0 asks the system for a free one; the controller itself checks that it can be reached, so find it first.
    controller.port = _free_port()
    controller.start()
    sink.port = controller.port
    before = settings.EMAIL_HOST, settings.EMAIL_PORT
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
    try:
        yield sink
    finally:
        settings.EMAIL_HOST, settings.EMAIL_PORT = before
        controller.stop()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
