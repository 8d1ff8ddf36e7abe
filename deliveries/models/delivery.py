"""What is sent, to whom, and in which words."""

import secrets
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from profiles.channels import Channel
from profiles.models import Brand, Service

from ..held import in_words
from .targets import Audience, PeopleList
from .typologies import Typology

DRAW_PRIME = 2_147_483_647  # 2³¹ − 1


def new_salt() -> int:
    """Return a number for the draws of one delivery."""
    return secrets.randbelow(DRAW_PRIME - 1) + 1


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
    AUDIENCE = "audience", _("An audience")
    LIST = "list", _("A list of people")
    EVERYBODY = "everybody", _("Everybody")


class Addresses(models.TextChoices):
    """At which of a person's addresses a delivery reaches them."""

    PRIMARY = "primary", _("The first address of each person")
    EVERY = "every", _("Every address of each person")


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
    audience = models.ForeignKey(
        Audience, models.PROTECT, null=True, blank=True, verbose_name=_("audience"), related_name="deliveries"
    )
    people_list = models.ForeignKey(
        PeopleList, models.PROTECT, null=True, blank=True, verbose_name=_("list of people"), related_name="deliveries"
    )
    addresses = models.CharField(
        _("addresses"), max_length=10, choices=Addresses.choices, default=Addresses.PRIMARY, db_default="primary"
    )
    typology = models.ForeignKey(
        Typology, models.PROTECT, null=True, blank=True, verbose_name=_("sending rules"), related_name="deliveries",
        help_text=_("Empty: the usual ones."),
    )  # fmt: skip
    control_percent = models.DecimalField(
        _("control group, in percent"), max_digits=5, decimal_places=2, null=True, blank=True,
        help_text=_("So many of the people who could get the message do not, so that you can compare."),
    )  # fmt: skip
    control_count = models.PositiveIntegerField(
        _("control group, number of people"), null=True, blank=True, help_text=_("Instead of a percentage.")
    )
    size_limit = models.PositiveIntegerField(
        _("at most so many messages"), null=True, blank=True, help_text=_("Who gets one is drawn by lot.")
    )
    # Of the draws of the control group and of the size limit (see `deliveries.draw`).
    salt = models.PositiveIntegerField(default=new_salt, editable=False)
    message_class = models.CharField(
        _("kind of message"), max_length=20, choices=MessageClass.choices, default=MessageClass.MARKETING
    )
    state = models.CharField(_("state"), max_length=20, choices=State.choices, default=State.DRAFT, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    scheduled_at = models.DateTimeField(_("to be sent on"), null=True, blank=True, editable=False)
    # How many messages whoever scheduled it agreed to; None: it is not scheduled.
    approved = models.PositiveBigIntegerField(null=True, editable=False)
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
    # What somebody had seen when they went on after a pause: {"handed_over", "hard", "complaints", "blocked"}.
    tolerated = models.JSONField(default=dict, blank=True, editable=False)

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
            models.CheckConstraint(
                condition=~Q(target=Target.AUDIENCE) | Q(audience__isnull=False), name="delivery_target_has_audience"
            ),
            models.CheckConstraint(
                condition=~Q(target=Target.LIST) | Q(people_list__isnull=False), name="delivery_target_has_list"
            ),
            models.CheckConstraint(
                condition=Q(control_percent=None) | Q(control_percent__gte=0, control_percent__lte=100),
                name="delivery_control_percent",
            ),
            models.CheckConstraint(
                condition=Q(control_percent=None) | Q(control_count=None), name="delivery_one_control_group"
            ),
            models.CheckConstraint(
                condition=~Q(state=State.SCHEDULED) | Q(scheduled_at__isnull=False, approved__isnull=False),
                name="delivery_scheduled_for_a_date",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def problem(self) -> str:
        """Return what is the matter with the delivery, in the reader's language."""
        return in_words(self.error)

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
