"""The ledger and the texts that people were shown: to be read, never changed."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles.admin_base import BaseAdmin, KeysetChangeList
from profiles.models import ConsentEvent, Profile, Wording


class ReadOnlyAdmin(BaseAdmin):
    """Shows rows that the database itself refuses to change."""

    actions = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class EventList(KeysetChangeList):
    """Knows the people of its page by name, by one query: events hold plain numbers."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        people = Profile.objects.in_bulk({event.profile_id for event in self.result_list if event.profile_id})
        for event in self.result_list:
            event.profile = people.get(event.profile_id)


@admin.register(ConsentEvent)
class ConsentEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "what", "person", "source", "actor_name", "reason")
    list_filter = ("act", "source", "channel")
    fields = (
        "at", "act", "channel", "service_name", "person", "source", "actor_name", "delivery_name", "reason", "wording",
        "language", "visitor_ip", "browser",
    )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return EventList

    @admin.display(description=gettext_lazy("What"))
    def what(self, event: ConsentEvent) -> str:
        detail = event.service_name or (event.get_channel_display() if event.channel else "")
        return f"{event.get_act_display()} ({detail})" if detail else event.get_act_display()

    @admin.display(description=gettext_lazy("Person"))
    def person(self, event: Any) -> SafeString | str:
        """Lead to the profile; the event outlives it, so it may be gone."""
        if event.profile_id is None:
            return "—"
        profile = event.profile if hasattr(event, "profile") else Profile.objects.filter(pk=event.profile_id).first()
        if profile is None:
            return _("No longer in the database (%(id)s)") % {"id": event.profile_id}
        return format_html('<a class="c-link" href="{}">{}</a>', profile_url(profile.pk), profile)

    @admin.display(description=gettext_lazy("What they were told"))
    def wording(self, event: ConsentEvent) -> str:
        found = Wording.objects.filter(pk=event.wording_id).first() if event.wording_id else None
        return found.text if found else "—"

    @admin.display(description=gettext_lazy("IP address"))
    def visitor_ip(self, event: ConsentEvent) -> str:
        return event.ip or "—"

    @admin.display(description=gettext_lazy("Browser"))
    def browser(self, event: ConsentEvent) -> str:
        return event.user_agent or "—"


@admin.register(Wording)
class WordingAdmin(ReadOnlyAdmin):
    list_display = ("text_start", "language", "created_at")
    fields = ("text", "language", "created_at")

    @admin.display(description=gettext_lazy("Text"))
    def text_start(self, wording: Wording) -> str:
        return str(wording)


def profile_url(pk: int) -> str:
    return reverse("admin:profiles_profile_change", args=[pk])
