"""Brands, people and their addresses."""

from collections.abc import Iterable
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from profiles import addresses
from profiles.addresses import Validity
from profiles.blacklist import blacklisted_q
from profiles.channels import Channel
from profiles.digests import digest
from profiles.texts import validate_texts


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
    page_color = models.CharField(
        _("colour of the page"), max_length=7, blank=True,
        help_text=_("Behind the text of public pages. It is made light enough, or dark enough, to read on."),
    )  # fmt: skip
    logo_digest = models.CharField(max_length=32, blank=True, editable=False)  # of BrandLogo; empty: none

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

    @property
    def logo_path(self) -> str:
        """Return the path of the logo's picture; empty without one. One small query where there is one."""
        logo = BrandLogo.objects.filter(brand=self).only("kind").first() if self.logo_digest else None
        return reverse("landing:logo", args=[self.logo_digest, logo.extension]) if logo else ""

    @property
    def logo_url(self) -> str:
        """Return the full address of the logo's picture, for messages; empty without one."""
        path = self.logo_path
        return self.public_url + path if path else ""


class BrandLogo(models.Model):
    """The picture of a brand: apart, so that no page loads it; in the database, so that no folder is served."""

    EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}

    brand = models.OneToOneField(Brand, models.CASCADE, related_name="logo")
    kind = models.CharField(max_length=30)  # a MIME type
    data = models.BinaryField()

    def __str__(self) -> str:
        return str(self.brand)

    @property
    def extension(self) -> str:
        return self.EXTENSIONS[self.kind]


class ProfileQuerySet(models.QuerySet["Profile"]):
    def blacklisted(self, channel: Channel) -> Self:
        """Keep the people who do not want to be contacted at all, or not on that channel."""
        return self.filter(blacklisted_q(channel))

    def having(self, value: bytes) -> Self:
        """Keep the people one of whose addresses has this digest."""
        return self.filter(pk__in=Address.objects.with_digests([value]).values("profile"))

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
        # For twins: people of the same name born on the same day.
        indexes = [
            models.Index(fields=["birth_date"], name="profile_by_birth_date", condition=Q(birth_date__isnull=False))
        ]
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
    def with_digests(self, values: Iterable[bytes]) -> Self:
        """Keep the addresses with these digests. Naming every channel lets the (channel, digest) index serve."""
        return self.filter(channel__in=Channel.values, digest__in=list(values))

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
