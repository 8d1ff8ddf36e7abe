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
from profiles.models import Brand, Confirmation, Service
from profiles.texts import pick, validate_texts


class Kind(models.TextChoices):
    """What a page does."""

    OPT_IN = "opt_in", _("Opt in to messages")
    SUBSCRIPTION = "subscription", _("Subscribe to a service")
    UNSUBSCRIPTION = "unsubscription", _("Unsubscribe from a service")
    OPT_OUT_ALL = "opt_out_all", _("Opt out of everything")
    PREFERENCES = "preferences", _("Preferences")


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
            & LandingPageQuerySet.offered_q()
        )

    @staticmethod
    def offered_q() -> Q:
        """Say which pages offer nothing private and nothing archived; pages on which people leave always stay."""
        return ~Q(kind=Kind.SUBSCRIPTION) | Q(service__archived_at=None, service__is_public=True)

    def open(self, at: Any) -> Self:
        return self.filter(self.open_q(at))


class Content(models.Model):
    """What a page says and asks: the draft of a page has it, and each of its versions keeps it."""

    title = models.JSONField(_("title"), default=dict, blank=True, validators=[validate_texts])
    introduction = models.JSONField(_("introduction"), default=dict, blank=True, validators=[validate_texts])
    agreement = models.JSONField(
        _("agreement"), default=dict, blank=True, validators=[validate_texts],
        help_text=_("Empty: no box. Otherwise people tick it before they can go on, and the text goes to the ledger."),
    )  # fmt: skip
    double_opt_in = models.BooleanField(
        _("ask for confirmation by mail"), default=True,
        help_text=_("Nothing is recorded about people until they press the button in the message."),
    )  # fmt: skip
    thanks_title = models.JSONField(_("title once sent"), default=dict, blank=True, validators=[validate_texts])
    thanks_text = models.JSONField(_("text once sent"), default=dict, blank=True, validators=[validate_texts])
    closed_text = models.JSONField(_("text of the closed page"), default=dict, blank=True, validators=[validate_texts])
    # A message at each submit, where a service sends one at the first subscription only.
    confirmation = models.CharField(
        _("message when somebody has used the page"), max_length=10, choices=Confirmation.choices,
        default=Confirmation.NONE,
    )  # fmt: skip
    confirmation_subject = models.JSONField(_("subject"), default=dict, blank=True, validators=[validate_texts])
    confirmation_text = models.JSONField(_("text"), default=dict, blank=True, validators=[validate_texts])

    class Meta:
        abstract = True


class LandingPage(Content):
    """A public page. What visitors see is its published version; editing changes the next one."""

    name = models.CharField(_("name"), max_length=100)
    slug = models.SlugField(_("address"), max_length=80, unique=True)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    brand = models.ForeignKey(Brand, models.PROTECT, verbose_name=_("brand"), related_name="pages")
    service = models.ForeignKey(
        Service, models.PROTECT, null=True, blank=True, verbose_name=_("service"), related_name="pages"
    )
    channel = models.PositiveSmallIntegerField(_("channel"), choices=Channel.choices, default=Channel.EMAIL)
    opens_at = models.DateTimeField(_("opens"), null=True, blank=True)
    closes_at = models.DateTimeField(_("closes"), null=True, blank=True)
    redirect_url = models.URLField(_("where a closed page leads"), blank=True)
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
        if self.state == PageState.CLOSED or not self.is_offered or (self.closes_at and self.closes_at <= at):
            return Availability.OVER
        return Availability.NOT_YET if self.opens_at and self.opens_at > at else Availability.OPEN

    @property
    def is_offered(self) -> bool:
        """Say whether everybody may subscribe to what the page is about; the same rule as `offered_q`."""
        if self.kind != Kind.SUBSCRIPTION or self.service is None:
            return True
        return self.service.is_public and self.service.archived_at is None

    @property
    def is_opt_out(self) -> bool:
        return self.kind in (Kind.UNSUBSCRIPTION, Kind.OPT_OUT_ALL)

    @property
    def public_address(self) -> str:
        """Return the full address to give to visitors."""
        return self.brand.public_url + reverse("landing:page", args=[self.slug])


class Asked(models.TextChoices):
    """What the form of a page can ask for besides the address."""

    FIRST_NAME = "first_name", _("First name")
    LAST_NAME = "last_name", _("Last name")
    BIRTH_DATE = "birth_date", _("Birth date")
    COUNTRY = "country", _("Country")
    MOBILE_PHONE = "mobile_phone", _("Mobile phone")
    POSTAL_ADDRESS = "postal_address", _("Postal address")
    OTHER = "other", _("Something else")


class LandingPageField(models.Model):
    """One thing that the form of a page asks for, in the order of `position`."""

    page = models.ForeignKey(LandingPage, models.CASCADE, related_name="asked")
    position = models.PositiveSmallIntegerField(_("place"), default=1)
    name = models.CharField(_("field"), max_length=20, choices=Asked.choices)
    # The name under which an answer of the kind OTHER is kept with the person.
    attribute = models.SlugField(_("name of the other field"), max_length=50, blank=True)
    label = models.JSONField(
        _("label"), default=dict, blank=True, validators=[validate_texts], help_text=_("Empty: the usual words.")
    )
    required = models.BooleanField(_("required"), default=False)

    class Meta:
        verbose_name = _("field of the form")
        verbose_name_plural = _("fields of the form")
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["page", "name", "attribute"], name="page_asks_once"),
            models.CheckConstraint(condition=Q(name=Asked.OTHER) ^ Q(attribute=""), name="other_field_has_a_name"),
        ]

    def __str__(self) -> str:
        return pick(self.label) or self.get_name_display()

    @property
    def key(self) -> str:
        """Return the name of the input, and of the answer."""
        return f"other-{self.attribute}" if self.name == Asked.OTHER else self.name

    def as_json(self) -> dict[str, Any]:
        """Return what a version keeps of the field."""
        return {"name": self.name, "attribute": self.attribute, "label": self.label, "required": self.required}


class LandingPageVersion(Content):
    """What a page showed from one publication to the next: kept, because people agreed to it."""

    page = models.ForeignKey(LandingPage, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    fields = models.JSONField(default=list)  # of LandingPageField.as_json, in order
    published_at = models.DateTimeField()
    published_by = models.CharField(max_length=150, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["page", "number"], name="page_version_once")]

    def __str__(self) -> str:
        return f"{pick(self.title)} ({self.number})"


class Request(models.Model):
    """What the kinds of public request share: who asked, from where."""

    address = models.CharField(max_length=254)
    digest = models.BinaryField(max_length=16)
    language = models.CharField(max_length=10)
    ip = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    handled_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class PageRequest(Request):
    """A request by the form of a page: what was read is that version of it."""

    version = models.ForeignKey(LandingPageVersion, models.PROTECT, related_name="+")

    class Meta:
        abstract = True


class PendingOptIn(PageRequest):
    """Somebody asked to opt in and has not confirmed yet: the only trace of them until they do."""

    answers = models.JSONField(default=dict)  # by LandingPageField.key
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


class OptOutRequest(PageRequest):
    """Somebody typed an address to stop messages to it. Handled by a task, so that every answer takes the same time."""

    class Meta:
        verbose_name = _("request to stop")
        verbose_name_plural = _("requests to stop")
        indexes = [models.Index(fields=["id"], name="optout_unhandled", condition=Q(handled_at=None))]
        # Somebody who presses ten thousand times has one row until it is acted on, and nothing is lost by that.
        constraints = [
            models.UniqueConstraint(
                fields=["version", "digest"], condition=Q(handled_at=None), name="optout_waits_once"
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class PreferencesRequest(Request):
    """Somebody asked for the link to their preferences: on the public page, or by the link of a message."""

    brand = models.ForeignKey(Brand, models.PROTECT, related_name="+")
    channel = models.PositiveSmallIntegerField(choices=Channel.choices, default=Channel.EMAIL)
    expires_at = models.DateTimeField(null=True)  # of the link, once it is mailed

    class Meta:
        verbose_name = _("request for preferences")
        verbose_name_plural = _("requests for preferences")
        indexes = [
            models.Index(fields=["id"], name="preferences_unhandled", condition=Q(handled_at=None)),
            models.Index(fields=["digest", "created_at"], name="preferences_by_digest"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class Counted(models.TextChoices):
    """What is counted about public pages and the links of messages."""

    VIEW = "view", _("Opened")
    SUBMIT = "submit", _("Sent")
    CONFIRM = "confirm", _("Confirmed")
    PREFETCH = "prefetch", _("Links of messages opened and not used")


class Count(models.Model):
    """How often something happened to a page (or to the links of a delivery) on one day."""

    kind = models.CharField(max_length=10, choices=Counted.choices)
    subject = models.BigIntegerField()  # a page; for PREFETCH a delivery
    day = models.DateField()
    number = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "subject", "day"], name="counted_once_a_day")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} {self.day}: {self.number}"


class MetTwins(models.Model):
    """Somebody signed up with an address that several profiles have: the oldest was taken. For operators to look at."""

    at = models.DateTimeField(_("when"), db_default=Now())
    page = models.ForeignKey(LandingPage, models.CASCADE, related_name="+", verbose_name=_("public page"))
    profile_id = models.BigIntegerField()
    others = models.JSONField(default=list)  # numbers of profiles
    seen_at = models.DateTimeField(_("looked at"), null=True)

    class Meta:
        verbose_name = _("sign-up that met several profiles")
        verbose_name_plural = _("sign-ups that met several profiles")
        constraints = [models.UniqueConstraint(fields=["page", "profile_id"], name="met_twins_once")]
        indexes = [models.Index(fields=["-id"], name="met_twins_unseen", condition=Q(seen_at=None))]

    def __str__(self) -> str:
        return f"#{self.pk}"


class OptOutBurst(models.Model):
    """Many opt-outs of one mail domain within seconds of a sending: a machine may have pressed the links."""

    class State(models.TextChoices):
        NEW = "new", _("To look at")
        RESTORING = "restoring", _("Being taken back")
        RESTORED = "restored", _("Taken back")
        DISMISSED = "dismissed", _("Left as it is")

    delivery_id = models.BigIntegerField()
    delivery_name = models.CharField(_("delivery"), max_length=200, blank=True)
    domain = models.CharField(_("mail domain"), max_length=254)
    first_at = models.DateTimeField(_("from"))
    last_at = models.DateTimeField(_("to"))
    events = models.JSONField(default=list)  # numbers of the ledger's events
    settled = models.JSONField(default=list)  # those among them that were dealt with before it went on
    people = models.PositiveIntegerField(_("people"), default=0)  # whose message it was, however often it was pressed
    within = models.PositiveIntegerField(default=0)  # seconds between a message and its opt-out: the longest
    share = models.PositiveSmallIntegerField(default=0)  # of the messages sent there when it was noticed, in hundredths
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.NEW)
    handled_at = models.DateTimeField(_("handled"), null=True)
    handled_by = models.CharField(_("by"), max_length=150, blank=True)
    actor_id = models.BigIntegerField(null=True)
    reason = models.TextField(_("reason"), blank=True)
    upto = models.BigIntegerField(default=0)  # while it is being taken back: profiles up to this id are done
    restored = models.PositiveIntegerField(_("taken back"), default=0)
    left_alone = models.PositiveIntegerField(_("left alone"), default=0)

    class Meta:
        verbose_name = _("burst of opt-outs")
        verbose_name_plural = _("bursts of opt-outs")
        permissions = [("restore_optoutburst", _("Can take back a burst of opt-outs"))]
        constraints = [models.UniqueConstraint(fields=["delivery_id", "domain"], name="burst_once")]

    def __str__(self) -> str:
        return f"{self.delivery_name}: {self.domain}"
