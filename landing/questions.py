"""What the form of a page may ask for besides the address, and where an answer is kept.

    for question in read(version.fields):
        form.fields[question.key] = question.form_field(at=...)

An answer fills a blank of the person's profile; it never replaces what is known about them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import timezone
from django.utils.translation import gettext as _

from profiles import addresses, countries
from profiles.addresses import Flaw
from profiles.channels import Channel
from profiles.texts import pick

from .models import Asked, LandingPageField

OF_PROFILE = {
    Asked.FIRST_NAME: "first_name",
    Asked.LAST_NAME: "last_name",
    Asked.BIRTH_DATE: "birth_date",
    Asked.COUNTRY: "country",
}
CHANNELS = {Asked.MOBILE_PHONE: Channel.SMS, Asked.POSTAL_ADDRESS: Channel.DIRECT_MAIL}
OTHER = LandingPageField(name=Asked.OTHER).key  # what the keys of other answers begin with
_AUTOCOMPLETE = {
    Asked.FIRST_NAME: "given-name",
    Asked.LAST_NAME: "family-name",
    Asked.BIRTH_DATE: "bday",
    Asked.COUNTRY: "country",
    Asked.MOBILE_PHONE: "tel",
    Asked.POSTAL_ADDRESS: "street-address",
}
_LENGTHS = {Asked.POSTAL_ADDRESS: 300, Asked.OTHER: 300}
_LENGTH = 100
_LONGEST_KEY = 500  # of Address.key: folding can make a text longer
_FIRST_BIRTH = date(1900, 1, 1)
# What a date input sends, and what people write where a browser has none.
_DATES = ("%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y")


@dataclass(frozen=True, slots=True)
class Question:
    """One field of a form, as a version of the page keeps it."""

    key: str
    name: Asked
    label: str
    required: bool

    def form_field(self, *, at: datetime) -> forms.Field:
        """Return the field of the form; its label says when an answer is not needed."""
        common: dict[str, Any] = {
            "label": self.label if self.required else _("%(label)s (optional)") % {"label": self.label},
            "required": self.required,
            "error_messages": {"required": _("Please fill this in.")},
        }
        attrs = {"autocomplete": _AUTOCOMPLETE.get(self.name, "off")}
        if self.name == Asked.BIRTH_DATE:
            return _birth_date(common, attrs, at)
        if self.name == Asked.COUNTRY:
            return _country(common, attrs)
        widget: forms.Widget = forms.TextInput(attrs=attrs)
        if self.name == Asked.POSTAL_ADDRESS:
            widget = forms.Textarea(attrs={**attrs, "rows": 4})
        if self.name == Asked.MOBILE_PHONE:
            widget = forms.TextInput(attrs=attrs)
            widget.input_type = "tel"
        return forms.CharField(**common, max_length=_LENGTHS.get(self.name, _LENGTH), widget=widget)


def read(asked: Sequence[Mapping[str, Any]]) -> list[Question]:
    """Return the questions that a version keeps, in the language of the visitor."""
    found = []
    for row in asked:
        field, name = LandingPageField(name=row["name"], attribute=row["attribute"]), Asked(row["name"])
        found.append(
            Question(field.key, name, pick(row["label"]) or row["attribute"] or str(name.label), row["required"])
        )
    return found


def read_address(name: Asked, text: str, *, country: str) -> str:
    """Return an address as it is kept; raise ValidationError with what to do when it cannot be read.

    A number written as people do within their country is kept with its country code: the country that it was read
    in may not be that of the profile.
    """
    channel = CHANNELS[name]
    found = addresses.read(channel, text.replace("\r\n", "\n"), country=country)
    if found.flaw or not found.key:
        raise ValidationError((found.flaw or Flaw.EMPTY).remedy)
    if len(found.key) > _LONGEST_KEY:
        raise ValidationError(_("Shorten it."))
    return found.key if channel == Channel.SMS and not found.value.startswith("+") else found.value


def of_profile(answers: Mapping[str, str]) -> dict[str, Any]:
    """Return the answers that are columns of a profile, by column."""
    found: dict[str, Any] = {column: answers[name] for name, column in OF_PROFILE.items() if name in answers}
    if born := found.get("birth_date"):
        found["birth_date"] = date.fromisoformat(born)
    return found


def addresses_of(answers: Mapping[str, str]) -> dict[Channel, str]:
    """Return the answers that are addresses, by channel."""
    return {channel: answers[name] for name, channel in CHANNELS.items() if name in answers}


def attributes_of(answers: Mapping[str, str]) -> dict[str, str]:
    """Return the answers to other questions, by the name under which a profile keeps them."""
    return {key.removeprefix(OTHER): text for key, text in answers.items() if key.startswith(OTHER)}


def _birth_date(common: dict[str, Any], attrs: dict[str, str], at: datetime) -> forms.Field:
    today, unlikely = timezone.localdate(at), _("Check the date, its year above all.")
    widget = forms.DateInput(format="%Y-%m-%d", attrs={**attrs, "min": str(_FIRST_BIRTH), "max": str(today)})
    widget.input_type = "date"
    common["error_messages"]["invalid"] = _("Write the date as day/month/year, such as 31/12/1990.")
    return forms.DateField(
        **common, widget=widget, input_formats=_DATES,
        validators=[MinValueValidator(_FIRST_BIRTH, unlikely), MaxValueValidator(today, unlikely)],
    )  # fmt: skip


def _country(common: dict[str, Any], attrs: dict[str, str]) -> forms.Field:
    common["error_messages"]["invalid_choice"] = _("Choose a country of the list.")
    nothing = ("", _("Choose…"))
    return forms.ChoiceField(**common, widget=forms.Select(attrs=attrs), choices=[nothing, *countries.choices()])
