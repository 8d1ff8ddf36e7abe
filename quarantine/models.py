"""Addresses that must not be written to, whoever has them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from profiles.addresses import mask
from profiles.channels import Channel
from profiles.models import Source


class Status(models.IntegerChoices):
    """What is done about an address."""

    VALID = 0, _("Valid")
    ERRONEOUS = 1, _("Errors noted, still written to")
    QUARANTINED = 2, _("Not written to")
    ALLOWLISTED = 3, _("Always written to, errors ignored")


class Cause(models.IntegerChoices):
    """What led to an address being quarantined."""

    BOUNCE = 1, _("Message returned")
    COMPLAINT = 2, _("Complaint")
    STOP = 3, _("STOP by SMS")
    PERSON = 4, _("The person asked for it")
    OPERATOR = 5, _("Operator")
    IMPORT = 6, _("Import")


class Reason(models.IntegerChoices):
    """What the receiving side said was wrong."""

    NOT_DEFINED = 0, _("Not known")
    USER_UNKNOWN = 1, _("No such mailbox")
    INVALID_DOMAIN = 2, _("No such domain")
    UNREACHABLE = 3, _("Could not be reached")
    ACCOUNT_DISABLED = 4, _("Mailbox closed")
    MAILBOX_FULL = 5, _("Mailbox full")
    NOT_CONNECTED = 6, _("Phone switched off")
    REFUSED = 20, _("Refused")


class QuarantinedAddressQuerySet(models.QuerySet["QuarantinedAddress"]):
    @staticmethod
    def blocking_q(at: Any) -> Q:
        """Say which entries forbid writing at a moment: quarantined, and not released yet."""
        return Q(status=Status.QUARANTINED) & (Q(release_at=None) | Q(release_at__gt=at))

    def blocking(self, at: datetime) -> Self:
        return self.filter(self.blocking_q(at))

    def with_digests(self, values: Iterable[bytes]) -> Self:
        """Keep the entries with these digests. Naming every channel lets the unique index serve."""
        return self.filter(channel__in=Channel.values, digest__in=list(values))


class QuarantinedAddress(models.Model):
    """What is known about an address, on one channel, for the whole platform. It needs no profile."""

    channel = models.PositiveSmallIntegerField(_("channel"), choices=Channel.choices)
    digest = models.BinaryField(max_length=16, editable=False)
    # The SMS sender number an entry is limited to; empty: all of them.
    scope = models.CharField(max_length=20, blank=True, db_default="", editable=False)
    value = models.CharField(_("address"), max_length=500, blank=True, null=True)
    key = models.CharField(max_length=500, blank=True, null=True, editable=False, db_index=True)
    status = models.PositiveSmallIntegerField(_("status"), choices=Status.choices, default=Status.QUARANTINED)
    cause = models.PositiveSmallIntegerField(_("cause"), choices=Cause.choices, null=True)
    reason = models.PositiveSmallIntegerField(_("what was wrong"), choices=Reason.choices, default=Reason.NOT_DEFINED)
    errors = models.PositiveSmallIntegerField(_("errors"), default=0)
    last_error_at = models.DateTimeField(_("last error"), null=True, blank=True)
    quarantined_at = models.DateTimeField(_("since"), null=True, blank=True)
    release_at = models.DateTimeField(_("next release"), null=True, blank=True)
    text = models.CharField(_("answer"), max_length=500, blank=True, help_text=_("What the receiving side wrote."))
    delivery_name = models.CharField(_("delivery"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    updated_at = models.DateTimeField(_("changed"), auto_now=True, db_default=Now())

    objects = QuarantinedAddressQuerySet.as_manager()

    class Meta:
        verbose_name = _("address left out")
        verbose_name_plural = _("addresses left out")
        permissions = [("release_quarantinedaddress", _("Can release an address"))]
        constraints = [
            models.UniqueConstraint(fields=["channel", "digest", "scope"], name="quarantined_once"),
            models.CheckConstraint(
                condition=~Q(status=Status.QUARANTINED) | Q(cause__isnull=False, quarantined_at__isnull=False),
                name="quarantined_has_cause_and_date",
            ),
        ]

    def __str__(self) -> str:
        return self.value or bytes(self.digest).hex()

    @property
    def masked(self) -> str:
        return mask(Channel(self.channel), self.value or "")

    def is_blocking(self, at: datetime) -> bool:
        """Say whether the entry forbids writing at a moment; the same rule as `blocking_q`."""
        return self.status == Status.QUARANTINED and (self.release_at is None or self.release_at > at)


class QuarantineEvent(models.Model):
    """One change of an entry. Append-only (triggers)."""

    at = models.DateTimeField(_("when"), db_default=Now())
    entry_id = models.BigIntegerField(db_index=True)
    channel = models.PositiveSmallIntegerField(choices=Channel.choices)
    digest = models.BinaryField(max_length=16)
    before = models.PositiveSmallIntegerField(_("before"), choices=Status.choices, null=True)
    after = models.PositiveSmallIntegerField(_("after"), choices=Status.choices)
    cause = models.PositiveSmallIntegerField(_("cause"), choices=Cause.choices, null=True)
    reason = models.PositiveSmallIntegerField(_("what was wrong"), choices=Reason.choices, default=Reason.NOT_DEFINED)
    source = models.CharField(_("from"), max_length=20)
    actor_name = models.CharField(_("by"), max_length=150, blank=True, db_default="")
    note = models.TextField(_("reason"), blank=True, db_default="")
    delivery_id = models.BigIntegerField(null=True)

    PERSONAL = ("actor_name", "note")

    class Meta:
        verbose_name = _("change")
        verbose_name_plural = _("history")

    def __str__(self) -> str:
        return self.get_after_display()

    @property
    def source_label(self) -> str:
        """Return the words for where the change came from."""
        return str(Source(self.source).label) if self.source in Source.values else self.source


class BlockedDomain(models.Model):
    """A mail domain to which nothing is sent; with `subdomains`, those below it as well."""

    domain = models.CharField(_("domain"), max_length=253, unique=True, help_text=_("Such as example.org."))
    subdomains = models.BooleanField(_("and all domains below it"), default=False)
    note = models.CharField(_("why"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("since"), db_default=Now())

    class Meta:
        verbose_name = _("blocked domain")
        verbose_name_plural = _("blocked domains")

    def __str__(self) -> str:
        return self.domain
