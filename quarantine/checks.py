"""Settings by which no address would ever be left out, or every one."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

MOST_ERRORS = 100
LONGEST = timedelta(days=3650)


@register()
def check_quarantine(**_: Any) -> list[CheckMessage]:
    """Refuse thresholds that make no sense, each by itself and together."""
    errors: list[CheckMessage] = []
    if not 1 <= settings.QUARANTINE_ERRORS <= MOST_ERRORS:
        errors.append(Error(f"QUARANTINE_ERRORS must be from 1 to {MOST_ERRORS}.", id="quarantine.E001"))
    if not timedelta(0) <= settings.QUARANTINE_BETWEEN_ERRORS <= LONGEST:
        errors.append(Error("QUARANTINE_ERROR_HOURS must be 0 or more, and 10 years at most.", id="quarantine.E002"))
    if not timedelta(0) < settings.QUARANTINE_FORGET <= LONGEST:
        errors.append(Error("QUARANTINE_FORGET_DAYS must be from 1 to 3650.", id="quarantine.E003"))
    elif settings.QUARANTINE_FORGET <= settings.QUARANTINE_BETWEEN_ERRORS:
        told = "QUARANTINE_FORGET_DAYS must be longer than QUARANTINE_ERROR_HOURS: no second error would ever count."
        errors.append(Error(told, id="quarantine.E003"))
    if not timedelta(0) < settings.MAILBOX_FULL_RELEASE <= LONGEST:
        errors.append(Error("MAILBOX_FULL_DAYS must be from 1 to 3650.", id="quarantine.E004"))
    return errors
