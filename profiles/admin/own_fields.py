"""The declared fields on the page of a person: an input that fits the kind of each.

Only what was changed is written, into the attributes as they are by then. A value that is not of its field's kind
(text from before the field was declared) is told beside an empty input, and stays unless something is put there.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from profiles import custom_fields
from profiles.errors import ValueUnreadable
from profiles.models import CustomField, FieldKind, Profile

MAX_TEXT = 1_000  # as in an import


class OwnField(forms.CharField):
    """A declared field as a text that is read by its kind; nothing is None."""

    def __init__(self, kind: FieldKind, **kwargs: Any) -> None:
        self.kind = kind
        super().__init__(required=False, max_length=MAX_TEXT, widget=_widget(kind), **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return custom_fields.read(self.kind, text) if text else None
        except ValueUnreadable as error:
            raise ValidationError(error.remedy, code=error.code) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare what is said, not how it is written: an input of one line loses line breaks."""
        if " ".join(str(initial or "").split()) == " ".join(str(data or "").split()):
            return False
        try:
            return bool(self.clean(initial) != self.clean(data))
        except ValidationError:
            return True


def own_name(field: CustomField) -> str:
    """Return the name of a declared field's input."""
    return f"own_{field.name}"


def with_own_fields(form: type[Any], declared: Iterable[CustomField], attributes: Mapping[str, Any]) -> type[Any]:
    """Return a form with an input for each declared field, filled in from a person's attributes."""
    return type(form.__name__, (form,), {own_name(field): _input(field, attributes) for field in declared})


def save_own_fields(profile: Profile, form: Any) -> None:
    """Write the inputs that were changed; call it in the transaction of the form. Two queries, none if unchanged."""
    inputs = {name: field for name, field in form.fields.items() if isinstance(field, OwnField)}
    if not (changed := [name for name in form.changed_data if name in inputs]):
        return
    locked = Profile.objects.select_for_update(no_key=True).get(pk=profile.pk)
    for name in changed:
        value = form.cleaned_data[name]
        if value is None:
            locked.attributes.pop(name.removeprefix("own_"), None)
        else:
            locked.attributes[name.removeprefix("own_")] = value
    locked.save(update_fields=["attributes", "updated_at"])


def undeclared(profile: Profile) -> list[tuple[str, Any]]:
    """Return what is known about a person under names that nobody declared."""
    declared = custom_fields.kinds()
    return sorted((name, value) for name, value in profile.attributes.items() if name not in declared)


def all_known(profile: Profile) -> list[tuple[str, Any]]:
    """Return everything that attributes hold, to be read only, under the labels of declared fields."""
    labels = {field.name: str(field) for field in CustomField.objects.all()}
    words = {True: _("yes"), False: _("no")}
    return [
        (labels.get(name, name), words[value] if isinstance(value, bool) else value)
        for name, value in sorted(profile.attributes.items())
    ]


def _input(declared: CustomField, attributes: Mapping[str, Any]) -> OwnField:
    kind, known = FieldKind(declared.kind), attributes.get(declared.name)
    shown, told = _shown(kind, known), ""
    if known not in (None, "") and not shown:
        told = _("Kept so far as “%(value)s”, which is not of this kind.") % {"value": str(known)[:100]}
    return OwnField(kind, label=str(declared), initial=shown, help_text=told)


def _shown(kind: FieldKind, known: Any) -> str:
    """Return a stored value as its input holds it; empty where it is not of the kind."""
    if isinstance(known, bool):
        return ("yes" if known else "no") if kind == FieldKind.YES_NO else ""
    if kind == FieldKind.NUMBER and isinstance(known, int | float):
        return f"{Decimal(str(known)):f}"  # never 1e-07
    text = known if isinstance(known, str) else ""
    return text if kind == FieldKind.TEXT or (kind == FieldKind.DATE and custom_fields.read_day(text)) else ""


def _widget(kind: FieldKind) -> forms.Widget:
    if kind == FieldKind.YES_NO:
        return UnfoldAdminSelectWidget(choices=[("", "—"), ("yes", _("Yes")), ("no", _("No"))])
    if kind == FieldKind.NUMBER:
        return UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"})
    widget = UnfoldAdminTextInputWidget()
    if kind == FieldKind.DATE:
        widget.input_type = "date"
    return widget
