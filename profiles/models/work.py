"""Work that is done by rows: confirmations to send, files to import."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .consent import Service
from .people import Brand


class OutboxMessage(models.Model):
    """A confirmation to send, written in the transaction of the change that it confirms."""

    class State(models.IntegerChoices):
        PENDING = 0, _("Waiting")
        HANDING_OFF = 1, _("Leaving")
        SENT = 2, _("Sent")
        FAILED = 3, _("Refused")
        SUPPRESSED = 4, _("Left out")
        IN_DOUBT = 5, _("Outcome unknown")

    state = models.PositiveSmallIntegerField(choices=State.choices, default=State.PENDING)
    template = models.CharField(max_length=40)
    address = models.CharField(max_length=500)
    digest = models.BinaryField(max_length=16)
    profile_id = models.BigIntegerField(null=True)
    brand = models.ForeignKey(Brand, models.CASCADE, related_name="+")
    service = models.ForeignKey(Service, models.CASCADE, null=True, related_name="+")
    language = models.CharField(max_length=10)
    # The words of an own message, as they were when it was posted; empty for the default one.
    subject = models.CharField(max_length=300, blank=True)
    text = models.TextField(blank=True)
    # A link is made when the message is rendered: URL name, purpose and subject id, so that no token is stored.
    link_view = models.CharField(max_length=60, blank=True)
    link_purpose = models.CharField(max_length=30, blank=True)
    link_subject = models.BigIntegerField(null=True)
    # The person has just asked for this message, so it may reach an address quarantined at their own request.
    requested = models.BooleanField(default=False)
    dedupe = models.CharField(max_length=80, unique=True, null=True)
    created_at = models.DateTimeField(db_default=Now())
    not_before = models.DateTimeField(db_default=Now())
    claimed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=255, blank=True)

    class Meta:
        indexes = [models.Index(fields=["not_before"], name="outbox_waiting", condition=Q(state__lt=2))]

    def __str__(self) -> str:
        return f"{self.template} #{self.pk}"


class ImportJob(models.Model):
    """A file of people being imported: its options, how far it got, and what it found."""

    class State(models.TextChoices):
        UPLOADED = "uploaded", _("To check")
        CHECKING = "checking", _("Being checked")
        CHECKED = "checked", _("To confirm")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        STOPPED = "stopped", _("Stopped")
        FAILED = "failed", _("Failed")

    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.UPLOADED)
    file = models.FileField(_("file"), upload_to="imports/")
    file_name = models.CharField(_("file name"), max_length=200)
    file_digest = models.CharField(max_length=64, blank=True)
    service = models.ForeignKey(Service, models.PROTECT, null=True, blank=True, verbose_name=_("subscribe them to"))
    provenance = models.CharField(_("where these people come from"), max_length=300, blank=True)
    basis = models.CharField(_("lawful basis"), max_length=300, blank=True)
    only_opt_outs = models.BooleanField(
        _("only opt-outs"), default=False,
        help_text=_("A list of addresses that must not be written to, from a former system. It makes no profile."),
    )  # fmt: skip
    # What the file holds, where another application reads it (profiles.imports.contents); empty: people or opt-outs.
    kind = models.CharField(max_length=20, blank=True, db_default="", editable=False)
    keep_invalid = models.BooleanField(_("keep people whose address cannot be read"), default=False)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("by")
    )
    created_at = models.DateTimeField(_("uploaded"), auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    owner = models.CharField(max_length=40, blank=True)
    expires_at = models.DateTimeField(null=True)  # the lease of the worker that runs it
    total = models.PositiveIntegerField(_("lines"), default=0)
    upto = models.PositiveIntegerField(_("lines done"), default=0)
    created = models.PositiveIntegerField(_("new"), default=0)
    updated = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    errors = models.PositiveIntegerField(_("refused"), default=0)
    warnings = models.PositiveIntegerField(_("remarks"), default=0)
    opted_out = models.PositiveIntegerField(_("opted out"), default=0)
    subscribed = models.PositiveIntegerField(_("subscribed"), default=0)
    lifts_ignored = models.PositiveIntegerField(_("would have lifted an opt-out: ignored"), default=0)
    message = models.TextField(blank=True)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        constraints = [
            models.CheckConstraint(
                condition=Q(upto=F("created") + F("updated") + F("unchanged") + F("errors")), name="import_balances"
            )
        ]

    def __str__(self) -> str:
        return self.file_name


class ImportNote(models.Model):
    """What an import says about one line: an error (the line was not applied) or a remark."""

    class Level(models.IntegerChoices):
        ERROR = 1, _("Error")
        REMARK = 2, _("Remark")

    job = models.ForeignKey(ImportJob, models.CASCADE, related_name="notes")
    level = models.PositiveSmallIntegerField(choices=Level.choices)
    line = models.PositiveIntegerField(_("line"))
    column = models.CharField(_("column"), max_length=100, blank=True)
    value = models.CharField(_("value"), max_length=200, blank=True)
    # A code, translated when it is shown: a worker has no visitor's language.
    code = models.CharField(max_length=40)

    class Meta:
        indexes = [models.Index(fields=["job", "line"], name="import_note_by_line")]

    def __str__(self) -> str:
        return f"{self.line}: {self.code}"


class AuditEvent(models.Model):
    """Who did what in the back-office that no row of its own tells: append-only (triggers)."""

    class Action(models.TextChoices):
        ADDED = "added", _("Added")
        CHANGED = "changed", _("Changed")
        DELETED = "deleted", _("Deleted")
        PUBLISHED = "published", _("Published")
        CLOSED = "closed", _("Closed")
        ARCHIVED = "archived", _("Archived")
        REOPENED = "reopened", _("Opened again")
        EXPORTED = "exported", _("Exported")
        RESTORED = "restored", _("Opt-outs taken back")
        DISMISSED = "dismissed", _("Looked at, nothing done")

    at = models.DateTimeField(_("when"), db_default=Now())
    action = models.CharField(_("what"), max_length=20, choices=Action.choices)
    subject = models.CharField(_("of what"), max_length=60)  # app.Model
    subject_id = models.CharField(max_length=40, blank=True)
    label = models.CharField(_("name"), max_length=200, blank=True)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(_("by"), max_length=150, blank=True)
    before = models.JSONField(_("before"), default=dict, blank=True)
    after = models.JSONField(_("after"), default=dict, blank=True)
    rows = models.PositiveIntegerField(_("rows"), null=True)  # how many an export held, or an act touched
    reason = models.TextField(_("reason"), blank=True)

    PERSONAL = ("actor_name", "reason")

    class Meta:
        verbose_name = _("act in the back-office")
        verbose_name_plural = _("acts in the back-office")
        indexes = [models.Index(fields=["subject", "subject_id"], name="audit_by_subject")]

    def __str__(self) -> str:
        return f"{self.get_action_display()} ({self.label})" if self.label else str(self.get_action_display())
