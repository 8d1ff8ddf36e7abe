"""Addresses that must not be written to, whoever has them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from profiles.addresses import domain as domain_of
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
    # What follows the @ of the key; empty for numbers, and once its person was erased.
    domain = models.CharField(_("domain"), max_length=253, blank=True, db_default="", editable=False)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    updated_at = models.DateTimeField(_("changed"), auto_now=True, db_default=Now())

    objects = QuarantinedAddressQuerySet.as_manager()

    class Meta:
        verbose_name = _("address left out")
        verbose_name_plural = _("addresses left out")
        permissions = [
            ("release_quarantinedaddress", _("Can release an address")),
            ("export_quarantinedaddress", _("Can export addresses left out")),
            ("import_quarantinedaddress", _("Can import addresses left out")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["channel", "digest", "scope"], name="quarantined_once"),
            models.CheckConstraint(
                condition=~Q(status=Status.QUARANTINED) | Q(cause__isnull=False, quarantined_at__isnull=False),
                name="quarantined_has_cause_and_date",
            ),
        ]
        # What the list is narrowed by, each in its order, so that a page of it reads only what it shows.
        indexes = [
            models.Index(fields=["status", "-id"], name="quarantined_by_status"),
            models.Index(fields=["cause", "-id"], name="quarantined_by_cause"),
            models.Index(fields=["reason", "-id"], name="quarantined_by_reason"),
            models.Index(fields=["domain", "-id"], name="quarantined_by_domain"),
            models.Index(fields=["domain", "quarantined_at"], name="quarantined_of_domain_since"),
            models.Index(fields=["quarantined_at", "id"], name="quarantined_since"),
            # What the periodic job looks for: releases that are due, and errors that are old.
            models.Index(fields=["release_at"], name="quarantined_until", condition=Q(release_at__isnull=False)),
            models.Index(fields=["last_error_at"], name="quarantined_errors", condition=Q(status=Status.ERRONEOUS)),
        ]

    def __str__(self) -> str:
        return self.value or bytes(self.digest).hex()

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.fill_domain()
        super().save(*args, **kwargs)

    def fill_domain(self) -> None:
        """Keep the domain beside the key that it is part of; who writes rows in bulk calls it."""
        self.domain = domain_of(self.key) if self.key and self.channel == Channel.EMAIL else ""

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
    outage_id = models.BigIntegerField(null=True)  # of a release in bulk, or its undoing

    PERSONAL = ("actor_name", "note")

    class Meta:
        verbose_name = _("change")
        verbose_name_plural = _("history")
        indexes = [
            models.Index(fields=["outage_id", "id"], name="event_of_outage", condition=Q(outage_id__isnull=False)),
            models.Index(fields=["at", "before", "after"], name="event_by_day"),
        ]

    def __str__(self) -> str:
        return self.get_after_display()

    @property
    def source_label(self) -> str:
        """Return the words for where the change came from."""
        return str(Source(self.source).label) if self.source in Source.values else self.source


class Outage(models.Model):
    """A release in bulk: what a provider's failure had put into quarantine. It can be undone.

    Chosen are entries with the cause "message returned" of one domain (and those below it), quarantined within a
    window, whose text holds certain words.
    """

    domain = models.CharField(_("domain"), max_length=253, blank=True)
    subdomains = models.BooleanField(_("and all domains below it"), default=False)
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"))
    text = models.CharField(_("the answer holds"), max_length=200, blank=True)
    reason = models.TextField(_("why"))
    by = models.CharField(_("by"), max_length=150)
    created_at = models.DateTimeField(_("when"), db_default=Now())
    # Entries are released in the order of their numbers: up to here so far.
    done_through = models.BigIntegerField(default=0, editable=False)
    released = models.PositiveIntegerField(_("addresses released"), default=0, editable=False)
    finished_at = models.DateTimeField(_("ended"), null=True, editable=False)
    stopped_at = models.DateTimeField(null=True, editable=False)
    undone_at = models.DateTimeField(_("undone"), null=True, editable=False)
    undone_by = models.CharField(max_length=150, blank=True, db_default="", editable=False)
    undone_through = models.BigIntegerField(default=0, editable=False)
    put_back = models.PositiveIntegerField(_("addresses left out again"), default=0, editable=False)
    undo_finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("release after an outage")
        verbose_name_plural = _("releases after outages")

    def __str__(self) -> str:
        return self.domain or self.text


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
