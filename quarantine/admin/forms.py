"""Forms about addresses left out."""

from datetime import date, datetime, time
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles import addresses
from profiles.channels import Channel
from profiles.digests import digest
from quarantine.escalation import Target

_NUMBERS = (Channel.SMS, Channel.PHONE)
GUESS = ""


class AddForm(forms.Form):
    """An email address or phone number to leave out; `targets` is what it stands for once it is valid."""

    value = forms.CharField(
        label=gettext_lazy("Email address or phone number"), max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )  # fmt: skip
    channel = forms.TypedChoiceField(
        label=gettext_lazy("Leave it out of"),
        choices=lambda: [
            (GUESS, _("What it is written for (a number: SMS and phone)")),
            *((c.value, c.label) for c in (Channel.EMAIL, Channel.SMS, Channel.PHONE)),
        ],
        coerce=lambda text: Channel(int(text)), empty_value=None, required=False,
    )  # fmt: skip
    country = forms.CharField(
        label=gettext_lazy("Country of a number without its country code"), max_length=2, min_length=2, required=False,
        help_text=gettext_lazy("Two letters, such as FR."),
    )  # fmt: skip
    reason = forms.CharField(
        label=gettext_lazy("Why"), max_length=1000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Kept in the history of the address."),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        self.targets: list[Target] = []
        if not (value := found.get("value")):
            return found
        for channel in self._channels(value):
            read = addresses.read(channel, value, country=found.get("country") or settings.DEFAULT_COUNTRY)
            if read.flaw:
                self.add_error("value", read.flaw.remedy)
                break
            self.targets.append(Target(channel, digest(channel, read.key), read.value, read.key))
        return found

    def _channels(self, value: str) -> tuple[Channel, ...]:
        if chosen := self.cleaned_data.get("channel"):
            return (chosen,)
        looks_like_number = "@" not in value and any(char.isdigit() for char in value)
        return _NUMBERS if looks_like_number else (Channel.EMAIL,)


class ReasonForm(forms.Form):
    """Why an address may be written to again."""

    reason = forms.CharField(
        label=gettext_lazy("Why may it be written to again?"), max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )  # fmt: skip


class ReleaseDateForm(forms.Form):
    """From which day an address may be written to again, and why; `release_at` is None for never by itself."""

    day = forms.DateField(
        label=gettext_lazy("Written to again from"), required=False,
        widget=forms.DateInput(attrs={"type": "date", "class": "c-input"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Empty: it stays left out until somebody releases it."),
    )  # fmt: skip
    reason = forms.CharField(
        label=gettext_lazy("Why"), max_length=1000, widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("Kept in the history of the address."),
    )  # fmt: skip

    def clean_day(self) -> date | None:
        day: date | None = self.cleaned_data["day"]
        if day and day <= timezone.localdate():
            raise forms.ValidationError(_("Choose a day after today. To write to it now, release it."))
        return day

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        day = found.get("day")
        midnight = datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone()) if day else None
        return {**found, "release_at": midnight}
