"""The ways out: what carries a message to the receiving side. Reached through `deliveries.gate` only."""

from .base import Outcome, Transport
from .smtp import SmtpTransport

__all__ = ["Outcome", "SmtpTransport", "Transport"]
