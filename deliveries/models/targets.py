"""Whom deliveries are for: saved audiences and lists."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from profiles.models import Profile


class OpenQuerySet(models.QuerySet[Any]):
    def open(self) -> Self:
        """Keep what may be chosen for a new delivery."""
        return self.filter(archived_at=None)


class Audience(models.Model):
    """People chosen by criteria (see `deliveries.criteria`), evaluated anew by each analysis."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    description = models.TextField(_("description"), blank=True)
    criteria = models.JSONField(_("criteria"), default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), db_default=Now())
    updated_at = models.DateTimeField(_("changed"), auto_now=True, db_default=Now())
    archived_at = models.DateTimeField(null=True, editable=False)

    objects = OpenQuerySet.as_manager()

    class Meta:
        verbose_name = _("audience")
        verbose_name_plural = _("audiences")

    def __str__(self) -> str:
        return self.name


class PeopleList(models.Model):
    """People named one by one: pasted, or from a file. Whoever is not in the database cannot be on it."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    description = models.TextField(_("description"), blank=True)
    size = models.PositiveIntegerField(_("people"), default=0, editable=False)
    unknown = models.PositiveIntegerField(
        _("lines that name nobody"), default=0, editable=False
    )  # of what was added last
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), db_default=Now())
    archived_at = models.DateTimeField(null=True, editable=False)

    objects = OpenQuerySet.as_manager()

    class Meta:
        verbose_name = _("list of people")
        verbose_name_plural = _("lists of people")

    def __str__(self) -> str:
        return self.name


class ListMember(models.Model):
    """A person on a list. Erasing the person takes them off it."""

    people_list = models.ForeignKey(PeopleList, models.CASCADE, related_name="members")
    profile = models.ForeignKey(Profile, models.CASCADE, related_name="list_memberships")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["people_list", "profile"], name="list_member_once")]

    def __str__(self) -> str:
        return f"{self.people_list_id}/{self.profile_id}"
