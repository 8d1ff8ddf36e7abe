"""What is known about addresses, and what mail systems have told about them."""

from .entries import (
    BlockedDomain,
    Cause,
    Outage,
    QuarantinedAddress,
    QuarantinedAddressQuerySet,
    QuarantineEvent,
    Reason,
    Status,
)
from .reports import AnswerRule, Effect, Report, ReportKind, ReportState, Triage, Whose

__all__ = [
    "AnswerRule",
    "BlockedDomain",
    "Cause",
    "Effect",
    "Outage",
    "QuarantineEvent",
    "QuarantinedAddress",
    "QuarantinedAddressQuerySet",
    "Reason",
    "Report",
    "ReportKind",
    "ReportState",
    "Status",
    "Triage",
    "Whose",
]
