"""The texts of a message as a form: templates as they were typed, refused with the line when they cannot be read."""

from typing import Any

from django import forms

from deliveries import contents, rendering, specimens
from deliveries.errors import TemplateRefused
from deliveries.models import DeliveryContent

from . import starters


class TemplateText(forms.CharField):
    """A template as it was typed: browsers send CRLF, which must not look like a change, and blanks matter."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "strip": False})

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class TemplatesForm(forms.ModelForm):
    """Refuses a template that cannot be read, at the field and with the line; what was typed stays."""

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        for name in contents.TEXTS:
            try:
                rendering.check_syntax(name, found.get(name) or "")
            except TemplateRefused as error:
                self.add_error(name, str(error))
        return found


class ContentForm(TemplatesForm):
    """The texts of one language; only the text where the channel has nothing else.

    `seen` is what stands for the texts that were opened.
    """

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = DeliveryContent
        fields = contents.TEXTS
        field_classes = {"html": TemplateText, "text": TemplateText}
        widgets = {"html": forms.Textarea(attrs={"rows": 18}), "text": forms.Textarea(attrs={"rows": 10})}

    def __init__(self, data: Any, *, delivery: Any, language: str, stored: DeliveryContent | None) -> None:
        new = starters.content(language, delivery.channel)
        initial = {"seen": contents.seen(stored)}
        if stored is None:
            initial |= {name: getattr(new, name) for name in contents.TEXTS}
        instance = stored or DeliveryContent(delivery=delivery, language=language)
        super().__init__(data, instance=instance, initial=initial)
        for name in set(contents.TEXTS) - set(specimens.names_of_parts(delivery.channel)):
            del self.fields[name]
        for name in self.parts:
            described = f"id_{name}_errors" if data is not None and name in self.errors else ""
            code = " c-code" if name != "subject" else ""
            self.fields[name].widget.attrs |= {
                "class": f"c-input{code}", "lang": language, **({"aria-describedby": described} if described else {}),
            }  # fmt: skip

    @property
    def parts(self) -> list[str]:
        """Return the names of the texts that this form asks for."""
        return [name for name in contents.TEXTS if name in self.fields]

    def typed(self) -> dict[str, str]:
        """Return the texts as they stand in the form, good or not."""
        return {name: str(self[name].value() or "").replace("\r\n", "\n") for name in self.parts}
