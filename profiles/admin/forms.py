"""The form of a profile: names, the six "no longer contact" boxes, subscriptions, addresses.

Boxes and subscriptions are no fields of the model: saving the form never writes a flag, `profiles.consent` does.
Each is sent with what the page showed, so that a box that somebody else ticked meanwhile is not taken for one that
this operator has just unticked.
"""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import PaginationInlineFormSet
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminExpandableTextareaWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanWidget,
)

from profiles import addresses
from profiles.address_book import LAST
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.digests import digest
from profiles.errors import LiftNeedsReason, LiftRefused
from profiles.models import Act, Address, ConsentEvent, Profile, Service, Source

# Box → the channel it is about; None is every channel.
BOXES: dict[str, Channel | None] = {f"no_contact_{flag}": channel for channel, flag in FLAGS.items()}


Boxes: Any = type(
    "Boxes",
    (forms.Form,),
    {
        box: forms.BooleanField(
            label=capfirst(Profile._meta.get_field(FLAGS[channel]).verbose_name),  # type: ignore[union-attr]
            required=False, show_hidden_initial=True,
            widget=UnfoldBooleanWidget,
        )
        for box, channel in BOXES.items()
    },
)  # fmt: skip


class ProfileForm(forms.ModelForm, Boxes):
    """What an operator may change. `user` is set by the admin."""

    user: Any = None

    language = forms.ChoiceField(
        label=gettext_lazy("Language"), choices=[("", "—"), *settings.LANGUAGES], required=False,
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip
    subscribed_to = forms.ModelMultipleChoiceField(
        Service.objects.none(), label=gettext_lazy("Subscribed to"), required=False, show_hidden_initial=True,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )  # fmt: skip
    lift_reason = forms.CharField(
        label=gettext_lazy("Why this person may be contacted again"), required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=gettext_lazy(
            "Needed to untick a box, or to subscribe somebody again who has left: what did they ask, when, how?"
        ),
    )  # fmt: skip

    class Meta:
        model = Profile
        fields = ("external_id", "first_name", "last_name", "language", "country", "time_zone", "birth_date")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        profile = self.instance
        for box, channel in BOXES.items():
            self.fields[box].initial = getattr(profile, FLAGS[channel])
        services: Any = self.fields["subscribed_to"]
        if profile.pk:
            mine = profile.subscriptions.values("service")
            services.queryset = Service.objects.open() | Service.objects.filter(pk__in=mine)
            services.initial = list(profile.subscriptions.values_list("service_id", flat=True))
        else:
            services.queryset = Service.objects.open()

    def clean_country(self) -> str:
        country = self.cleaned_data["country"].upper()
        if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
            raise ValidationError(_("Write the two letters of the country, such as FR."))
        return country

    def clean_external_id(self) -> str | None:
        return self.cleaned_data["external_id"] or None

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        self.ticked = [BOXES[box] for box in BOXES if self._was(box) is False and found.get(box)]
        self.unticked = [BOXES[box] for box in BOXES if self._was(box) is True and not found.get(box)]
        shown = {str(pk) for pk in self._was("subscribed_to") or ()}
        wanted = set(found.get("subscribed_to") or ())
        self.joined = sorted((s for s in wanted if str(s.pk) not in shown), key=lambda s: s.pk)
        gone = shown - {str(s.pk) for s in wanted}
        services: Any = self.fields["subscribed_to"]
        self.left = list(services.queryset.filter(pk__in=gone))
        again = self._who_left_before()
        if self.unticked or again:
            self._check_lift()
        return found

    def _who_left_before(self) -> list[Service]:
        """Return the joined services that this person had unsubscribed from: joining again lifts an opt-out."""
        if not self.instance.pk:
            return []
        history = ConsentEvent.objects.filter(profile_id=self.instance.pk, service_id__in=[s.pk for s in self.joined])
        last = dict(history.order_by("pk").values_list("service_id", "act"))
        return [service for service in self.joined if last.get(service.pk) == Act.UNSUBSCRIBE]

    def _check_lift(self) -> None:
        if not self.user or not self.user.has_perm("profiles.lift_opt_out"):
            self.add_error(None, ValidationError(str(LiftRefused(Source.OPERATOR)), code="lift_refused"))
        elif not (self.cleaned_data.get("lift_reason") or "").strip():
            self.add_error("lift_reason", ValidationError(str(LiftNeedsReason()), code="lift_needs_reason"))

    def _was(self, name: str) -> Any:
        """Return what the page showed of a field when the operator opened it."""
        field = self.fields[name]
        sent = field.hidden_widget().value_from_datadict(self.data, self.files, self.add_initial_prefix(name))
        return bool(field.to_python(sent)) if name in BOXES else sent


class AddressText(forms.CharField):
    """An address of one or several lines; browsers send CRLF, which must not look like a change."""

    widget = UnfoldAdminExpandableTextareaWidget(attrs={"rows": 1})

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class AddressForm(forms.ModelForm):
    """One address as it is typed; its key, digest and validity are computed. One that is left alone is not judged."""

    value = AddressText(label=gettext_lazy("Address"), max_length=500)

    class Meta:
        model = Address
        fields = ("channel", "value", "position")

    def __init__(self, *args: Any, country: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.country = country
        self.fields["position"].required = False
        for field in self.fields.values():  # a table of inputs: the heading of a column is no label
            field.widget.attrs["aria-label"] = field.label
        if not self.instance.pk:
            self.initial["position"] = None

    def clean_position(self) -> int:
        return self.cleaned_data.get("position") or (self.instance.position if self.instance.pk else LAST)

    def _get_validation_exclusions(self) -> set[str]:
        """Positions are wishes: the address book numbers them."""
        return super()._get_validation_exclusions() | {"position"}

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        channel, value = found.get("channel"), found.get("value")
        if not channel or not value or not {"channel", "value"} & set(self.changed_data):
            return found
        read = addresses.read(Channel(channel), value, country=self.country or settings.DEFAULT_COUNTRY)
        if read.flaw:
            self.add_error("value", read.flaw.remedy)
            return found
        found["value"] = read.value
        self.instance.key, self.instance.validity = read.key, read.validity
        self.instance.digest = digest(Channel(channel), read.key)
        return found


class AddressFormSet(PaginationInlineFormSet):
    """The addresses of one profile: phone numbers are read in its country; no address twice on a channel."""

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return {**super().get_form_kwargs(index), "country": self.instance.country}

    def validate_unique(self) -> None:
        """Leave it to `clean`, which compares keys."""

    def clean(self) -> None:
        super().clean()
        seen: set[bytes] = set()
        for form in self.forms:
            if form in self.deleted_forms or not form.instance.digest or form.errors:
                continue
            if bytes(form.instance.digest) in seen:
                form.add_error("value", _("This person already has this address."))
            seen.add(bytes(form.instance.digest))
