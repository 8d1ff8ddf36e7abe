"""What the form of a page may ask for besides the address, and where an answer is kept.

    for question in read(version.fields):
        form.fields[question.key] = question.form_field()

An answer fills a blank of the person's profile; it never replaces what is known about them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from profiles.texts import pick

from .models import Asked, LandingPageField

OF_PROFILE = {Asked.FIRST_NAME: "first_name", Asked.LAST_NAME: "last_name"}
_AUTOCOMPLETE = {Asked.FIRST_NAME: "given-name", Asked.LAST_NAME: "family-name"}
_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Question:
    """One field of a form, as a version of the page keeps it."""

    key: str
    name: Asked
    label: str
    required: bool

    def form_field(self) -> forms.Field:
        """Return the field of the form; its label says when an answer is not needed."""
        label = self.label if self.required else _("%(label)s (optional)") % {"label": self.label}
        attrs = {"autocomplete": _AUTOCOMPLETE.get(self.name, "off")}
        return forms.CharField(
            label=label, required=self.required, max_length=_LENGTH, widget=forms.TextInput(attrs=attrs),
            error_messages={"required": _("Please fill this in.")},
        )  # fmt: skip


def read(asked: Sequence[Mapping[str, Any]]) -> list[Question]:
    """Return the questions that a version keeps, in the language of the visitor."""
    found = []
    for row in asked:
        field = LandingPageField(name=row["name"], attribute=row["attribute"])
        name = Asked(row["name"])
        found.append(Question(field.key, name, pick(row["label"]) or str(name.label), row["required"]))
    return found


def of_profile(answers: Mapping[str, str]) -> dict[str, str]:
    """Return the answers that are columns of a profile, by column."""
    return {column: answers[name] for name, column in OF_PROFILE.items() if name in answers}
