"""The form of a delivery: whom it is for, and what limits it."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _

from deliveries.models import Audience, Delivery, PeopleList, Target, Typology
from profiles.channels import Channel

# Which field holds whom a delivery is for; what belongs to another target is emptied.
HOLDERS = {Target.AUDIENCE: "audience", Target.LIST: "people_list"}
OFFERED_WHILE_OPEN: dict[str, Any] = {"audience": Audience, "people_list": PeopleList, "typology": Typology}


class DeliveryForm(forms.ModelForm):
    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Delivery
        fields = (
            "label", "brand", "channel", "target", "audience", "people_list", "service", "addresses",
            "control_percent", "control_count", "size_limit", "typology", "message_class", "in_doubt_policy",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.emptied: list[str] = []
        if "seen_version" in self.fields:
            self.fields["seen_version"].initial = self.instance.version
        for name, model in OFFERED_WHILE_OPEN.items():
            if isinstance(field := self.fields.get(name), forms.ModelChoiceField):
                chosen = model.objects.filter(pk=getattr(self.instance, f"{name}_id"))
                field.queryset = model.objects.open() | chosen
        if isinstance(typology := self.fields.get("typology"), forms.ModelChoiceField):
            typology.empty_label = _("The usual ones")

    @property
    def changed_fields(self) -> list[str]:
        """Return the fields of the delivery that the form changes."""
        return [name for name in self._meta.fields or () if name in self.changed_data or name in self.emptied]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if self.instance.pk and found.get("seen_version") not in (None, self.instance.version):
            raise forms.ValidationError(
                _("Somebody else has changed this delivery meanwhile. Open it again, and make your change once more.")
            )
        self._clean_target(found)
        self._clean_limits(found)
        service, channel = found.get("service"), found.get("channel")
        if service is not None and channel is not None and service.channel != channel:
            self.add_error("service", _("This service is on another channel."))
        if channel not in (None, Channel.EMAIL, Channel.SMS):
            self.add_error("channel", _("Only email and SMS can be prepared for now."))
        return found

    def _clean_target(self, found: dict[str, Any]) -> None:
        """Ask for what the target needs, and forget what it does not."""
        needed = {
            Target.SERVICE: ("service", _("Choose the service whose subscribers are to get it, or another target.")),
            Target.AUDIENCE: ("audience", _("Choose the audience that is to get it, or another target.")),
            Target.LIST: ("people_list", _("Choose the list of people who are to get it, or another target.")),
        }
        target = found.get("target")
        if target in needed:
            name, told = needed[target]
            if found.get(name) is None and name not in self.errors:
                self.add_error(name, told)
        for other, name in HOLDERS.items():
            if target is not None and target != other and name not in self.errors and found.get(name) is not None:
                found[name] = None
                if getattr(self.instance, f"{name}_id") is not None:
                    self.emptied.append(name)

    def _clean_limits(self, found: dict[str, Any]) -> None:
        percent, count = found.get("control_percent"), found.get("control_count")
        if percent is not None and not 0 <= percent <= 100:
            self.add_error("control_percent", _("Write a percentage from 0 to 100."))
        if percent is not None and count is not None:
            self.add_error("control_count", _("Give a percentage or a number of people, and leave the other empty."))
        if found.get("size_limit") == 0:
            self.add_error("size_limit", _("Write 1 or more, or leave it empty for no limit."))
