"""Deliveries: what is sent, to whom, the analysis of it, and one row per targeted address."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from profiles.channels import Channel
from profiles.models import Brand, Service


class MessageClass(models.TextChoices):
    """Which rules a message obeys: marketing all of them; transactional ignores "no longer contact"."""

    MARKETING = "marketing", _("Marketing")
    TRANSACTIONAL = "transactional", _("Transactional")


class State(models.TextChoices):
    """Where a delivery stands. The allowed moves are in `lifecycle`."""

    DRAFT = "draft", _("Draft")
    ANALYSING = "analysing", _("Being analysed")
    ANALYSED = "analysed", _("Analysed")
    SCHEDULED = "scheduled", _("Scheduled")
    SENDING = "sending", _("Being sent")
    PAUSED = "paused", _("Paused")
    STOPPING = "stopping", _("Stopping")
    STOPPED = "stopped", _("Stopped")
    FINISHED = "finished", _("Finished")
    FAILED = "failed", _("Failed")


class Target(models.TextChoices):
    """Whom a delivery is for."""

    SERVICE = "service", _("Subscribers of the service")
    EVERYBODY = "everybody", _("Everybody")


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


class InDoubtPolicy(models.TextChoices):
    """What is done about a message whose outcome is unknown."""

    SKIP = "skip", _("Do not send again")
    RESEND = "resend", _("Send again, with the same identifier")


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def live(self) -> Self:
        return self.filter(archived_at=None)


class Delivery(models.Model):
    """One message to many people."""

    label = models.CharField(_("name"), max_length=200)
    brand = models.ForeignKey(Brand, models.PROTECT, verbose_name=_("brand"), related_name="+")
    channel = models.PositiveSmallIntegerField(_("channel"), choices=Channel.choices, default=Channel.EMAIL)
    service = models.ForeignKey(
        Service, models.PROTECT, null=True, blank=True, verbose_name=_("service"), related_name="deliveries",
        help_text=_("The service that people leave when they unsubscribe from this message."),
    )  # fmt: skip
    target = models.CharField(_("target"), max_length=20, choices=Target.choices, default=Target.SERVICE)
    message_class = models.CharField(
        _("kind of message"), max_length=20, choices=MessageClass.choices, default=MessageClass.MARKETING
    )
    state = models.CharField(_("state"), max_length=20, choices=State.choices, default=State.DRAFT, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    scheduled_at = models.DateTimeField(_("to be sent on"), null=True, blank=True, editable=False)
    in_doubt_policy = models.CharField(
        _("when the outcome is unknown"), max_length=10, choices=InDoubtPolicy.choices, default=InDoubtPolicy.SKIP
    )
    current_run = models.ForeignKey("AnalysisRun", models.SET_NULL, null=True, editable=False, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)
    archived_at = models.DateTimeField(null=True, editable=False)
    error = models.CharField(max_length=500, blank=True, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        permissions = [
            ("analyse_delivery", _("Can analyse a delivery")),
            ("send_delivery", _("Can send a delivery")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(target=Target.SERVICE) | Q(service__isnull=False), name="delivery_target_has_service"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[State.ANALYSED, State.SCHEDULED, State.SENDING, State.PAUSED, State.FINISHED])
                | Q(current_run__isnull=False),
                name="delivery_sent_from_a_run",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def is_editable(self) -> bool:
        """Say whether content and target may still be changed (an analysis is then voided)."""
        return self.state in (State.DRAFT, State.ANALYSED, State.SCHEDULED, State.FAILED)


class DeliveryContent(models.Model):
    """The message in one language. Subject, HTML and text are Liquid templates."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="contents")
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES)
    variant = models.CharField(max_length=20, blank=True, db_default="", editable=False)
    subject = models.CharField(_("subject"), max_length=250, blank=True)
    html = models.TextField(_("HTML"), blank=True)
    text = models.TextField(_("text"), blank=True)

    class Meta:
        verbose_name = _("content")
        verbose_name_plural = _("contents")
        constraints = [models.UniqueConstraint(fields=["delivery", "language", "variant"], name="content_once")]

    def __str__(self) -> str:
        return _("%(language)s: %(subject)s") % {"language": self.get_language_display(), "subject": self.subject}


class AnalysisRun(models.Model):
    """One analysis of a delivery. Once done it never changes; the delivery points to the one that counts."""

    class State(models.TextChoices):
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        STOPPED = "stopped", _("Stopped")
        FAILED = "failed", _("Failed")

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="runs")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    delivery_version = models.PositiveIntegerField()
    at = models.DateTimeField()  # the moment for which expiries and releases are evaluated
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    owner = models.CharField(max_length=40, blank=True)
    expires_at = models.DateTimeField(null=True)
    digests_upto = models.PositiveIntegerField(default=0)  # see analysis.DigestRange: exceptions below are found
    first_profile = models.BigIntegerField(default=0)
    upto = models.BigIntegerField(default=0)  # profiles up to this id are written
    last_profile = models.BigIntegerField(default=0)
    targeted = models.PositiveBigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("analysis")
        verbose_name_plural = _("analyses")
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="run_number_once"),
            models.UniqueConstraint(fields=["delivery"], condition=Q(state="running"), name="one_running_analysis"),
        ]

    def __str__(self) -> str:
        return f"{self.delivery} #{self.number}"


class RunReason(models.Model):
    """How many addresses a reason leaves out in a run: as *the* reason, in all, and since the analysis."""

    run = models.ForeignKey(AnalysisRun, models.CASCADE, related_name="reasons")
    reason = models.PositiveSmallIntegerField(choices=Reason.choices)
    first = models.PositiveBigIntegerField(default=0)
    in_all = models.PositiveBigIntegerField(default=0)
    since = models.PositiveBigIntegerField(default=0)  # rows stopped at their hand-off

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "reason"], name="run_reason_once")]

    def __str__(self) -> str:
        return self.get_reason_display()


class DeliveryException(models.Model):
    """Addresses that a run will leave out, found before its ranges: quarantined ones and duplicates."""

    run = models.ForeignKey(AnalysisRun, models.CASCADE, related_name="+", db_constraint=False)
    profile = models.ForeignKey(
        "profiles.Profile", models.DO_NOTHING, related_name="delivery_exceptions", db_constraint=False
    )
    position = models.PositiveSmallIntegerField()
    cause = models.PositiveSmallIntegerField(null=True)  # of the quarantine
    duplicate = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "profile", "position", "duplicate"], name="exception_once")
        ]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.profile_id}"


_OPEN = [LogStatus.PENDING, LogStatus.HANDING_OFF, LogStatus.RETRY]
_COUNTED = [status.counter for status in LogStatus]


def _sum(names: list[str]) -> Any:
    total: Any = F(names[0])
    for name in names[1:]:
        total = total + F(name)
    return total


class Lease(models.Model):
    """A range of a run's log rows, worked on by one worker at a time, with the counts of its rows by status."""

    run = models.ForeignKey(AnalysisRun, models.CASCADE, related_name="leases")
    after_profile = models.BigIntegerField()  # rows with after_profile < profile <= upto_profile
    upto_profile = models.BigIntegerField()
    size = models.PositiveIntegerField()
    excluded = models.PositiveIntegerField(default=0)
    pending = models.PositiveIntegerField(default=0)
    handing_off = models.PositiveIntegerField(default=0)
    retry = models.PositiveIntegerField(default=0)
    sent = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    suppressed = models.PositiveIntegerField(default=0)
    in_doubt = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    owner = models.CharField(max_length=40, blank=True)
    expires_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)  # the earliest moment of its next retry

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(size=_sum(_COUNTED)), name="lease_balances"),
            models.UniqueConstraint(fields=["run", "after_profile"], name="lease_range_once"),
        ]
        indexes = [
            models.Index(
                fields=["run", "after_profile"],
                name="lease_open",
                condition=Q(pending__gt=0) | Q(handing_off__gt=0) | Q(retry__gt=0),
            )
        ]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.after_profile}–{self.upto_profile}"

    @staticmethod
    def open_q() -> Q:
        """Say which leases still hold rows to work on."""
        return Q(pending__gt=0) | Q(handing_off__gt=0) | Q(retry__gt=0)


class DeliveryLog(models.Model):
    """One targeted address of a run and what became of it. Made for a billion rows.

    No foreign keys in the database: the log outlives profiles, and keys to them would make each row four times
    as dear. The address is the one used, at the time.
    """

    run = models.ForeignKey(AnalysisRun, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    delivery = models.ForeignKey(Delivery, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    profile = models.ForeignKey(
        "profiles.Profile", models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    position = models.PositiveSmallIntegerField(db_default=1)
    status = models.PositiveSmallIntegerField(_("status"), choices=LogStatus.choices)
    reason = models.PositiveSmallIntegerField(_("why"), choices=Reason.choices, db_default=0)
    reasons = models.PositiveIntegerField(db_default=0)
    address = models.CharField(_("address"), max_length=500, db_default="")
    digest = models.BinaryField(max_length=16, null=True)
    attempts = models.PositiveSmallIntegerField(db_default=0)
    claimed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(_("when"), null=True)
    not_before = models.DateTimeField(null=True)
    answer = models.CharField(_("answer"), max_length=255, db_default="")

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [models.UniqueConstraint(fields=["run", "profile", "position"], name="log_once")]
        indexes = [models.Index(fields=["profile", "delivery"], name="log_by_profile")]

    def __str__(self) -> str:
        return self.address


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
