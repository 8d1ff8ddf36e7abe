"""Who did what in the back-office: to be read, by those who answer for it."""

from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles.models import AuditEvent

from .ledger import ReadOnlyAdmin

NOTHING = "—"


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "action", "kind", "label", "actor_name", "rows")
    list_filter = ("action",)
    fields = ("at", "action", "kind", "which", "actor_name", "rows", "reason", "changes")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    @admin.display(description=gettext_lazy("Of what"))
    def kind(self, event: AuditEvent) -> str:
        model = _model(event)
        return str(model._meta.verbose_name).capitalize() if model else event.subject

    @admin.display(description=gettext_lazy("Name"))
    def which(self, event: AuditEvent) -> SafeString | str:
        """Lead to the object, by the name that it had."""
        model, name = _model(event), event.label or NOTHING
        if model is None or not event.subject_id:
            return name
        try:
            url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[event.subject_id])
        except NoReverseMatch:
            return name
        return format_html('<a class="c-link" href="{}">{}</a>', url, name)

    @admin.display(description=gettext_lazy("What changed"))
    def changes(self, event: AuditEvent) -> SafeString | str:
        """Return one line for each field: what it was, and what it became."""
        model, names = _model(event), list({**event.before, **event.after})
        if not names:
            return NOTHING
        rows = format_html_join(
            "",
            '<tr><th scope="row">{}</th><td data-name="{}">{}</td><td data-name="{}">{}</td></tr>',
            (
                (
                    _field_name(model, name),
                    _("Before"), _shown(model, name, event.before.get(name)),
                    _("After"), _shown(model, name, event.after.get(name)),
                )
                for name in names
            ),
        )  # fmt: skip
        head = format_html(
            '<thead><tr><th scope="col">{}</th><th scope="col">{}</th><th scope="col">{}</th></tr></thead>',
            _("Field"), _("Before"), _("After"),
        )  # fmt: skip
        return format_html('<table class="c-table c-table-fold">{}<tbody>{}</tbody></table>', head, rows)


def _model(event: AuditEvent) -> type[models.Model] | None:
    try:
        return apps.get_model(event.subject)
    except (LookupError, ValueError):
        return None  # of a part that has gone since


def _field(model: type[models.Model] | None, name: str) -> Any:
    try:
        return model._meta.get_field(name) if model else None
    except FieldDoesNotExist:
        return None


def _field_name(model: type[models.Model] | None, name: str) -> str:
    field = _field(model, name)
    text = str(getattr(field, "verbose_name", name.replace("_", " ")))
    return text[:1].upper() + text[1:]


def _shown(model: type[models.Model] | None, name: str, value: Any) -> SafeString | str:
    """Return a kept value as people read it."""
    field = _field(model, name)
    if value is None or value in ("", {}, []):
        return NOTHING
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if field is not None and field.many_to_one:
        found = field.related_model._default_manager.filter(pk=value).first()
        return str(found) if found else f"#{value}"
    if field is not None and field.flatchoices:
        return str(dict(field.flatchoices).get(value, value))
    return _lines(value)


def _lines(value: Any) -> SafeString | str:
    """Return a text per language, a list or a plain value."""
    if isinstance(value, Mapping):
        languages: dict[str, Any] = dict(settings.LANGUAGES)
        pairs = ((languages.get(key, key), _(":"), _lines(text)) for key, text in value.items())
        return format_html_join("", "<div>{}{} {}</div>", pairs)
    if isinstance(value, list):
        return format_html_join("", "<div>{}</div>", ((_lines(item),) for item in value))
    return str(value) if value != "" else NOTHING
