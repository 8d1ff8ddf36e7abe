"""Services and the brands that write to people."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminColorInputWidget

from profiles.admin_base import BaseAdmin
from profiles.models import Brand, Service

from . import hooks

# Hooks of the applications above: see hooks.py.
public_links = hooks.public_links


@admin.register(Service)
class ServiceAdmin(BaseAdmin):
    ordering = ("name",)
    list_display = ("__str__", "name", "brand", "channel", "is_public")
    list_filter = ("channel", "is_public")
    list_select_related = ("brand",)
    search_fields = ("name",)
    readonly_fields = ("public_pages", "subscribers")
    fieldsets = (
        (None, {"fields": ("label", "description", "name", ("brand", "channel"), "is_public", "validity_days")}),
        (gettext_lazy("Messages"), {"fields": ("on_subscribe", "on_unsubscribe")}),
    )
    of_existing = (gettext_lazy("Public pages and people"), {"fields": ("public_pages", "subscribers")})

    def get_fieldsets(self, request: HttpRequest, obj: Service | None = None) -> Any:
        return (*self.fieldsets, self.of_existing) if obj else self.fieldsets

    @admin.display(description=gettext_lazy("Public pages"))
    def public_pages(self, service: Service) -> SafeString | str:
        links = [link for links_of in public_links for link in links_of(service)]
        if not links:
            return _("None yet. Make one under Public pages.")
        item = '<li>{}{} <a class="c-link" href="{}">{}</a></li>'
        rows = format_html_join("", item, ((name, _(":"), address, address) for name, address in links))
        return format_html('<ul class="c-list">{}</ul>', rows)

    @admin.display(description=gettext_lazy("Subscribers"))
    def subscribers(self, service: Service) -> SafeString:
        """Lead to the list of them: counting a large service would make this page slow."""
        url = reverse("admin:profiles_profile_changelist") + f"?service={service.pk}"
        return format_html('<a class="c-link" href="{}">{}</a>', url, _("Show the people who are subscribed"))

    def save_model(self, request: HttpRequest, obj: Service, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            for added in hooks.service_added:
                added(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny: links in messages already sent lead to it."""
        return False


@admin.register(Brand)
class BrandAdmin(BaseAdmin):
    ordering = ("name",)
    list_display = ("name", "swatch", "sender_name", "sender_email", "contact")
    fieldsets = (
        (None, {"fields": ("name", "color", "postal_address", "contact", "privacy_notice")}),
        (gettext_lazy("Messages"), {"fields": (("sender_name", "sender_email"), "reply_to")}),
        (gettext_lazy("Public pages"), {"fields": ("link_domain",)}),
    )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "color":
            kwargs["widget"] = UnfoldAdminColorInputWidget
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @admin.display(description=gettext_lazy("Colour"))
    def swatch(self, brand: Brand) -> SafeString:
        square = '<svg class="c-swatch" role="img" aria-label="{0}"><rect width="100%" height="100%" fill="{0}"/></svg>'
        return format_html(square, brand.color)
