"""SMTP (RFC 5321), with the settings of Django's mail.

The dialogue is spelt out rather than left to `sendmail()`, because what may be believed after a break depends on how
far it got: before the final dot the message was not accepted and may be tried again; after it, nobody knows
(RFC 5321 section 6.1, RFC 1047).
"""

import contextlib
import re
import smtplib
import socket
import ssl

from django.conf import settings

from ..messages import Envelope
from ..models import LogStatus
from .base import Blame, Outcome

_TEMPORARY = range(400, 500)
# After this many messages a connection is renewed: receiving sides limit them.
MESSAGES_PER_CONNECTION = 500


class SmtpTransport:
    """One SMTP connection, opened when needed and kept between messages."""

    def __init__(self) -> None:
        self._connection: smtplib.SMTP | None = None
        self._used = 0

    def send(self, envelope: Envelope) -> Outcome:
        try:
            connection = self._open()
        except smtplib.SMTPResponseException as error:
            self.close()
            blame = Blame.CONNECTION if error.smtp_code in _TEMPORARY else Blame.SENDER
            return Outcome(LogStatus.RETRY, error.smtp_code, _text(error.smtp_error), blame)
        except smtplib.SMTPNotSupportedError as error:
            self.close()
            return Outcome(LogStatus.RETRY, 0, str(error), Blame.SENDER)
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            return Outcome(LogStatus.RETRY, 0, str(error), Blame.CONNECTION)
        if envelope.needs_smtputf8 and not connection.has_extn("smtputf8"):
            return Outcome(LogStatus.SUPPRESSED, 0, "SMTPUTF8")
        try:
            return self._dialogue(connection, envelope)
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            return Outcome(LogStatus.RETRY, 0, str(error), Blame.CONNECTION)

    def close(self) -> None:
        connection, self._connection, self._used = self._connection, None, 0
        if connection is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                connection.quit()

    def _open(self) -> smtplib.SMTP:
        if self._used >= MESSAGES_PER_CONNECTION:
            self.close()
        if self._connection is None:
            context = ssl.create_default_context()
            if settings.EMAIL_USE_SSL:
                connection: smtplib.SMTP = smtplib.SMTP_SSL(
                    settings.EMAIL_HOST, settings.EMAIL_PORT, timeout=settings.EMAIL_TIMEOUT, context=context
                )
            else:
                connection = smtplib.SMTP(settings.EMAIL_HOST, settings.EMAIL_PORT, timeout=settings.EMAIL_TIMEOUT)
            # The final dot goes in a packet of its own: without this it waits for the receiving side's delayed
            # acknowledgement of the message, 40 ms each time (RFC 896 and RFC 1122 section 4.2.3.2 together).
            if connection.sock:
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = connection
            connection.ehlo_or_helo_if_needed()
            if settings.EMAIL_USE_TLS:  # required: a server that does not offer it gets nothing
                connection.starttls(context=context)
                connection.ehlo()
            if settings.EMAIL_HOST_USER:
                connection.login(settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
        return self._connection

    def _dialogue(self, connection: smtplib.SMTP, envelope: Envelope) -> Outcome:
        self._used += 1
        options = ["SMTPUTF8", "BODY=8BITMIME"] if envelope.needs_smtputf8 else []
        code, text = connection.mail(envelope.sender, options)
        if code != 250:
            return self._refused(code, text, Blame.CONNECTION if code in _TEMPORARY else Blame.SENDER)
        code, text = connection.rcpt(envelope.recipient)
        if code not in (250, 251):
            return self._refused(code, text, Blame.ADDRESS)
        code, text = connection.docmd("DATA")
        if code != 354:
            return self._refused(code, text, Blame.ADDRESS)
        connection.send(_dot_stuffed(envelope.body))
        try:
            connection.send(b".\r\n")
            code, text = connection.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            return Outcome(LogStatus.IN_DOUBT, 0, str(error), Blame.CONNECTION)
        if code == -1:
            self.close()
            return Outcome(LogStatus.IN_DOUBT, 0, "connection lost after the message", Blame.CONNECTION)
        if code != 250:
            return self._refused(code, text, Blame.ADDRESS)
        return Outcome(LogStatus.SENT, code, _text(text))

    def _refused(self, code: int, text: bytes, blame: Blame) -> Outcome:
        """Return the outcome of a refusal; 421 and no reply at all mean that the line is closing."""
        if code in (421, -1):
            self.close()
            return Outcome(LogStatus.RETRY, max(code, 0), _text(text), Blame.CONNECTION)
        with contextlib.suppress(OSError, smtplib.SMTPException):
            self._connection and self._connection.rset()
        status = LogStatus.RETRY if code in _TEMPORARY or blame == Blame.SENDER else LogStatus.FAILED
        return Outcome(status, code, _text(text), blame)


def _dot_stuffed(body: bytes) -> bytes:
    """Return the body with CRLF line ends and its leading dots doubled (RFC 5321 section 4.5.2)."""
    lines = re.sub(rb"(?:\r\n|\n|\r(?!\n))", b"\r\n", body)
    stuffed = re.sub(rb"(?m)^\.", b"..", lines)
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"


def _text(reply: bytes | str) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
