"""The brands that write to people."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles import brands
from profiles.models import Brand

from . import brand_look
from .brand_look import LookAdmin, LookForm


class BrandForm(LookForm):
    def clean(self) -> dict[str, Any]:
        """Refuse in production what leaves people without knowing who writes."""
        found = super().clean() or {}
        if settings.ENVIRONMENT == "production":
            given = Brand(**{name: value for name, value in found.items() if name in brands.REQUIRED})
            for name in brands.missing_fields(given):
                if name in self.fields and name not in self.errors:
                    self.add_error(name, _("Fill this in: people must know who writes to them."))
        return found


@admin.register(Brand)
class BrandAdmin(LookAdmin):
    form = BrandForm
    audited = True
    ordering = ("name",)
    list_display = ("name", "swatch", "sender_name", "sender_email", "contact")
    fieldsets = (
        (None, {"fields": ("name", "postal_address", "contact", "privacy_notice")}),
        (gettext_lazy("Messages"), {"fields": (("sender_name", "sender_email"), "reply_to")}),
        (gettext_lazy("Public pages"), {"fields": (*brand_look.FIELDS, "link_domain")}),
    )

    def audited_values(self, obj: Brand) -> dict[str, Any]:
        """Count the logo as part of the brand, by its digest."""
        return {**super().audited_values(obj), "logo_digest": obj.logo_digest}

    @admin.display(description=gettext_lazy("Colour"))
    def swatch(self, brand: Brand) -> SafeString:
        square = '<svg class="c-swatch" role="img" aria-label="{0}"><rect width="100%" height="100%" fill="{0}"/></svg>'
        return format_html(square, brand.color)
