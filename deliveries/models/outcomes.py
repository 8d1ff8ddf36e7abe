"""What may become of a targeted address, and why one is left out."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class LogStatus(models.IntegerChoices):
    """What became of one targeted address: one vocabulary, everywhere."""

    EXCLUDED = 0, _("Left out")
    PENDING = 1, _("To send")
    HANDING_OFF = 2, _("Leaving")
    RETRY = 3, _("To try again")
    SENT = 4, _("Sent")
    FAILED = 5, _("Refused")
    SUPPRESSED = 6, _("Left out since the analysis")
    IN_DOUBT = 7, _("Outcome unknown")
    CANCELLED = 8, _("Cancelled")

    @property
    def counter(self) -> str:
        """Return the name of the lease's column that counts this status."""
        return self.name.lower()


class Reason(models.IntegerChoices):
    """Why an address is left out. The order is that of the analysis: the first that applies is *the* reason.

    The first fourteen are independent of each other and are all kept, as bit `1 << (reason - 1)`.
    """

    NONE = 0, _("None")
    ADDRESS_MISSING = 1, _("No address")
    ADDRESS_INVALID = 2, _("Address not valid")
    BLACKLISTED = 3, _("Opted out of everything")
    BLACKLISTED_CHANNEL = 4, _("Opted out of this channel")
    QUARANTINED_BOUNCE = 5, _("Address not in use: messages came back")
    QUARANTINED_COMPLAINT = 6, _("Address not in use: complaint")
    QUARANTINED_STOP = 7, _("Address not in use: STOP by SMS")
    QUARANTINED_PERSON = 8, _("Address not in use: the person asked for it")
    QUARANTINED_OPERATOR = 9, _("Address not in use: operator")
    QUARANTINED_IMPORT = 10, _("Address not in use: import")
    BLOCKED_DOMAIN = 11, _("Blocked domain")
    ENCODING = 12, _("Letters that the provider cannot carry")
    FILTERING_RULE = 13, _("Sending rule")
    FATIGUE_RULE = 14, _("Contact pressure")
    DUPLICATE = 15, _("Same address as another person")
    CONTROL_GROUP = 16, _("Control group")
    SIZE_LIMIT = 17, _("Beyond the size limit")
    # Found at the moment of sending only.
    UNSUBSCRIBED = 20, _("Unsubscribed")
    ADDRESS_CHANGED = 21, _("No longer has this address")
    PROFILE_GONE = 22, _("No longer in the database")

    @property
    def bit(self) -> int:
        return 1 << (self - 1)


class Reported(models.IntegerChoices):
    """What was reported about a message after it had been accepted, as bits of one number."""

    SOFT = 1, _("Returned for now")
    HARD = 2, _("Returned for good")
    COMPLAINT = 4, _("Reported as spam")
