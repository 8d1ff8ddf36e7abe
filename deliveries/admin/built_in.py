"""Names that come with the application: kept in English, edited as they are shown."""

from typing import Any

from django import forms
from django.utils.translation import gettext


class BuiltInNameForm(forms.ModelForm):
    """A form whose field `named` may hold a built-in name: left as it is shown, it stays as it is kept."""

    named = "name"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept = getattr(self.instance, self.named)
        self.shown = gettext(self.kept) if self.kept else ""
        if self.kept and self.initial.get(self.named) == self.kept:
            self.initial[self.named] = self.shown

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if self.kept and found.get(self.named) == self.shown:
            found[self.named] = self.kept
        return found
