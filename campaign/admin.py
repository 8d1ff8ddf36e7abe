"""Accounts of the back-office: users and groups, in the theme's forms."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from profiles.admin_base import BaseAdmin

from . import backoffice
from .models import User
from .roles import ROLES

backoffice.register()
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, BaseAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    ordering = ("username",)
    list_filter = ("is_active", "is_superuser")
    list_display = ("username", "first_name", "last_name", "email", "is_active", "last_login")
    fieldsets = (
        *DjangoUserAdmin.fieldsets,
        (_("Screens"), {"fields": ("language", "time_zone")}),
    )


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, BaseAdmin):
    ordering = ("name",)
    list_display = ("name", "about")

    @admin.display(description=_("About"))
    def about(self, group: Group) -> str:
        return str(_("Built in")) if group.name in ROLES else ""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny for the built-in roles: the next migration would put them back."""
        return super().has_change_permission(request, obj) and not (obj and obj.name in ROLES)

    has_delete_permission = has_change_permission
