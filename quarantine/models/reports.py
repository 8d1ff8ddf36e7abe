"""Reports about messages of ours: what came in and was not acted on, and the rules by which answers are read."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .entries import Reason


class ReportKind(models.TextChoices):
    """What a message that came in is."""

    BOUNCE = "bounce", _("Message returned")
    COMPLAINT = "complaint", _("Complaint")
    AUTO_REPLY = "auto_reply", _("Automatic reply")
    UNSUBSCRIBE = "unsubscribe", _("Unsubscribe message")
    OTHER = "other", _("Other")


class ReportState(models.IntegerChoices):
    """What was done about a report."""

    APPLIED = 1, _("Acted on")
    WAITING = 2, _("Waits for a decision")
    ACCEPTED = 3, _("Accepted by a person")
    DISMISSED = 4, _("Dismissed")
    BROKEN = 5, _("Could not be dealt with")


class Triage(models.IntegerChoices):
    """Why a report was not acted on."""

    NONE = 0, "—"
    NO_TOKEN = 1, _("It does not prove which message it is about")
    FORGED = 2, _("Its proof is not one of ours")
    OTHER_RECIPIENT = 3, _("It names somebody whom that message was not for")
    UNKNOWN_MESSAGE = 4, _("Nothing is known of that message any more, or it was not sent")
    UNREADABLE = 5, _("It could not be read")


class Report(models.Model):
    """A report that came in and that a person may have to look at. What was acted on needs none: its log row tells.

    `fingerprint` is the beginning of the SHA-256 of what came in, so that the same one twice is one row. `raw` is kept
    as long as a decision may be needed. All of it is written by strangers.
    """

    fingerprint = models.BinaryField(max_length=16, unique=True, editable=False)
    kind = models.CharField(_("kind"), max_length=20, choices=ReportKind.choices)
    state = models.PositiveSmallIntegerField(_("state"), choices=ReportState.choices)
    triage = models.PositiveSmallIntegerField(_("why"), choices=Triage.choices, default=Triage.NONE)
    source = models.CharField(_("from"), max_length=20)
    log_id = models.BigIntegerField(null=True, editable=False)
    # [{"address", "failure", "reason", "status", "action", "diagnostic"}], as `receive_mail --json` prints them.
    recipients = models.JSONField(_("about"), default=list, editable=False)
    raw = models.BinaryField(_("message"), null=True, editable=False)
    received_at = models.DateTimeField(_("received"), db_default=Now())
    decided_at = models.DateTimeField(_("decided"), null=True)
    decided_by = models.CharField(_("by"), max_length=150, blank=True, db_default="")
    note = models.TextField(_("reason"), blank=True, db_default="")

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports about messages")
        permissions = [("accept_report", _("Can accept or dismiss a report"))]
        indexes = [models.Index(fields=["state", "-id"], name="report_by_state")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"


class Effect(models.TextChoices):
    """How much an answer says about an address, in the words of an own rule."""

    HARD = "hard", _("Leave the address out at once")
    SOFT = "soft", _("Count an error")
    IGNORED = "ignored", _("Nothing")


class Whose(models.TextChoices):
    """Whose fault a refusal is, in the words of an own rule."""

    ADDRESS = "address", _("This address: other messages may pass")
    DOMAIN = "domain", _("Its provider asks us to wait, or blocks us for now")
    SENDER = "sender", _("Ours: every message would meet it")


class AnswerRule(models.Model):
    """An own rule for what an answer of a mail system means; tried before the built-in ones, lowest position first.

    `pattern` is words that the answer holds, upper and lower case alike; * stands for anything in between.
    """

    position = models.PositiveSmallIntegerField(_("position"), default=100, help_text=_("Lower ones are tried first."))
    pattern = models.CharField(
        _("the answer holds"), max_length=200, help_text=_("Words as they stand in the answer; * stands for anything.")
    )
    effect = models.CharField(_("what follows"), max_length=10, choices=Effect.choices)
    reason = models.PositiveSmallIntegerField(_("what was wrong"), choices=Reason.choices, default=Reason.NOT_DEFINED)
    whose = models.CharField(_("whose fault"), max_length=10, choices=Whose.choices, default=Whose.ADDRESS)
    is_active = models.BooleanField(_("in use"), default=True)
    note = models.CharField(_("why"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("own rule for answers")
        verbose_name_plural = _("own rules for answers")
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.pattern
