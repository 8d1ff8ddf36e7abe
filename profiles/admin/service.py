"""Services: what people subscribe to, the messages about it, and how it fares."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from profiles import archiving, audit, own_words
from profiles.admin_base import ArchivedFilter, BaseAdmin
from profiles.channels import Channel
from profiles.models import Confirmation, Service

from . import hooks, own_messages, service_page

# Each message of a service: its template, its choice, its subjects, its texts.
MESSAGES = {
    "subscribed": ("on_subscribe", "subscribe_subject", "subscribe_text"),
    "unsubscribed": ("on_unsubscribe", "unsubscribe_subject", "unsubscribe_text"),
}


class ServiceForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        """Ask for the words of an own message where they are missing."""
        found = super().clean() or {}
        for choice, subjects, texts in MESSAGES.values():
            given = found.get(choice, Confirmation.NONE), found.get(subjects) or {}, found.get(texts) or {}
            for name, problems in zip((subjects, texts), own_words.flaws(*given), strict=True):
                if problems and name in self.fields and name not in self.errors:
                    self.add_error(name, problems)
            if found.get(choice, Confirmation.NONE) != Confirmation.NONE and found.get("channel") != Channel.EMAIL:
                # The messages are mails: a service on another channel has none, and says nothing that it does not do.
                found[choice] = Confirmation.NONE
        return found


@admin.register(Service)
class ServiceAdmin(BaseAdmin):
    form = ServiceForm
    audited = True
    ordering = ("name",)
    one_line_texts = ("label", "subscribe_subject", "unsubscribe_subject")
    list_display = ("__str__", "name", "brand", "channel", "openness")
    list_filter = (ArchivedFilter, "channel", "is_public")
    list_select_related = ("brand",)
    search_fields = ("name",)
    change_form_outer_before_template = "admin/profiles/service/before.html"
    change_form_outer_after_template = "admin/profiles/service/after.html"
    change_form_after_template = "admin/profiles/messages.html"
    fieldsets = (
        (None, {"fields": ("label", "description", "name", ("brand", "channel"), "is_public", "validity_days")}),
        (
            gettext_lazy("When somebody subscribes for the first time"),
            {
                "fields": MESSAGES["subscribed"],
                "description": gettext_lazy(
                    "Subject and text count for your own message: plain text, a blank line begins a new paragraph. "
                    "People read it in their language, where you wrote it in that language."
                ),
            },
        ),
        (gettext_lazy("When somebody unsubscribes"), {"fields": MESSAGES["unsubscribed"]}),
    )

    @display(description=gettext_lazy("state"), label={"open": "success", "private": "info", "archived": "warning"})
    def openness(self, service: Service) -> tuple[str, str]:
        if service.archived_at:
            return "archived", _("Archived service")
        return ("open", _("Open to everybody")) if service.is_public else ("private", _("Private"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("messages/", view(self.messages_view), name="profiles_service_messages"),
            path("<int:pk>/archive/", view(self.archive_view), name="profiles_service_archive"),
            path("<int:pk>/reopen/", view(self.reopen_view), name="profiles_service_reopen"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        service = kwargs.get("obj")
        shown = service or Service(label={"en": "…"})
        brand = service.brand if service else None
        context["messages_preview"] = own_messages.document(_drafts(shown), brand=brand, service=shown)
        context["messages_url"] = reverse("admin:profiles_service_messages")
        if service is not None:
            context.update(service_page.context(request, service, at=timezone.now()))
            context["may_archive"] = self.has_change_permission(request, service)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Service, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            for added in hooks.service_added:
                added(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny: links in messages already sent lead to it. It can be archived."""
        return False

    def messages_view(self, request: HttpRequest) -> HttpResponse:
        """Show the messages of a form that somebody is filling in."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        brand = own_messages.chosen_brand(request.POST)
        service = own_messages.typed_service(request.POST, brand)
        found: HttpResponse = own_messages.answer(request, _drafts(request.POST), brand=brand, service=service)
        return found

    def archive_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say what archiving does; do it when its button is pressed."""
        service = self._changeable(request, pk)
        if request.method != "POST":
            return self._consequences(request, service)
        at = timezone.now()
        with transaction.atomic():
            if archiving.archive(service, at=at):
                audit.record(
                    audit.Action.ARCHIVED, request.user, service, at=at,
                    before={"archived_at": None}, after={"archived_at": str(at)},
                )  # fmt: skip
                self.log_change(request, service, _("Archived."))
                messages.success(request, _("Archived. Nobody can subscribe any more; people can still leave."))
        return self._back(service)

    def reopen_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Offer an archived service again."""
        service = self._changeable(request, pk)
        before = {"archived_at": str(service.archived_at)}
        if request.method == "POST":
            with transaction.atomic():
                if archiving.reopen(service):
                    audit.record(
                        audit.Action.REOPENED, request.user, service, at=timezone.now(),
                        before=before, after={"archived_at": None},
                    )  # fmt: skip
                    self.log_change(request, service, _("Opened again."))
                    messages.success(request, _("Open again, with the subscriptions that it had."))
        return self._back(service)

    def _changeable(self, request: HttpRequest, pk: int) -> Service:
        service: Service = get_object_or_404(Service.objects.select_related("brand"), pk=pk)
        if not self.has_change_permission(request, service):
            raise PermissionDenied
        return service

    def _consequences(self, request: HttpRequest, service: Service) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Archive “%(service)s”?") % {"service": service},
            "service": service,
            "closing": [link for link in service_page.links(service) if link.invites],
            **service_page.number(service, at=timezone.now()),
        }
        return TemplateResponse(request, "admin/profiles/service/archive.html", context)

    def _back(self, service: Service) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:profiles_service_change", args=[service.pk]))


def _drafts(data: Any) -> list[own_messages.Draft]:
    """Return the two messages of a service, of an object or of a form."""
    titles = {"subscribed": _("When somebody subscribes"), "unsubscribed": _("When somebody unsubscribes")}
    return [own_messages.draft(titles[template], template, data, names) for template, names in MESSAGES.items()]
