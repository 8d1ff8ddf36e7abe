"""What visitors have asked for and not confirmed yet: to be read only."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from landing.models import PendingOptIn
from profiles.addresses import mask
from profiles.admin_base import BaseAdmin
from profiles.channels import Channel


@admin.register(PendingOptIn)
class PendingOptInAdmin(BaseAdmin):
    """Who has asked and not confirmed yet. To be read only: nobody can confirm for somebody else."""

    list_display = ("received", "masked", "page", "tongue", "progress", "valid_until")
    list_select_related = ("version__page",)
    fields = ("received", "masked", "page", "tongue", "visitor_ip", "browser", "progress", "valid_until")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    @admin.display(description=gettext_lazy("When"))
    def received(self, pending: PendingOptIn) -> datetime:
        return pending.created_at

    @admin.display(description=gettext_lazy("Language"))
    def tongue(self, pending: PendingOptIn) -> str:
        return pending.language

    @admin.display(description=gettext_lazy("IP address"))
    def visitor_ip(self, pending: PendingOptIn) -> str:
        return pending.ip or "—"

    @admin.display(description=gettext_lazy("Browser"))
    def browser(self, pending: PendingOptIn) -> str:
        return pending.user_agent or "—"

    @admin.display(description=gettext_lazy("Valid until"))
    def valid_until(self, pending: PendingOptIn) -> datetime:
        return pending.expires_at

    @admin.display(description=gettext_lazy("Address"))
    def masked(self, pending: PendingOptIn) -> str:
        return mask(Channel(pending.version.page.channel), pending.address)

    @admin.display(description=gettext_lazy("Public page"))
    def page(self, pending: PendingOptIn) -> str:
        return f"{pending.version.page} ({pending.version.number})"

    @admin.display(description=gettext_lazy("State"))
    def progress(self, pending: PendingOptIn) -> str:
        if pending.confirmed_at:
            return _("Confirmed")
        if pending.handled_at is None:
            return _("Just received")
        return _("Waiting for the person to confirm") if pending.version.double_opt_in else _("Done")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
