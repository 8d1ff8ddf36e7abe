"""The columns of a file of addresses left out, as the export writes them and the import reads them.

    address,channel,status,cause,reason,date,until,answer,delivery,digest
    gone@example.org,email,left_out,bounce,user_unknown,2026-11-02T08:15:00+00:00,,550 5.1.1 No such user,Spring,

An address that was erased has only its digest, which means something in this installation alone.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from django.utils import timezone

from profiles.channels import Channel

from .models import Cause, QuarantinedAddress, Reason, Status

ADDRESS, CHANNEL, STATUS, CAUSE, REASON, DATE, UNTIL, ANSWER, DELIVERY, DIGEST = WRITTEN = (
    "address", "channel", "status", "cause", "reason", "date", "until", "answer", "delivery", "digest",
)  # fmt: skip
LEFT_OUT = "left_out"
STATUSES: Mapping[str, Status] = {
    "valid": Status.VALID,
    "errors": Status.ERRONEOUS,
    LEFT_OUT: Status.QUARANTINED,
    "always": Status.ALLOWLISTED,
}
CAUSES: Mapping[str, Cause] = {cause.name.lower(): cause for cause in Cause}
REASONS: Mapping[str, Reason] = {reason.name.lower(): reason for reason in Reason}
_STATUS_WORDS = {status: word for word, status in STATUSES.items()}


def cells(entry: QuarantinedAddress) -> list[str]:
    """Return the line of an entry, in the order of WRITTEN."""
    return [
        entry.value or "", Channel(entry.channel).slug, _STATUS_WORDS[Status(entry.status)],
        Cause(entry.cause).name.lower() if entry.cause else "", Reason(entry.reason).name.lower(),
        _moment(entry.quarantined_at), _moment(entry.release_at), entry.text, entry.delivery_name,
        "" if entry.value else bytes(entry.digest).hex(),
    ]  # fmt: skip


def _moment(at: datetime | None) -> str:
    return timezone.localtime(at, UTC).isoformat() if at else ""
