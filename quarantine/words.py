"""What lists and pages say of an entry: when it is released next, and why then, or why not."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .models import Cause, QuarantinedAddress, Reason, Status

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

_FOR_GOOD: Mapping[Cause, "_StrOrPromise"] = {
    Cause.BOUNCE: gettext_lazy("Not by itself: messages came back for good."),
    Cause.COMPLAINT: gettext_lazy("Not by itself: somebody complained."),
    Cause.STOP: gettext_lazy("Not by itself: STOP was sent."),
    Cause.PERSON: gettext_lazy("Not by itself: the person asked for it."),
    Cause.OPERATOR: gettext_lazy("Not by itself: an operator left it out."),
    Cause.IMPORT: gettext_lazy("Not by itself: it was imported as one to leave out."),
}


def next_release(entry: QuarantinedAddress, *, at: datetime) -> str:
    """Return when an address that is left out, or has errors noted, is as any other again, and why; else nothing."""
    if entry.status == Status.ERRONEOUS and entry.last_error_at:
        forgotten = entry.last_error_at + settings.QUARANTINE_FORGET
        if forgotten > at:
            return _("%(day)s: its errors are forgotten then, if there are no more.") % {"day": _day(forgotten)}
        return _("%(day)s: its errors were forgotten, for there were no more.") % {"day": _day(forgotten)}
    if entry.status != Status.QUARANTINED:
        return ""
    if entry.release_at is None:
        return str(_FOR_GOOD[Cause(entry.cause or 0)])
    words = {"day": _day(entry.release_at)}
    if entry.release_at <= at:
        return _("%(day)s: it has been released then.") % words
    if entry.cause == Cause.BOUNCE and entry.reason == Reason.MAILBOX_FULL:
        return _("%(day)s: its mailbox was full, and may have room again.") % words
    return _("%(day)s: it was left out until then.") % words


def _day(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "DATE_FORMAT")
