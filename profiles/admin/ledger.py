"""The ledger and the texts that people were shown: to be read, never changed."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from profiles.admin_base import BaseAdmin
from profiles.models import ConsentEvent, Wording


class ReadOnlyAdmin(BaseAdmin):
    """Shows rows that the database itself refuses to change."""

    actions = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ConsentEvent)
class ConsentEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "what", "person", "source", "actor_name", "reason")
    list_filter = ("act", "source", "channel")
    fields = (
        "at", "act", "channel", "service_name", "person", "source", "actor_name", "delivery_name", "reason", "wording",
        "language", "ip", "user_agent",
    )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    @admin.display(description=gettext_lazy("What"))
    def what(self, event: ConsentEvent) -> str:
        detail = event.service_name or (event.get_channel_display() if event.channel else "")
        return f"{event.get_act_display()} ({detail})" if detail else event.get_act_display()

    @admin.display(description=gettext_lazy("Person"))
    def person(self, event: ConsentEvent) -> SafeString | str:
        """Lead to the profile; the event outlives it, so it may be gone."""
        if event.profile_id is None:
            return "—"
        return format_html('<a class="c-link" href="{}">{}</a>', profile_url(event.profile_id), f"#{event.profile_id}")

    @admin.display(description=gettext_lazy("What they were told"))
    def wording(self, event: ConsentEvent) -> str:
        found = Wording.objects.filter(pk=event.wording_id).first() if event.wording_id else None
        return found.text if found else "—"


@admin.register(Wording)
class WordingAdmin(ReadOnlyAdmin):
    list_display = ("text_start", "language", "created_at")
    fields = ("text", "language", "created_at")

    @admin.display(description=gettext_lazy("Text"))
    def text_start(self, wording: Wording) -> str:
        return str(wording)


def profile_url(pk: int) -> str:
    return reverse("admin:profiles_profile_change", args=[pk])
