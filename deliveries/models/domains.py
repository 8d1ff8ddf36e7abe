"""How fast each mail domain is written to, and which of them ask for patience. For all deliveries together."""

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class MailDomain(models.Model):
    """A mail domain with limits of its own, or one that has asked us to wait."""

    domain = models.CharField(_("domain"), max_length=253, unique=True, help_text=_("Such as example.org."))
    per_minute = models.PositiveIntegerField(
        _("messages a minute, at most"), null=True, blank=True, validators=[MinValueValidator(1)],
        help_text=_("Empty: as many as the mail server takes."),
    )  # fmt: skip
    at_once = models.PositiveSmallIntegerField(
        _("messages at the same time, at most"), null=True, blank=True, validators=[MinValueValidator(1)],
        help_text=_("Empty: as many as there are connections."),
    )  # fmt: skip
    # Its answers asked us to wait: until when, how many times in a row, and in which words.
    not_before = models.DateTimeField(_("waits until"), null=True, editable=False)
    deferrals = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    answer = models.CharField(_("last answer"), max_length=255, blank=True, editable=False)
    answered_at = models.DateTimeField(_("answered"), null=True, editable=False)
    # Where no Redis is shared: the moment (in seconds since 1970) from which the next message may leave.
    next_at = models.FloatField(default=0, db_default=0, editable=False)

    class Meta:
        verbose_name = _("mail domain")
        verbose_name_plural = _("mail domains")

    def __str__(self) -> str:
        return self.domain


class DomainSlot(models.Model):
    """A message that is leaving to a domain with `at_once`; used where no Redis is shared."""

    domain = models.ForeignKey(MailDomain, models.CASCADE, related_name="slots")
    number = models.PositiveSmallIntegerField()  # from 1 to `at_once`
    owner = models.CharField(max_length=40, blank=True)
    expires_at = models.FloatField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["domain", "number"], name="domain_slot_once")]

    def __str__(self) -> str:
        return f"{self.domain_id}/{self.number}"
