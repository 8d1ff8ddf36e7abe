"""Own fields: what else an organisation keeps about people, with a name and a kind."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from profiles.admin_base import BaseAdmin
from profiles.models import CustomField
from profiles.ring import ring
from profiles.tasks import convert_field


@admin.register(CustomField)
class CustomFieldAdmin(BaseAdmin):
    audited = True
    ordering = ("name",)
    list_display = ("name", "shown_name", "kind", "from_before")

    @admin.display(description=CustomField._meta.get_field("label").verbose_name)
    def shown_name(self, field: CustomField) -> str:
        return str(field)

    @admin.display(description=gettext_lazy("Values from before"))
    def from_before(self, field: CustomField) -> str:
        """Say what became of what people had before the field had its kind."""
        left = ngettext(
            "%(number)s could not be read: it stays as it was", "%(number)s could not be read: they stay as they were",
            field.unreadable,
        ) % {"number": field.unreadable}  # fmt: skip
        told = [_("Being read again")] if field.converted_upto is not None else []
        return "; ".join([*told, *([left] if field.unreadable else [])]) or self.empty_value_display

    def get_fields(self, request: HttpRequest, obj: CustomField | None = None) -> tuple[str, ...]:
        told = obj is not None and (obj.unreadable or obj.converted_upto is not None)
        return ("name", "label", "kind", *(["from_before"] if told else []))

    def get_readonly_fields(self, request: HttpRequest, obj: CustomField | None = None) -> tuple[str, ...]:
        """Keep the key of a field: criteria, messages and files name it."""
        return ("name", "from_before") if obj else ("from_before",)

    def save_model(self, request: HttpRequest, obj: CustomField, form: Any, change: bool) -> None:
        """Save, and read again what people have in this field already."""
        if change and "kind" not in form.changed_data:
            obj.save(update_fields=["label"])  # never the checkpoint, which a task may be moving
            return
        obj.converted_upto, obj.unreadable = 0, 0
        obj.save()
        ring(convert_field, obj.pk)
        told = _("What people already have in this field is being read again. What cannot be read stays as it is.")
        messages.info(request, told)
