"""What people agreed to: services, subscriptions, and the ledger of every change."""

from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from profiles.channels import Channel
from profiles.texts import pick, validate_texts

from .people import Brand, Profile


class Confirmation(models.TextChoices):
    """Which message says that a subscription has begun or ended."""

    NONE = "none", _("No message")
    DEFAULT = "default", _("Default message")
    OWN = "own", _("Your own message")


class ServiceQuerySet(models.QuerySet["Service"]):
    def open(self) -> Self:
        return self.filter(archived_at=None)


class Service(models.Model):
    """Something people subscribe to: a newsletter, an alert."""

    name = models.SlugField(_("name"), max_length=64, unique=True, help_text=_("Used in addresses and files."))
    label = models.JSONField(
        _("label"), default=dict, validators=[validate_texts], help_text=_("What subscribers read.")
    )
    description = models.JSONField(_("description"), default=dict, blank=True, validators=[validate_texts])
    brand = models.ForeignKey(Brand, models.PROTECT, verbose_name=_("brand"), related_name="services")
    channel = models.PositiveSmallIntegerField(_("channel"), choices=Channel.choices, default=Channel.EMAIL)
    validity_days = models.PositiveIntegerField(_("duration of a subscription (days)"), null=True, blank=True)
    is_public = models.BooleanField(_("open to everybody"), default=True)
    on_subscribe = models.CharField(
        _("message when somebody subscribes"), max_length=10, choices=Confirmation.choices, default=Confirmation.DEFAULT
    )
    on_unsubscribe = models.CharField(
        _("message when somebody unsubscribes"), max_length=10, choices=Confirmation.choices, default=Confirmation.NONE
    )
    # What an own message says, per language.
    subscribe_subject = models.JSONField(_("subject"), default=dict, blank=True, validators=[validate_texts])
    subscribe_text = models.JSONField(_("text"), default=dict, blank=True, validators=[validate_texts])
    unsubscribe_subject = models.JSONField(_("subject"), default=dict, blank=True, validators=[validate_texts])
    unsubscribe_text = models.JSONField(_("text"), default=dict, blank=True, validators=[validate_texts])
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    archived_at = models.DateTimeField(_("archived"), null=True, blank=True, editable=False)

    objects = ServiceQuerySet.as_manager()

    class Meta:
        verbose_name = _("service")
        verbose_name_plural = _("services")
        ordering = ["name"]

    def __str__(self) -> str:
        return pick(self.label) or self.name


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    @staticmethod
    def active_q(at: Any, prefix: str = "") -> Q:
        """Say which subscriptions run at a moment: a limited one ends by itself at its expiry."""
        return Q(**{f"{prefix}expires_at": None}) | Q(**{f"{prefix}expires_at__gt": at})

    def active(self, at: Any) -> Self:
        return self.filter(self.active_q(at))


class Subscription(models.Model):
    """A person subscribed to a service, at most once. Ending it deletes the row; the ledger keeps the history."""

    service = models.ForeignKey(Service, models.PROTECT, related_name="subscriptions", verbose_name=_("service"))
    profile = models.ForeignKey(Profile, models.CASCADE, related_name="subscriptions", verbose_name=_("profile"))
    created_at = models.DateTimeField(_("since"), db_default=Now())
    expires_at = models.DateTimeField(_("until"), null=True, blank=True)
    source = models.CharField(_("from"), max_length=20)

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        constraints = [models.UniqueConstraint(fields=["service", "profile"], name="subscription_once")]

    def __str__(self) -> str:
        return str(self.service)


class Source(models.TextChoices):
    """Where a change of consent came from."""

    LANDING_PAGE = "landing_page", _("Public page")
    PREFERENCES = "preferences", _("Preferences page")
    ONE_CLICK = "one_click", _("Unsubscribe button of the mail program")
    MAILTO = "mailto", _("Unsubscribe message")
    OPERATOR = "operator", _("Operator")
    API = "api", _("API")
    IMPORT = "import", _("Import")
    SMS_STOP = "sms_stop", _("STOP by SMS")
    COMPLAINT = "complaint", _("Complaint")
    BOUNCE = "bounce", _("Bounce")
    WEBHOOK = "webhook", _("Mail provider")
    ERASURE = "erasure", _("Earlier request for this address")
    SYSTEM = "system", _("System")


class Act(models.TextChoices):
    """What an event of the ledger did."""

    OPT_OUT = "opt_out", _("Opted out")
    OPT_IN = "opt_in", _("Opted in again")
    SUBSCRIBE = "subscribe", _("Subscribed")
    UNSUBSCRIBE = "unsubscribe", _("Unsubscribed")
    EXPIRE = "expire", _("Subscription ended")
    QUARANTINE = "quarantine", _("Address no longer used")
    RELEASE = "release", _("Address used again")
    PROVENANCE = "provenance", _("Source and lawful basis stated")
    AGREEMENT = "agreement", _("Agreed to a text")


class Wording(models.Model):
    """One version of a text that people were shown. Append-only."""

    digest = models.CharField(max_length=64)
    language = models.CharField(_("language"), max_length=10)
    text = models.TextField(_("text"))
    created_at = models.DateTimeField(_("first shown"), db_default=Now())

    class Meta:
        verbose_name = _("wording")
        verbose_name_plural = _("wordings")
        constraints = [models.UniqueConstraint(fields=["digest", "language"], name="wording_once")]

    def __str__(self) -> str:
        return self.text[:80]


class ConsentEvent(models.Model):
    """One line of the ledger. Append-only (triggers): it outlives what it names, so it holds plain ids and names."""

    at = models.DateTimeField(_("when"), db_default=Now())
    act = models.CharField(_("what"), max_length=20, choices=Act.choices)
    profile_id = models.BigIntegerField(null=True)
    digest = models.BinaryField(max_length=16, null=True)
    channel = models.PositiveSmallIntegerField(_("channel"), choices=Channel.choices, null=True)
    service_id = models.BigIntegerField(null=True)
    service_name = models.CharField(_("service"), max_length=64, blank=True, db_default="")
    expires_at = models.DateTimeField(_("until"), null=True)  # of a subscription that ends by itself
    delivery_id = models.BigIntegerField(null=True)
    delivery_name = models.CharField(_("delivery"), max_length=200, blank=True, db_default="")
    source = models.CharField(_("from"), max_length=20, choices=Source.choices)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(_("by"), max_length=150, blank=True, db_default="")
    language = models.CharField(_("language"), max_length=10, blank=True, db_default="")
    wording_id = models.BigIntegerField(null=True)
    ip = models.CharField(max_length=45, blank=True, db_default="")
    user_agent = models.CharField(max_length=300, blank=True, db_default="")
    reason = models.TextField(_("reason"), blank=True, db_default="")

    # Columns that erasure and retention may blank, and nothing else may touch.
    PERSONAL = ("actor_name", "ip", "user_agent", "reason")

    class Meta:
        verbose_name = _("consent event")
        verbose_name_plural = _("consent events")
        indexes = [
            models.Index(fields=["profile_id", "id"], name="consent_by_profile"),
            models.Index(fields=["digest", "id"], name="consent_by_digest", condition=Q(digest__isnull=False)),
            # For retention: the events whose network address or browser has not been blanked yet.
            models.Index(fields=["at"], name="consent_with_visitor", condition=~Q(ip="") | ~Q(user_agent="")),
            # For the history of a service: its growth is the fold of its own events.
            models.Index(fields=["service_id", "at"], name="consent_by_service", condition=Q(service_id__isnull=False)),
            # For alarms about links that machines press: the opt-outs by messages, in the order in which they came.
            models.Index(fields=["id"], name="consent_by_message", condition=Q(delivery_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.get_act_display()


class UnsealedEvent(models.Model):
    """An event that no seal covers yet. A trigger of the database adds the row with its event; sealing removes it."""

    event_id = models.BigIntegerField(primary_key=True)

    def __str__(self) -> str:
        return str(self.event_id)


class ConsentSeal(models.Model):
    """A batch of events of the ledger, closed by a keyed digest that is chained to the seal before (see seals.py)."""

    number = models.PositiveIntegerField(_("number"), unique=True)
    at = models.DateTimeField(_("when"), db_default=Now())
    count = models.PositiveIntegerField(_("events"))
    # The lowest and highest numbers among them: to find the seal of an event, as others may lie between.
    first_event = models.BigIntegerField(default=0, db_default=0)
    last_event = models.BigIntegerField(default=0, db_default=0)
    events = models.BinaryField(editable=False)  # the numbers of the events, and keyed digests of what may be blanked
    digest = models.BinaryField(max_length=32, editable=False)

    class Meta:
        verbose_name = _("seal")
        verbose_name_plural = _("seals")

    def __str__(self) -> str:
        return f"{self.number}:{bytes(self.digest).hex()}"


class ErasedOptOut(models.Model):
    """An opt-out whose profile is gone: it is applied to any profile that is later made with this address."""

    EVERY = 0

    digest = models.BinaryField(max_length=16)
    channel = models.PositiveSmallIntegerField(default=EVERY)  # a Channel, or EVERY
    service_id = models.BigIntegerField(default=EVERY)  # set: that service only
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest", "channel", "service_id"], name="erased_opt_out_once")]

    def __str__(self) -> str:
        return bytes(self.digest).hex()
