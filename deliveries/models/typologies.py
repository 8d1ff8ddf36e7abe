"""Sending rules. The opt-outs and the addresses not in use are no rules: nothing here can switch them off."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from profiles.channels import Channel
from profiles.models import Brand, CustomField, Service


class RuleKind(models.TextChoices):
    FILTERING = "filtering", _("Leave out some people")
    FATIGUE = "fatigue", _("Contact pressure")
    CONTROL = "control", _("Check of the message")


class RuleSeverity(models.TextChoices):
    """What comes of a check that finds something."""

    ERROR = "error", _("Error: the delivery cannot be sent")
    WARNING = "warning", _("Warning: it can be sent all the same")
    OFF = "off", _("Not checked")


class TypologyQuerySet(models.QuerySet["Typology"]):
    def open(self) -> Self:
        """Keep what may be chosen for a new delivery."""
        return self.filter(archived_at=None)


class Typology(models.Model):
    """A set of sending rules. A delivery without one of its own obeys the default one."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    description = models.TextField(_("description"), blank=True)
    is_default = models.BooleanField(_("used by deliveries that name no other"), default=False)
    archived_at = models.DateTimeField(null=True, editable=False)

    objects = TypologyQuerySet.as_manager()

    class Meta:
        verbose_name = _("set of sending rules")
        verbose_name_plural = _("sending rules")
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="one_default_typology"),
            models.CheckConstraint(
                condition=Q(is_default=False) | Q(archived_at=None), name="default_typology_is_open"
            ),
        ]

    def __str__(self) -> str:
        return str(gettext(self.name))  # built-in names are kept in English


class TypologyRule(models.Model):
    """One rule of a set. Rules of a kind are tried in the order of `place`; the first that applies is named.

    filtering: whoever meets `criteria` is left out.
    fatigue: whoever already gets `most` messages (or as many as `most_field` says) within any `hours` that hold the
    contact date is left out; messages of `channels` count (of all channels when empty).
    control: `code` is that of a check of `deliveries.control`, which becomes as severe as `severity` says.
    """

    typology = models.ForeignKey(Typology, models.CASCADE, related_name="rules")
    kind = models.CharField(_("kind"), max_length=10, choices=RuleKind.choices)
    label = models.CharField(_("name"), max_length=100, blank=True)
    place = models.PositiveSmallIntegerField(_("order"), default=50)
    active = models.BooleanField(_("active"), default=True)
    # Only for some deliveries; None: for all.
    only_channel = models.PositiveSmallIntegerField(_("channel"), choices=Channel.choices, null=True, blank=True)
    only_service = models.ForeignKey(
        Service, models.PROTECT, null=True, blank=True, verbose_name=_("service"), related_name="+"
    )
    only_brand = models.ForeignKey(
        Brand, models.PROTECT, null=True, blank=True, verbose_name=_("brand"), related_name="+"
    )
    criteria = models.JSONField(_("criteria"), default=dict, blank=True)
    most = models.PositiveSmallIntegerField(_("at most"), null=True, blank=True)
    most_field = models.ForeignKey(
        CustomField, models.PROTECT, null=True, blank=True, verbose_name=_("field that holds the number"),
        related_name="+",
    )  # fmt: skip
    hours = models.PositiveIntegerField(_("within (hours)"), null=True, blank=True)
    channels = models.JSONField(_("channels counted"), default=list, blank=True)
    code = models.CharField(_("check"), max_length=40, blank=True)
    severity = models.CharField(_("severity"), max_length=10, choices=RuleSeverity.choices, blank=True)

    class Meta:
        verbose_name = _("sending rule")
        verbose_name_plural = _("rules")
        ordering = ["kind", "place", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind=RuleKind.FATIGUE) | Q(most__isnull=False, hours__gt=0), name="fatigue_has_numbers"
            ),
            models.CheckConstraint(
                condition=~Q(kind=RuleKind.CONTROL) | ~Q(code="") & ~Q(severity=""), name="control_names_a_check"
            ),
        ]

    def __str__(self) -> str:
        return str(gettext(self.label)) if self.label else self.get_kind_display()
