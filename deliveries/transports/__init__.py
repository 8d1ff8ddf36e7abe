"""The ways out: what carries a message to the receiving side. Reached through `deliveries.gate` only.

    transport = for_channel(Channel.EMAIL)
    outcome = gate.hand_off(permit, envelope, transport)
    transport.close()

To add one, write a class with the two methods of the `Transport` protocol, one module per provider:

    class SmsTransport:
        def send(self, envelope: Envelope) -> Outcome:
            ...     # one request, within less than settings.LEASE_TIME; never raises for what the other side does:
            ...     # SENT, RETRY, FAILED, or IN_DOUBT when the request left and its answer did not come
        def close(self) -> None: ...

and register it where it can be configured, in the `ready()` of an app: `register(Channel.SMS, SmsTransport)`. Direct
mail is the same, with a transport whose `send` adds a line to a file. Nothing else knows how a channel is carried.
"""

from collections.abc import Callable, Mapping

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from profiles.channels import Channel

from ..errors import ChannelNotSent
from .base import Outcome, Transport
from .console import ConsoleTransport
from .smtp import SmtpTransport

__all__ = ["MAIL_BACKENDS", "Outcome", "SmtpTransport", "Transport", "for_channel", "register"]

Maker = Callable[[], Transport]
# What EMAIL_URL may choose. The others of Django lose messages without a word, or have no answer to believe.
MAIL_BACKENDS: Mapping[str, Maker] = {
    "django.core.mail.backends.smtp.EmailBackend": SmtpTransport,
    "django.core.mail.backends.console.EmailBackend": ConsoleTransport,
}


def _mail() -> Transport:
    maker = MAIL_BACKENDS.get(settings.EMAIL_BACKEND)
    if maker is None:
        raise ImproperlyConfigured(
            f"Messages cannot be sent through {settings.EMAIL_BACKEND}: EMAIL_URL must begin with smtp or consolemail."
        )
    return maker()


_MAKERS: dict[Channel, Maker] = {Channel.EMAIL: _mail}


def register(channel: Channel, maker: Maker) -> None:
    """Have messages of a channel carried by the transports that `maker` makes, one for each worker."""
    _MAKERS[channel] = maker


def for_channel(channel: Channel) -> Transport:
    """Return a new transport for messages of a channel; the caller closes it.

    Raises ChannelNotSent when none is registered.
    """
    if channel not in _MAKERS:
        raise ChannelNotSent
    return _MAKERS[channel]()
