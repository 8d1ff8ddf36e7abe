"""The colours and the logo of a brand, on its page in the back-office."""

import re
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminColorInputWidget, UnfoldAdminFileFieldWidget, UnfoldBooleanWidget

from profiles import logos
from profiles.admin_base import BaseAdmin
from profiles.models import Brand

from . import hooks

FIELDS = ("color", ("own_page_color", "page_color"), "logo", "remove_logo", "look")
_COLOR = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
_USUAL_PAGE = "#f6f6f4"  # what the picker shows of a page without a colour of its own


class LookForm(forms.ModelForm):
    """The form of a brand, with its logo, which is kept apart, and a box: a colour picker is never empty."""

    own_page_color = forms.BooleanField(
        label=gettext_lazy("A colour behind public pages"), required=False, widget=UnfoldBooleanWidget,
        help_text=gettext_lazy("Unticked: a quiet grey."),
    )  # fmt: skip
    logo = forms.FileField(
        label=gettext_lazy("Logo"), required=False,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/png,image/jpeg,image/webp,image/gif"}),
        help_text=gettext_lazy(
            "PNG, JPEG, WebP or GIF, at most 200 KB. It stands above public pages and confirmations in place of the "
            "name, which is read to those who do not see it."
        ),
    )  # fmt: skip
    remove_logo = forms.BooleanField(label=gettext_lazy("Remove the logo"), required=False, widget=UnfoldBooleanWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["own_page_color"].initial = bool(self.instance.page_color)
        if not self.instance.page_color:
            self.initial["page_color"] = _USUAL_PAGE
        if not self.instance.logo_digest:
            self.fields.pop("remove_logo")

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if not found.get("own_page_color"):
            found["page_color"] = ""
        for name in ("color", "page_color"):
            if found.get(name) and not _COLOR.fullmatch(found[name]):
                self.add_error(name, _("Write a colour as # and six digits, such as #1f6f5c."))
        return found

    def clean_logo(self) -> bytes | None:
        """Return what is in the file; refuse it at its field when it is no logo."""
        file = self.cleaned_data.get("logo")
        if not file:
            return None
        try:
            data: bytes = file.read(logos.LARGEST + 1)
            logos.check(data)
        except logos.LogoRefused as error:
            raise forms.ValidationError(str(error)) from error
        return data


class LookAdmin(BaseAdmin):
    """What the admin of brands knows of their look."""

    readonly_fields: tuple[str, ...] = ("look",)

    def get_fieldsets(self, request: HttpRequest, obj: Brand | None = None) -> Any:
        """Leave out what a brand does not have yet, and what only those who may change it can use."""
        hidden = set() if obj and obj.logo_digest else {"remove_logo"}
        if obj is None:
            hidden.add("look")
        elif not self.has_change_permission(request, obj):
            hidden |= {"own_page_color", "logo", "remove_logo"}
        return [
            (title, {**options, "fields": _without(options["fields"], hidden)})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in ("color", "page_color"):
            kwargs["widget"] = UnfoldAdminColorInputWidget
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Brand, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if data := form.cleaned_data.get("logo"):
            logos.keep(obj, data)
        elif form.cleaned_data.get("remove_logo"):
            logos.remove(obj)

    @admin.display(description=gettext_lazy("How it looks"))
    def look(self, brand: Brand) -> SafeString:
        """Show what the applications above make of the colours and the logo, as they are saved."""
        drawn = ((picture,) for draw in hooks.brand_looks for picture in draw(brand))
        return format_html('<div class="c-looks">{}</div>', format_html_join("", "{}", drawn))


def _without(fields: Sequence[Any], hidden: set[str]) -> list[Any]:
    """Return the fields of a fieldset, some of them in rows, without some."""
    kept = [
        tuple(part for part in entry if part not in hidden) if isinstance(entry, tuple) else entry for entry in fields
    ]
    return [entry for entry in kept if entry and entry not in hidden]
