"""People, what they agreed to, and the brands and services that write to them."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from . import addresses
from .addresses import Validity
from .blacklist import blacklisted_q
from .channels import Channel
from .digests import digest
from .texts import pick, validate_texts


class Brand(models.Model):
    """Who a message comes from: shown on every page and in every message."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    sender_name = models.CharField(_("sender name"), max_length=100)
    sender_email = models.EmailField(_("sender address"))
    reply_to = models.EmailField(_("reply address"), blank=True)
    postal_address = models.TextField(_("postal address"), help_text=_("Shown in every message."))
    contact = models.CharField(_("contact"), max_length=200, help_text=_("Where a human answers."))
    privacy_notice = models.JSONField(_("privacy notice"), default=dict, blank=True, validators=[validate_texts])
    link_domain = models.URLField(_("address of the public pages"), blank=True, help_text=_("Empty: this site's."))
    color = models.CharField(_("colour"), max_length=7, default="#1f6f5c")

    class Meta:
        verbose_name = _("brand")
        verbose_name_plural = _("brands")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def public_url(self) -> str:
        """Return the scheme and host under which this brand's pages and links are."""
        return (self.link_domain or settings.PUBLIC_URL).rstrip("/")


class ProfileQuerySet(models.QuerySet["Profile"]):
    def blacklisted(self, channel: Channel) -> Self:
        """Keep the people who do not want to be contacted at all, or not on that channel."""
        return self.filter(blacklisted_q(channel))

    def having(self, value: bytes) -> Self:
        """Keep the people one of whose addresses has this digest."""
        return self.filter(pk__in=Address.objects.filter(digest=value).values("profile"))

    def search(self, text: str) -> Self:
        """Keep the people whose name, identifier or addresses hold each word of the text."""
        found = self
        for word in addresses.search_text(text).split():
            found = found.filter(search__contains=word)
        return found


class Profile(models.Model):
    """One record of a person. The same person may have several (see quarantine.person)."""

    external_id = models.CharField(_("identifier elsewhere"), max_length=100, unique=True, null=True, blank=True)
    first_name = models.CharField(_("first name"), max_length=100, blank=True, db_default="")
    last_name = models.CharField(_("last name"), max_length=100, blank=True, db_default="")
    language = models.CharField(_("language"), max_length=10, blank=True, db_default="")
    country = models.CharField(_("country"), max_length=2, blank=True, db_default="")
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, db_default="")
    birth_date = models.DateField(_("birth date"), null=True, blank=True)
    attributes = models.JSONField(_("other fields"), default=dict, blank=True)
    blacklisted = models.BooleanField(_("by any channel"), default=False, db_default=False)
    blacklisted_email = models.BooleanField(_("by email"), default=False, db_default=False)
    blacklisted_sms = models.BooleanField(_("by SMS"), default=False, db_default=False)
    blacklisted_push = models.BooleanField(_("by push notification"), default=False, db_default=False)
    blacklisted_direct_mail = models.BooleanField(_("by direct mail"), default=False, db_default=False)
    blacklisted_phone = models.BooleanField(_("by phone"), default=False, db_default=False)
    # Names, identifier and address keys, folded and without accents: SQLite's LIKE folds ASCII only.
    search = models.TextField(editable=False, blank=True, db_default="")
    merged_into = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, editable=False, related_name="+")
    created_at = models.DateTimeField(_("created"), auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(_("changed"), auto_now=True, db_default=Now())

    objects = ProfileQuerySet.as_manager()

    class Meta:
        verbose_name = _("profile")
        verbose_name_plural = _("profiles")
        permissions = [
            ("lift_opt_out", _("Can lift an opt-out")),
            ("export_profile", _("Can export profiles")),
            ("erase_profile", _("Can erase a person")),
            ("import_profile", _("Can import profiles")),
        ]

    def __str__(self) -> str:
        return self.full_name or self.external_id or _("Profile %(id)s") % {"id": self.pk}

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    def refresh_search(self) -> None:
        """Recompute and store the folded search text from the names and addresses."""
        keys = self.addresses.order_by("channel", "position").values_list("key", flat=True)
        self.search = addresses.search_text(self.full_name, self.external_id or "", *keys)
        self.save(update_fields=["search", "updated_at"])


class AddressQuerySet(models.QuerySet["Address"]):
    def primary(self, channel: Channel) -> Self:
        return self.filter(channel=channel, position=1)


class Address(models.Model):
    """Where a person can be reached on a channel. Position 1 is the primary one."""

    profile = models.ForeignKey(Profile, models.CASCADE, related_name="addresses")
    channel = models.PositiveSmallIntegerField(_("channel"), choices=Channel.choices)
    position = models.PositiveSmallIntegerField(_("position"), default=1, db_default=1)
    value = models.CharField(_("address"), max_length=500, help_text=_("As the person wrote it."))
    key = models.CharField(max_length=500, editable=False)
    digest = models.BinaryField(max_length=16, editable=False)
    validity = models.PositiveSmallIntegerField(_("validity"), choices=Validity.choices, default=Validity.VALID)

    objects = AddressQuerySet.as_manager()

    class Meta:
        verbose_name = _("address")
        verbose_name_plural = _("addresses")
        constraints = [
            models.UniqueConstraint(fields=["profile", "channel", "digest"], name="address_once_per_profile"),
            models.UniqueConstraint(fields=["profile", "channel", "position"], name="address_position_once"),
            models.CheckConstraint(condition=Q(position__gte=1), name="address_position_from_1"),
            models.CheckConstraint(condition=~Q(value=""), name="address_not_empty"),
        ]
        indexes = [
            models.Index(fields=["channel", "digest"], name="address_by_digest"),
            models.Index(
                fields=["channel", "profile"],
                include=["position", "validity", "digest", "value"],
                name="address_for_analysis",
            ),
        ]

    def __str__(self) -> str:
        return self.value

    @classmethod
    def make(cls, channel: Channel, text: str, *, country: str = "", **fields: Any) -> Self:
        """Return an unsaved address with its key, digest and validity."""
        found = addresses.read(channel, text, country=country or settings.DEFAULT_COUNTRY)
        return cls(
            channel=channel,
            value=found.value,
            key=found.key,
            digest=digest(channel, found.key),
            validity=found.validity,
            **fields,
        )

    @property
    def masked(self) -> str:
        return addresses.mask(Channel(self.channel), self.value)


class Confirmation(models.TextChoices):
    """Which message says that a subscription has begun or ended."""

    NONE = "none", _("No message")
    DEFAULT = "default", _("Default message")


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
    ERASURE = "erasure", _("Erasure")
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
        ]

    def __str__(self) -> str:
        return self.get_act_display()


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
    keep_invalid = models.BooleanField(_("keep people whose address cannot be read"), default=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
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
