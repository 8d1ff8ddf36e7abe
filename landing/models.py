"""Public pages that marketers publish, and the requests that people make on them."""

from datetime import datetime
from enum import Enum, auto
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from profiles.channels import Channel
from profiles.models import Brand, Service
from profiles.texts import pick, validate_texts


class Kind(models.TextChoices):
    """What a page does."""

    OPT_IN = "opt_in", _("Opt in to messages")
    SUBSCRIPTION = "subscription", _("Subscribe to a service")
    UNSUBSCRIPTION = "unsubscription", _("Unsubscribe from a service")
    OPT_OUT_ALL = "opt_out_all", _("Opt out of everything")


class PageState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    PUBLISHED = "published", _("Published")
    CLOSED = "closed", _("Closed")


class Availability(Enum):
    """What a visitor finds at the address of a page."""

    NOWHERE = auto()
    NOT_YET = auto()
    OPEN = auto()
    OVER = auto()


class LandingPageQuerySet(models.QuerySet["LandingPage"]):
    @staticmethod
    def open_q(at: Any) -> Q:
        """Say which pages take requests at a moment: published, after their opening, before their closing."""
        return (
            Q(state=PageState.PUBLISHED)
            & (Q(opens_at=None) | Q(opens_at__lte=at))
            & (Q(closes_at=None) | Q(closes_at__gt=at))
        )

    def open(self, at: Any) -> Self:
        return self.filter(self.open_q(at)).exclude(service__archived_at__isnull=False)


class LandingPage(models.Model):
    """A public page. What visitors see is its published version; editing changes the next one."""

    name = models.CharField(_("name"), max_length=100)
    slug = models.SlugField(_("address"), max_length=80, unique=True)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    brand = models.ForeignKey(Brand, models.PROTECT, verbose_name=_("brand"), related_name="pages")
    service = models.ForeignKey(
        Service, models.PROTECT, null=True, blank=True, verbose_name=_("service"), related_name="pages"
    )
    channel = models.PositiveSmallIntegerField(_("channel"), choices=Channel.choices, default=Channel.EMAIL)
    double_opt_in = models.BooleanField(
        _("ask for confirmation by mail"), default=True,
        help_text=_("Nothing is recorded about people until they press the button in the message."),
    )  # fmt: skip
    opens_at = models.DateTimeField(_("opens"), null=True, blank=True)
    closes_at = models.DateTimeField(_("closes"), null=True, blank=True)
    redirect_url = models.URLField(_("where a closed page leads"), blank=True)
    title = models.JSONField(_("title"), default=dict, blank=True, validators=[validate_texts])
    introduction = models.JSONField(_("introduction"), default=dict, blank=True, validators=[validate_texts])
    agreement = models.JSONField(
        _("agreement"), default=dict, blank=True, validators=[validate_texts],
        help_text=_("Empty: no box. Otherwise people tick it before they can go on, and the text goes to the ledger."),
    )  # fmt: skip
    ask_name = models.BooleanField(_("ask for the name"), default=True)
    state = models.CharField(
        _("state"), max_length=10, choices=PageState.choices, default=PageState.DRAFT, editable=False
    )
    published = models.ForeignKey(
        "LandingPageVersion", models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )

    objects = LandingPageQuerySet.as_manager()

    class Meta:
        verbose_name = _("public page")
        verbose_name_plural = _("public pages")
        ordering = ["name"]
        permissions = [("publish_landingpage", _("Can publish and close a public page"))]
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind__in=[Kind.SUBSCRIPTION, Kind.UNSUBSCRIPTION]) | Q(service__isnull=False),
                name="page_kind_has_service",
            ),
            models.CheckConstraint(
                condition=~Q(state=PageState.PUBLISHED) | Q(published__isnull=False), name="published_page_has_version"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def availability(self, at: datetime) -> Availability:
        """Say what a visitor finds at a moment; the same rule as `open_q`."""
        if self.state == PageState.DRAFT or self.published is None:
            return Availability.NOWHERE
        archived = self.service is not None and self.service.archived_at is not None
        if self.state == PageState.CLOSED or archived or (self.closes_at and self.closes_at <= at):
            return Availability.OVER
        return Availability.NOT_YET if self.opens_at and self.opens_at > at else Availability.OPEN

    @property
    def is_opt_out(self) -> bool:
        return self.kind in (Kind.UNSUBSCRIPTION, Kind.OPT_OUT_ALL)

    @property
    def public_address(self) -> str:
        """Return the full address to give to visitors."""
        return self.brand.public_url + reverse("landing:page", args=[self.slug])


class LandingPageVersion(models.Model):
    """What a page showed from one publication to the next: kept, because people agreed to it."""

    page = models.ForeignKey(LandingPage, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    title = models.JSONField(default=dict)
    introduction = models.JSONField(default=dict)
    agreement = models.JSONField(default=dict)
    ask_name = models.BooleanField(default=True)
    double_opt_in = models.BooleanField(default=True)
    published_at = models.DateTimeField()
    published_by = models.CharField(max_length=150, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["page", "number"], name="page_version_once")]

    def __str__(self) -> str:
        return f"{pick(self.title)} ({self.number})"


class Request(models.Model):
    """What the two kinds of public request share: who asked for what, on which version, from where."""

    version = models.ForeignKey(LandingPageVersion, models.PROTECT, related_name="+")
    address = models.CharField(max_length=254)
    digest = models.BinaryField(max_length=16)
    language = models.CharField(max_length=10)
    ip = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    handled_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class PendingOptIn(Request):
    """Somebody asked to opt in and has not confirmed yet: the only trace of them until they do."""

    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    agreed = models.BooleanField(default=False)
    lift_channel = models.BooleanField(default=False)  # asked, by their own tick, to receive mail again
    expires_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("request to confirm")
        verbose_name_plural = _("requests to confirm")
        indexes = [
            models.Index(fields=["id"], name="optin_unhandled", condition=Q(handled_at=None)),
            models.Index(fields=["expires_at"], name="optin_by_expiry"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class OptOutRequest(Request):
    """Somebody typed an address to stop messages to it. Handled by a task, so that every answer takes the same time."""

    class Meta:
        verbose_name = _("request to stop")
        verbose_name_plural = _("requests to stop")
        indexes = [models.Index(fields=["id"], name="optout_unhandled", condition=Q(handled_at=None))]

    def __str__(self) -> str:
        return f"#{self.pk}"
