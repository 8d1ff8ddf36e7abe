"""Own fields: what else an organisation keeps about people, with a name and a kind."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.translation import gettext as _

from profiles.admin_base import BaseAdmin
from profiles.models import CustomField
from profiles.ring import ring
from profiles.tasks import convert_field


@admin.register(CustomField)
class CustomFieldAdmin(BaseAdmin):
    audited = True
    ordering = ("name",)
    list_display = ("name", "shown_name", "kind")
    fields = ("name", "label", "kind")

    @admin.display(description=CustomField._meta.get_field("label").verbose_name)
    def shown_name(self, field: CustomField) -> str:
        return str(field)

    def get_readonly_fields(self, request: HttpRequest, obj: CustomField | None = None) -> tuple[str, ...]:
        """Keep the key of a field: criteria, messages and files name it."""
        return ("name",) if obj else ()

    def save_model(self, request: HttpRequest, obj: CustomField, form: Any, change: bool) -> None:
        """Save, and read again what people have in this field already."""
        super().save_model(request, obj, form, change)
        if not change or "kind" in form.changed_data:
            ring(convert_field, obj.pk)
            told = _("What people already have in this field is being read again. What cannot be read stays as text.")
            messages.info(request, told)
