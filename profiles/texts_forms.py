"""A form field for a text in several languages: one plain input per language, kept as {language: text}."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget


class TextsWidget(forms.MultiWidget):
    """One input (or text area) per language, each under the name of its language."""

    def __init__(self, *, lines: int = 1, attrs: dict[str, Any] | None = None) -> None:
        kind = UnfoldAdminTextInputWidget if lines == 1 else UnfoldAdminTextareaWidget
        size = {} if lines == 1 else {"rows": lines}
        super().__init__({code: kind(attrs={**size, "lang": code}) for code, _name in settings.LANGUAGES}, attrs)

    def decompress(self, value: Any) -> list[str]:
        texts = value if isinstance(value, Mapping) else {}
        return [texts.get(code, "") for code, _name in settings.LANGUAGES]

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_0" if id_ else id_

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        id_ = (attrs or {}).get("id", "")
        values = value if isinstance(value, list) else self.decompress(value)
        inputs = []
        for number, (code, language) in enumerate(settings.LANGUAGES):
            own = {**(attrs or {}), "id": f"{id_}_{number}" if id_ else ""}
            widget, suffix = self.widgets[number], f"_{code}"
            inputs.append((own["id"], language, widget.render(name + suffix, values[number], own, renderer)))
        rows = format_html_join("", '<div class="c-text"><label for="{}">{}</label>{}</div>', inputs)
        return format_html('<div class="c-texts">{}</div>', rows)


class TextsField(forms.MultiValueField):
    """A JSON object {language: text}; where one is required, a text in any language is enough."""

    def __init__(self, *, lines: int = 1, **kwargs: Any) -> None:
        # What a JSONField passes on. A hidden copy of the first value would come back as a string.
        for name in ("encoder", "decoder", "widget", "max_length", "show_hidden_initial"):
            kwargs.pop(name, None)
        fields = [forms.CharField(required=False) for _language in settings.LANGUAGES]
        super().__init__(fields, require_all_fields=False, widget=TextsWidget(lines=lines), **kwargs)

    def compress(self, data_list: list[str]) -> dict[str, str]:
        pairs = zip(settings.LANGUAGES, data_list, strict=False)
        return {code: text for (code, _name), text in pairs if text}

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.compress(data or []) != {k: v for k, v in (initial or {}).items() if v})

    def clean(self, value: Any) -> dict[str, str]:
        texts: dict[str, str] = super().clean(value) or {}
        if self.required and not texts:
            raise ValidationError(_("Write this text in at least one language."), code="required")
        return texts
