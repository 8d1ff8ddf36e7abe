"""The ways of reaching a person."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Channel(models.IntegerChoices):
    """A way of reaching a person. Stored as a small integer: the log has a row per targeted address."""

    EMAIL = 1, _("Email")
    SMS = 2, _("SMS")
    PUSH = 3, _("Push notification")
    DIRECT_MAIL = 4, _("Direct mail")
    PHONE = 5, _("Phone")

    @property
    def slug(self) -> str:
        """Return the name used in field names and CSV columns, such as ``direct_mail``."""
        return self.name.lower()
