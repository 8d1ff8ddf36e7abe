"""When an address is written to again, and why then, in words."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .models import Cause, QuarantinedAddress, Reason, Status

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

_NEVER: "dict[int, _StrOrPromise]" = {
    Cause.BOUNCE: gettext_lazy("None: messages came back for good"),
    Cause.COMPLAINT: gettext_lazy("None: the person complained"),
    Cause.STOP: gettext_lazy("None: the person sent STOP"),
    Cause.PERSON: gettext_lazy("None: the person asked for it"),
    Cause.OPERATOR: gettext_lazy("None: an operator left it out"),
    Cause.IMPORT: gettext_lazy("None: it was imported"),
}


def next_release(entry: QuarantinedAddress, at: datetime) -> str:
    """Say when an entry is released by itself and why then, or why it is not; "—" where it is written to."""
    if entry.status != Status.QUARANTINED:
        return "—"
    if entry.release_at is None:
        return str(_NEVER[entry.cause or Cause.OPERATOR])
    words = {"day": date_format(timezone.localtime(entry.release_at), "DATE_FORMAT")}
    if entry.release_at <= at:
        return _("Since %(day)s: it is written to again") % words
    if entry.cause == Cause.BOUNCE and entry.reason == Reason.MAILBOX_FULL:
        return _("%(day)s: the mailbox was full, and may have room then") % words
    return _("%(day)s: the date was set") % words
