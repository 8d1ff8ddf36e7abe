"""Tests of a message, to an explicit list."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .delivery import Delivery
from .outcomes import LogStatus, Reason


class ProofRecipient(models.Model):
    """An address to which tests of this delivery may be sent: an explicit list, never people of the base."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="proof_recipients")
    address = models.EmailField(_("address"))

    class Meta:
        verbose_name = _("address for tests")
        verbose_name_plural = _("addresses for tests")
        constraints = [models.UniqueConstraint(fields=["delivery", "address"], name="proof_recipient_once")]

    def __str__(self) -> str:
        return self.address


class Proof(models.Model):
    """One test message: which version was sent, to whom, and what the receiving side answered."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="proofs")
    delivery_version = models.PositiveIntegerField()
    address = models.EmailField(_("address"))
    language = models.CharField(_("language"), max_length=10)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    status = models.PositiveSmallIntegerField(_("status"), choices=LogStatus.choices, default=LogStatus.PENDING)
    reason = models.PositiveSmallIntegerField(_("why"), choices=Reason.choices, default=Reason.NONE)
    answer = models.CharField(_("answer"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("asked"), db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("test")
        verbose_name_plural = _("tests")

    def __str__(self) -> str:
        return self.address
