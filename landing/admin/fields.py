"""What the form of a page asks for: rows under the page, in their order."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline

from landing.models import Asked, Kind, LandingPage, LandingPageField
from landing.questions import CHANNELS
from profiles.texts import pick
from profiles.texts_forms import TextsField

ASKS_NOTHING = (Kind.UNSUBSCRIPTION, Kind.OPT_OUT_ALL, Kind.PREFERENCES)
FIRST_ASKED = [{"name": Asked.FIRST_NAME, "position": 1}, {"name": Asked.LAST_NAME, "position": 2}]


class FieldForm(forms.ModelForm):
    """One row. A field of one's own has its words, and a name under which its answers are kept."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if not isinstance(field, TextsField):  # whose inputs have labels of their own
                field.widget.attrs["aria-label"] = str(field.label)  # the theme ties no cell to its column
        if "position" in self.fields:
            self.fields["position"].required = False  # empty: after all others
            if self.instance.pk is None and "position" not in kwargs.get("initial", {}):
                self.initial["position"] = None

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if found.get("name") != Asked.OTHER:
            found["attribute"] = ""
            return found
        label = pick(found.get("label") or {})
        if not label:
            self.add_error("label", _("Write what people are asked."))
        elif not found.get("attribute"):
            found["attribute"] = slugify(label)[:50].strip("-")
            if not found["attribute"]:
                self.add_error("attribute", _("Write a name in letters from a to z."))
        return found


class FieldFormSet(forms.BaseInlineFormSet):
    def clean(self) -> None:
        """Put new rows last, and refuse to ask for the address twice: under its own name, and as that of the page."""
        super().clean()
        kept = [form for form in self.forms if getattr(form, "cleaned_data", {}).get("name")]
        last = max((form.cleaned_data.get("position") or 0 for form in kept), default=0)
        for number, form in enumerate((form for form in kept if not form.cleaned_data.get("position")), start=1):
            form.instance.position = last + number
        channel = self.instance.channel  # LandingPageForm has set it from the service
        for form in kept:
            if not form.cleaned_data.get("DELETE") and CHANNELS.get(form.cleaned_data["name"]) == channel:
                form.add_error("name", _("The form asks for it already: messages go there."))


class FieldInline(TabularInline):
    model = LandingPageField
    form = FieldForm
    formset = FieldFormSet
    fields = ("name", "label", "required", "attribute", "position")
    ordering = ("position", "pk")
    ordering_field = "position"
    verbose_name_plural = gettext_lazy("What the form asks for besides the address")
    hide_title = True

    def get_extra(self, request: HttpRequest, obj: LandingPage | None = None, **kwargs: Any) -> int:
        return 0 if obj else len(FIRST_ASKED)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "label":
            return db_field.formfield(form_class=TextsField)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    # Whoever may see or change a page may see or change what it asks for: it is part of it.
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj) or request.user.has_perm("landing.view_landingpage")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = "landing.change_landingpage" if obj else "landing.add_landingpage"
        return bool(request.user.has_perm(may))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)
