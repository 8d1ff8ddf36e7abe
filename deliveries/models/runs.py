"""The analysis of a delivery, the leases of its rows, and one row per targeted address."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from .delivery import Delivery
from .outcomes import LogStatus, Reason


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
    dry = models.BooleanField(default=False)  # only counted: the delivery stays as it is
    plan = models.JSONField(default=dict)  # see deliveries.plan: what the run goes by, as it was when it began
    pressed_upto = models.BigIntegerField(default=0)  # contact pressure is counted for profiles up to this id
    digests_upto = models.PositiveIntegerField(default=0)  # see analysis.DigestRange: exceptions below are found
    first_profile = models.BigIntegerField(default=0)
    upto = models.BigIntegerField(default=0)  # profiles up to this id are written
    last_profile = models.BigIntegerField(default=0)
    # What the draws of the control group and of the size limit cut at, and the profiles for which they are done.
    control_cut = models.BigIntegerField(null=True)
    control_upto = models.BigIntegerField(default=0)
    limit_cut = models.BigIntegerField(null=True)
    limit_upto = models.BigIntegerField(default=0)
    targeted = models.PositiveBigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    # Reported after the message was accepted: marks on rows that stay sent.
    complaints = models.PositiveIntegerField(default=0, db_default=0)
    bounces = models.PositiveIntegerField(default=0, db_default=0)
    purged_at = models.DateTimeField(null=True)  # its log rows are deleted; its counters stay
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


class RunRule(models.Model):
    """How many addresses a sending rule leaves out in a run, and what the rule was called."""

    run = models.ForeignKey(AnalysisRun, models.CASCADE, related_name="rules")
    rule = models.PositiveBigIntegerField()  # of a TypologyRule, which may be gone
    reason = models.PositiveSmallIntegerField(choices=Reason.choices)
    label = models.CharField(max_length=100)
    number = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "rule"], name="run_rule_once")]

    def __str__(self) -> str:
        return self.label


class ExceptionKind(models.IntegerChoices):
    QUARANTINED = 1
    FATIGUE = 2  # of the whole person: position 0
    DUPLICATE = 3


class DeliveryException(models.Model):
    """Addresses that a run will leave out, found before its ranges."""

    run = models.ForeignKey(AnalysisRun, models.CASCADE, related_name="+", db_constraint=False)
    profile = models.ForeignKey(
        "profiles.Profile", models.DO_NOTHING, related_name="delivery_exceptions", db_constraint=False
    )
    position = models.PositiveSmallIntegerField()
    kind = models.PositiveSmallIntegerField(choices=ExceptionKind.choices)
    cause = models.PositiveSmallIntegerField(null=True)  # of the quarantine
    rule = models.PositiveBigIntegerField(null=True)  # of contact pressure

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "profile", "position", "kind"], name="exception_once")]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.profile_id}"


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
    # What hand-offs took: those that ended as sent, and the others, of which a row may have several.
    sent_ms = models.PositiveBigIntegerField(default=0, db_default=0)
    failed_ms = models.PositiveBigIntegerField(default=0, db_default=0)
    failed_tries = models.PositiveIntegerField(default=0, db_default=0)
    # Of the failed ones, those whose address or domain does not exist.
    hard = models.PositiveIntegerField(default=0, db_default=0)
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


class SendingMinute(models.Model):
    """How many messages of a run were sent and refused within one minute: drawn over time, and decided by nothing.

    A worker adds what it did when it gives a lease back; one that is killed takes with it what it had not added.
    """

    run = models.ForeignKey(AnalysisRun, models.CASCADE, related_name="minutes")
    at = models.DateTimeField()  # the beginning of the minute
    sent = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "at"], name="sending_minute_once")]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.at}"


class RunDomain(models.Model):
    """What the mail domain of some addresses of a run answered. Added to when a worker gives a lease back."""

    run = models.ForeignKey(AnalysisRun, models.CASCADE, related_name="domains")
    domain = models.CharField(max_length=253)
    sent = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    deferred = models.PositiveIntegerField(default=0)  # answers that ask to try again later
    blocked = models.PositiveIntegerField(default=0)  # refusals of who we are or what we send
    trouble = models.PositiveIntegerField(default=0)  # all but sent, to list the worst first
    answer = models.CharField(max_length=255, blank=True)  # the last one that was not a yes

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "domain"], name="run_domain_once")]
        indexes = [models.Index(fields=["run", "-trouble"], name="run_domain_worst")]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.domain}"


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
    rule = models.PositiveIntegerField(null=True)  # the sending rule that left it out
    address = models.CharField(_("address"), max_length=500, db_default="")
    digest = models.BinaryField(max_length=16, null=True)
    attempts = models.PositiveSmallIntegerField(db_default=0)
    claimed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(_("when"), null=True)
    not_before = models.DateTimeField(null=True)
    answer = models.CharField(_("answer"), max_length=255, db_default="")
    reported = models.PositiveSmallIntegerField(db_default=0)  # what came back later: the sum of values of Reported

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [models.UniqueConstraint(fields=["run", "profile", "position"], name="log_once")]
        indexes = [
            models.Index(fields=["profile", "delivery"], name="log_by_profile"),
            # Nothing that sending writes is in it, so that marking a row as sent touches no index.
            models.Index(
                fields=["run", "reason", "profile", "position"], name="log_by_reason", condition=Q(reason__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return self.address
