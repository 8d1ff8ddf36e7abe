"""Public pages in the admin: write a draft, look at it, publish it, close it."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from landing import embedding, publishing
from landing.models import Kind, LandingPage, PageState
from profiles import audit, own_words
from profiles.admin_base import BaseAdmin
from profiles.channels import Channel
from profiles.errors import BrandIncomplete
from profiles.models import Confirmation

from . import confirmation, numbers
from .fields import ASKS_NOTHING, FIRST_ASKED, FieldInline

TONES = {PageState.DRAFT: "info", PageState.PUBLISHED: "success", PageState.CLOSED: "warning"}
OF_A_SERVICE = (Kind.SUBSCRIPTION, Kind.UNSUBSCRIPTION)
CONFIRMATION = ("confirmation", "confirmation_subject", "confirmation_text")
# What the requests that people made on a page are about: it stays as it was when they made them.
FIXED_ONCE_PUBLISHED = ("slug", "kind", "service")


class LandingPageForm(forms.ModelForm):
    """Checked here; its fields are those of the admin."""

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        kind, service = found.get("kind", self.instance.kind), found.get("service", self.instance.service)
        if kind in OF_A_SERVICE:
            if service is None and "service" in self.fields:
                self.add_error("service", _("Choose the service that this page is about."))
        elif "service" in found:
            service = found["service"] = None
        self.instance.channel = service.channel if service else Channel.EMAIL
        if kind == Kind.SUBSCRIPTION and service and service.channel != Channel.EMAIL and found.get("double_opt_in"):
            self.add_error("double_opt_in", _("This service is not sent by email. Untick this box."))
        self._check_confirmation(found, kind, service)
        opens, closes = found.get("opens_at"), found.get("closes_at")
        if opens and closes and closes <= opens:
            self.add_error("closes_at", _("Choose a moment after the opening."))
        if not (found.get("redirect_url") or "https://").startswith(("https://", "http://")):
            self.add_error("redirect_url", _("Write an address that begins with https:// or http://."))
        return found

    def _check_confirmation(self, found: dict[str, Any], kind: str, service: Any) -> None:
        """Refuse a message that could not be sent, and one that says nothing."""
        choice = found.get("confirmation", Confirmation.NONE)
        if choice != Confirmation.NONE and kind == Kind.PREFERENCES:
            self.add_error("confirmation", _("This kind of page always sends its link, and no other message."))
        elif choice != Confirmation.NONE and service and service.channel != Channel.EMAIL:
            self.add_error("confirmation", _("This service is not sent by email: choose “No message”."))
        subjects, texts = found.get("confirmation_subject") or {}, found.get("confirmation_text") or {}
        for name, problems in zip(CONFIRMATION[1:], own_words.flaws(choice, subjects, texts), strict=True):
            if problems and name in self.fields and name not in self.errors:
                self.add_error(name, problems)


@admin.register(LandingPage)
class LandingPageAdmin(BaseAdmin):
    form = LandingPageForm
    audited = True
    inlines = (FieldInline,)
    one_line_texts = ("title", "thanks_title", "confirmation_subject")
    ordering = ("name",)
    list_display = ("name", "kind", "shown_state", "service", "public_link")
    list_filter = ("state", "kind")
    list_select_related = ("service", "brand", "published")
    search_fields = ("name", "slug")
    change_form_outer_before_template = "admin/landing/before.html"
    change_form_outer_after_template = "admin/landing/after.html"
    change_form_after_template = "admin/profiles/messages.html"
    fieldsets = (
        (None, {"fields": ("name", ("kind", "service"), ("brand", "slug"))}),
        (
            gettext_lazy("Texts"),
            {
                "fields": ("title", "introduction", "agreement", "double_opt_in"),
                "description": gettext_lazy("Where you leave a text empty, visitors read Campaign's own."),
            },
        ),
        (
            gettext_lazy("What people read afterwards"),
            {
                "fields": ("thanks_title", "thanks_text", "closed_text"),
                "description": gettext_lazy(
                    "Once they have sent the form, and once the page is closed. If a message is on its way to confirm, "
                    "the page says so all the same."
                ),
            },
        ),
        (
            gettext_lazy("The message afterwards"),
            {
                "fields": CONFIRMATION,
                "description": gettext_lazy(
                    "Sent each time somebody has used the page, and confirmed where that is asked for: once a day at "
                    "most to an address. It replaces the message of the service. Subject and text count for your own "
                    "message: plain text, a blank line begins a new paragraph."
                ),
            },
        ),
        (
            gettext_lazy("When"),
            {
                "fields": ("opens_at", "closes_at", "redirect_url"),
                "description": gettext_lazy("This counts as soon as it is saved, without publishing again."),
            },
        ),
    )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "redirect_url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        """Begin a new page with first and last name."""
        found = super().get_formset_kwargs(request, obj, inline, prefix)
        if isinstance(inline, FieldInline) and request.method == "GET" and not obj.pk:
            found["initial"] = FIRST_ASKED
        return found

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.instance.kind in ASKS_NOTHING:
            form.instance.asked.all().delete()

    def get_readonly_fields(self, request: HttpRequest, obj: LandingPage | None = None) -> tuple[str, ...]:
        return FIXED_ONCE_PUBLISHED if obj and obj.published_id else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Sequence[str]]:
        return {} if obj else {"slug": ("name",)}

    def has_delete_permission(self, request: HttpRequest, obj: LandingPage | None = None) -> bool:
        """Deny once published: people have agreed to what it says. Close it instead."""
        return (obj is None or obj.published_id is None) and super().has_delete_permission(request, obj)

    def has_publish_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("landing.publish_landingpage"))

    @display(description=gettext_lazy("state"), label=TONES)
    def shown_state(self, page: LandingPage) -> tuple[str, str]:
        return page.state, page.get_state_display()

    @admin.display(description=gettext_lazy("Public address"))
    def public_link(self, page: LandingPage) -> SafeString | str:
        if page.state != PageState.PUBLISHED:
            return "—"
        return format_html('<a class="c-link" href="{0}">{0}</a>', page.public_address)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("message/", view(self.message_view), name="landing_message"),
            path("<int:pk>/publish/", view(self.publish_view), name="landing_publish"),
            path("<int:pk>/close/", view(self.close_view), name="landing_close"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        page = kwargs.get("obj")
        context["messages_url"] = reverse("admin:landing_message") + (f"?page={page.pk}" if page else "")
        context["messages_preview"] = confirmation.of_page(page)
        if page is not None:
            context["versions"] = list(page.versions.order_by("-number")[:50])
            context["changed"] = publishing.has_changes(page)
            # The draft is shown where the page will be, under the policy of public pages.
            context["preview_url"] = reverse("landing:page", args=[page.slug]) + "?preview=form"
            context["plots"] = numbers.plots(page, at=timezone.now()) if page.published_id else []
            context["embedded"] = embedding.forms_of(page, at=timezone.now())
            context["may_publish"] = self.has_publish_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def publish_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make the draft what visitors see."""
        page = self._pressed(request, pk)
        if page is not None:
            try:
                self._publish(request, page)
            except BrandIncomplete as error:
                messages.error(request, str(error))
        return self._back(pk)

    def _publish(self, request: HttpRequest, page: LandingPage) -> None:
        at, before = timezone.now(), page.published.number if page.published else None
        with transaction.atomic():
            version = publishing.publish(page, by=request.user.get_username(), at=at)
            audit.record(
                audit.Action.PUBLISHED, request.user, page, at=at,
                before={"version": before}, after={"version": version.number},
            )  # fmt: skip
            self.log_change(request, page, _("Published version %(number)d.") % {"number": version.number})
        messages.success(request, _("Published. Visitors see it at %(address)s.") % {"address": page.public_address})
        if languages := publishing.lacking_languages(version):
            told = _(
                "The agreement, or the label of a field, is not written in: %(languages)s. Visitors read it in another"
                " language. Write it there too, and publish again."
            )
            messages.warning(request, told % {"languages": ", ".join(languages)})

    def close_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take no more requests on a page."""
        page = self._pressed(request, pk)
        if page is not None and publishing.close(page):
            audit.record(audit.Action.CLOSED, request.user, page, at=timezone.now())
            self.log_change(request, page, _("Closed."))
            messages.success(request, _("Closed. Visitors are told so. You can publish it again."))
        return self._back(pk)

    def message_view(self, request: HttpRequest) -> HttpResponse:
        """Show the message of a form that somebody is filling in."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return confirmation.answer(request)

    def audited_values(self, obj: LandingPage) -> dict[str, Any]:
        return {**super().audited_values(obj), "asked": publishing.fields_of(obj)}

    def _pressed(self, request: HttpRequest, pk: int) -> LandingPage | None:
        """Return the page whose button was pressed; None for a mere visit, which changes nothing."""
        if request.method != "POST":
            return None
        if not self.has_publish_permission(request):
            raise PermissionDenied
        return get_object_or_404(LandingPage, pk=pk)

    def _back(self, pk: int) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:landing_landingpage_change", args=[pk]))
