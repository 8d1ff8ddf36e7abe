"""SMTP (RFC 5321), with the settings of Django's mail.

The dialogue is spelt out rather than left to `smtplib`, because what may be believed after a break depends on how far
it got, because MAIL, RCPT and DATA travel together where the server allows it (RFC 2920), and because a message must
be over before its lease is. What each answer means is in `answers`.
"""

import base64
import contextlib
import functools
import hmac
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping

from django.conf import settings

from ..messages import Envelope
from ..models import LogStatus
from .answers import goes_on, outcome
from .base import Blame, Outcome, Verb
from .wire import Garbled, Reply, Wire

# After this many messages a connection is renewed: receiving sides limit them.
MESSAGES_PER_CONNECTION = 500
# A connection that was not used for so long may be gone without a word: it is asked before it is used.
CHECKED_AFTER, CHECK_TAKES = 20.0, 5.0  # seconds
GOODBYE_TAKES = 2.0  # seconds
# Of the time of a lease: by when the final dot must be said, and by when its answer must have come. RFC 5321 section
# 4.5.3.2.6 wants ten minutes for it, but a message must be over before its lease is.
DOT_WITHIN, OVER_WITHIN = 0.5, 0.8
_BROKEN = (OSError, Garbled)
_ENVELOPE = (Verb.MAIL, Verb.RCPT, Verb.DATA)


class Refused(Exception):
    """The dialogue ended before the message was on its way."""

    def __init__(self, result: Outcome) -> None:
        super().__init__(result.answer)
        self.result = result


class SmtpTransport:
    """One SMTP connection, opened when needed and kept between messages."""

    def __init__(self) -> None:
        self._wire: Wire | None = None
        self._extensions: Mapping[str, str] = {}
        self._used, self._last = 0, 0.0
        self._dot_by = self._over_by = 0.0  # of the message in hand

    def send(self, envelope: Envelope) -> Outcome:
        began, lease = time.monotonic(), settings.LEASE_TIME.total_seconds()
        self._dot_by, self._over_by = began + lease * DOT_WITHIN, began + lease * OVER_WITHIN
        sent_before = self._used
        try:
            result = self._attempt(envelope)
            # A server may end a connection between two messages; that is no fault of the second.
            if sent_before and result.verb == Verb.MAIL and result.code in (0, 421):
                result = self._attempt(envelope)
        except Refused as refused:
            result = refused.result
        self._last = time.monotonic()
        return result

    def close(self) -> None:
        wire = self._wire
        self._drop()
        if wire is not None:
            with contextlib.suppress(*_BROKEN):
                wire.say(b"QUIT\r\n")
                wire.hear(until=time.monotonic() + GOODBYE_TAKES)
            wire.close()

    def _drop(self) -> None:
        self._wire, self._used = None, 0

    # -- the connection -----------------------------------------------------------------------------------------

    def _open(self) -> Wire:
        if self._used >= MESSAGES_PER_CONNECTION:
            self.close()
        if self._wire is not None and time.monotonic() - self._last > CHECKED_AFTER and not self._is_alive(self._wire):
            self.close()
        if self._wire is None:
            self._wire = self._connect()
        return self._wire

    def _is_alive(self, wire: Wire) -> bool:
        try:
            wire.say(b"NOOP\r\n")
            return wire.hear(until=time.monotonic() + CHECK_TAKES).code == 250
        except _BROKEN:
            return False

    def _connect(self) -> Wire:
        context = ssl.create_default_context() if settings.EMAIL_USE_SSL or settings.EMAIL_USE_TLS else None
        wire = None
        verb = Verb.CONNECT
        try:
            wire = Wire(
                settings.EMAIL_HOST, settings.EMAIL_PORT, patience=settings.EMAIL_TIMEOUT,
                context=context if settings.EMAIL_USE_SSL else None,
            )  # fmt: skip
            self._expect(Verb.CONNECT, wire.hear(until=self._soon()))
            verb = Verb.EHLO
            self._greet(wire)
            if settings.EMAIL_USE_TLS and context is not None:  # required: a server that does not offer it gets nothing
                verb = Verb.STARTTLS
                if "STARTTLS" not in self._extensions:
                    raise Refused(_ours(verb, "The mail server does not offer STARTTLS."))
                self._expect(verb, self._ask(wire, b"STARTTLS"))
                wire.encrypt(context, settings.EMAIL_HOST)
                self._greet(wire)
            if settings.EMAIL_HOST_USER:
                verb = Verb.AUTH
                self._log_in(wire)
        except ssl.SSLCertVerificationError as error:
            raise Refused(
                _ours(verb, f"The certificate of the mail server is not valid: {error.verify_message}")
            ) from None
        except _BROKEN as error:
            raise Refused(outcome(verb, 0, str(error))) from error
        else:
            connected, wire = wire, None
            return connected
        finally:
            if wire is not None:
                wire.close()

    def _greet(self, wire: Wire) -> None:
        """Say who we are, and learn what the server can do; what it said before TLS no longer counts."""
        reply = self._ask(wire, b"EHLO " + _own_name())
        if 500 <= reply.code <= 599:  # RFC 5321 section 3.2: a server that knows no extension
            reply = self._ask(wire, b"HELO " + _own_name())
        self._expect(Verb.EHLO, reply)
        lines = [line.replace("=", " ", 1).partition(" ") for line in reply.text.split("\n")[1:]]
        self._extensions = {name.upper(): rest.upper() for name, _blank, rest in lines}

    def _log_in(self, wire: Wire) -> None:
        offered = self._extensions.get("AUTH", "").split()
        log_in = next((way for name, way in _WAYS_IN.items() if name in offered), None)
        if log_in is None:
            raise Refused(_ours(Verb.AUTH, "The mail server does not offer to log in."))
        reply = log_in(lambda line: self._ask(wire, line), settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
        self._expect(Verb.AUTH, reply)

    def _ask(self, wire: Wire, line: bytes) -> Reply:
        wire.say(line + b"\r\n")
        return wire.hear(until=self._soon())

    def _soon(self) -> float:
        """Return until when an answer to a verb is waited for."""
        soon: float = min(time.monotonic() + settings.EMAIL_TIMEOUT, self._dot_by)
        return soon

    def _expect(self, verb: Verb, reply: Reply) -> None:
        if not goes_on(verb, reply.code):
            raise Refused(outcome(verb, reply.code, reply.text))

    # -- one message --------------------------------------------------------------------------------------------

    def _attempt(self, envelope: Envelope) -> Outcome:
        wire = self._open()
        if envelope.needs_smtputf8 and "SMTPUTF8" not in self._extensions:
            return Outcome(LogStatus.SUPPRESSED, 0, "SMTPUTF8")
        self._used += 1
        result = self._envelope(wire, envelope) or self._body(wire, envelope.body)
        lost = result.code in (0, 421) or result.status == LogStatus.IN_DOUBT
        if lost and self._wire is not None:
            self._drop()
            wire.close()
        return result

    def _envelope(self, wire: Wire, envelope: Envelope) -> Outcome | None:
        """Say MAIL, RCPT and DATA; return what ended the dialogue, or None when the message may follow."""
        commands = _commands(envelope)
        together = "PIPELINING" in self._extensions
        ended: Outcome | None = None
        verb = Verb.MAIL
        try:
            if together:
                wire.say(b"".join(commands))
            for verb, command in zip(_ENVELOPE, commands, strict=True):
                if not together:
                    wire.say(command)
                reply = wire.hear(until=self._soon())
                if not goes_on(verb, reply.code):
                    ended = ended or outcome(verb, reply.code, reply.text)
                    if not together:
                        break
                elif ended and verb == Verb.DATA:
                    self._take_back(wire, ended)
                    return ended
            if ended:
                self._begin_anew(wire)
        except _BROKEN as error:
            self._drop()
            wire.close()
            return ended or outcome(verb, 0, str(error))
        return ended

    def _take_back(self, wire: Wire, ended: Outcome) -> None:
        """End a message that the server waits for though it refused the recipient (RFC 2920 section 3.1).

        A lone dot then sends nothing to nobody. Where the refusal was no clear one, the recipient may have been
        accepted, and would get an empty message: the connection is broken instead.
        """
        if 400 <= ended.code <= 599:
            wire.say(b".\r\n")
            wire.hear(until=self._soon())
            self._begin_anew(wire)
        else:
            self._drop()
            wire.close()

    def _begin_anew(self, wire: Wire) -> None:
        """Have the server forget the refused message; one that does not is left."""
        if self._ask(wire, b"RSET").code != 250:
            self._drop()
            wire.close()

    def _body(self, wire: Wire, body: bytes) -> Outcome:
        try:
            wire.say(on_the_wire(body))
        except OSError as error:
            return outcome(Verb.DATA, 0, str(error))
        if time.monotonic() > self._dot_by:
            return outcome(Verb.DATA, 0, "The server took too long to take the message.")
        try:
            wire.say(b".\r\n")
            reply = wire.hear(until=self._over_by)
        except _BROKEN as error:
            return outcome(Verb.END, 0, str(error))
        return outcome(Verb.END, reply.code, reply.text)


def on_the_wire(body: bytes) -> bytes:
    """Return the body with CRLF line ends and its leading dots doubled (RFC 5321 section 4.5.2)."""
    if not body.endswith(b"\r\n") or not body.count(b"\r\n") == body.count(b"\n") == body.count(b"\r"):
        body = re.sub(rb"\r\n|\n|\r", b"\r\n", body)
        body = body if body.endswith(b"\r\n") else body + b"\r\n"
    if b"\n." in body or body.startswith(b"."):
        body = re.sub(rb"(?m)^\.", b"..", body)
    return body


def _commands(envelope: Envelope) -> tuple[bytes, bytes, bytes]:
    sender, recipient = envelope.sender.encode(), envelope.recipient.encode()
    if b"\n" in sender + recipient or b"\r" in sender + recipient:
        raise ValueError("An address holds a line break.")
    options = b" SMTPUTF8 BODY=8BITMIME" if envelope.needs_smtputf8 else b""
    return b"MAIL FROM:<%b>%b\r\n" % (sender, options), b"RCPT TO:<%b>\r\n" % recipient, b"DATA\r\n"


def _ours(verb: Verb, text: str) -> Outcome:
    """Return the outcome of what every message would meet until somebody changes a setting."""
    return Outcome(LogStatus.RETRY, 0, text, Blame.SENDER, verb)


@functools.cache
def _own_name() -> bytes:
    """Return the name of this machine, or its address as a literal (RFC 5321 section 4.1.4)."""
    name = socket.getfqdn()
    return name.encode("ascii", "ignore") if "." in name else b"[127.0.0.1]"


# -- logging in: RFC 4954, the best way first ---------------------------------------------------------------------

Ask = Callable[[bytes], Reply]


def _by_challenge(ask: Ask, name: str, password: str) -> Reply:
    """Log in without sending the password (RFC 2195)."""
    reply = ask(b"AUTH CRAM-MD5")
    if reply.code != 334:
        return reply
    try:
        challenge = base64.b64decode(reply.text)
    except ValueError:
        raise Garbled(reply.text) from None
    proof = hmac.new(password.encode(), challenge, "md5").hexdigest()
    return ask(base64.b64encode(f"{name} {proof}".encode()))


def _plainly(ask: Ask, name: str, password: str) -> Reply:
    return ask(b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()))


def _in_two_steps(ask: Ask, name: str, password: str) -> Reply:
    reply = ask(b"AUTH LOGIN " + base64.b64encode(name.encode()))
    return ask(base64.b64encode(password.encode())) if reply.code == 334 else reply


_WAYS_IN: Mapping[str, Callable[[Ask, str, str], Reply]] = {
    "CRAM-MD5": _by_challenge,
    "PLAIN": _plainly,
    "LOGIN": _in_two_steps,
}
