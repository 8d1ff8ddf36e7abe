"""The one form of a public page: an address, what the page asks for besides, perhaps a box to agree."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.forms.utils import ErrorDict
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from profiles import addresses
from profiles.addresses import ReadAddress
from profiles.channels import Channel
from profiles.digests import digest

from . import captcha, limits, questions
from .models import Asked, Kind, LandingPage
from .wording import Words

# Named so that a browser does not fill it in for people, and a robot does.
TRAP = "company_site"
# What a form copied into another site sends with it.
EMBEDDED = "embedded"
_INPUTS = {
    Channel.EMAIL: {"type": "email", "autocomplete": "email", "inputmode": "email", "spellcheck": "false"},
    Channel.SMS: {"type": "tel", "autocomplete": "tel"},
    Channel.PHONE: {"type": "tel", "autocomplete": "tel"},
}


class PageForm(forms.Form):
    """What a visitor fills in. Errors say what to do, and are tied to their field for screen readers."""

    read: ReadAddress

    def __init__(
        self,
        page: LandingPage,
        asked: Sequence[Mapping[str, Any]],
        words: Words,
        data: QueryDict | None = None,
        *,
        at: datetime,
        initial: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(data, auto_id="%s", label_suffix="", initial=dict(initial or {}))
        self.page, self.at, self.channel = page, at, Channel(page.channel)
        self.fields["address"] = forms.CharField(
            label=_address_label(self.channel), max_length=addresses.MAX_LENGTH, widget=_input(self.channel),
            error_messages={"required": _("Write your address.")},
        )  # fmt: skip
        self.asked = [] if page.is_opt_out or page.kind == Kind.PREFERENCES else questions.read(asked)
        for question in self.asked:
            self.fields[question.key] = question.form_field(at=at)
        if words.agreement:
            self.fields["agreed"] = forms.BooleanField(
                label=words.agreement,
                error_messages={"required": _("Tick this box if you agree. Without it, nothing can be sent to you.")},
            )

    def clean_address(self) -> str:
        """Return the address as typed; refuse one that cannot be read, and say how to write it."""
        self.read = addresses.read(self.channel, self.cleaned_data["address"], country=settings.DEFAULT_COUNTRY)
        if self.read.flaw:
            raise forms.ValidationError(self.read.flaw.remedy)
        return self.read.value

    def clean(self) -> dict[str, Any]:
        """Read the addresses among the answers: a number as it is written in the country that was answered."""
        given = super().clean() or {}
        country = given.get(Asked.COUNTRY) or settings.DEFAULT_COUNTRY
        for question in self.asked:
            text = given.get(question.key)
            if text and question.name in questions.CHANNELS:
                try:
                    given[question.key] = questions.read_address(question.name, text, country=country)
                except forms.ValidationError as error:
                    self.add_error(question.key, error)
        return given

    @property
    def answers(self) -> dict[str, str]:
        """Return what was answered, as text, without the blanks."""
        given = {question.key: str(self.cleaned_data.get(question.key) or "") for question in self.asked}
        return {key: text for key, text in given.items() if text}

    @property
    def digest(self) -> bytes:
        return digest(self.channel, self.read.key)

    @property
    def seems_robotic(self) -> bool:
        """Say whether the form was filled in as no person does: the hidden field, or in no time."""
        fresh = limits.is_fresh(self.data.get("stamp", ""), self.page.pk, at=self.at)
        return bool(self.data.get(TRAP)) or not fresh

    @cached_property
    def challenge(self) -> str:
        """Return the sum that the browser has to work out; empty where none is wanted."""
        return captcha.challenge(at=self.at) if captcha.is_wanted(self.page) else ""

    @property
    def lacks_proof(self) -> bool:
        """Say whether the sum that came with the form was not worked out, or was sent before."""
        if not captcha.is_wanted(self.page):
            return False
        proof = captcha.solved(self.data.get("proof", ""))
        return not (proof and limits.is_first(proof))

    @property
    def stamp(self) -> str:
        return limits.seal_stamp(self.page.pk, at=self.at)

    def full_clean(self) -> None:
        """Clean, then tell each field with an error where its error is read, and put the cursor into the first."""
        super().full_clean()
        errors: ErrorDict = self.errors if self.is_bound else ErrorDict()
        for number, name in enumerate(name for name in self.fields if name in errors):
            attrs = self.fields[name].widget.attrs
            attrs |= {"aria-invalid": "true", "aria-describedby": f"{name}-error"}
            if number == 0:
                attrs["autofocus"] = True


def _address_label(channel: Channel) -> str:
    if channel == Channel.EMAIL:
        return _("Email address")
    return _("Phone number, with its country code") if channel in (Channel.SMS, Channel.PHONE) else _("Address")


def _input(channel: Channel) -> forms.TextInput:
    attrs: dict[str, Any] = dict(_INPUTS.get(channel, {}))
    widget = forms.TextInput(attrs={**attrs, "autocapitalize": "none"})
    widget.input_type = str(attrs.pop("type", "text"))
    widget.attrs.pop("type", None)
    return widget
