"""What else an organisation keeps about people: the declared keys of `Profile.attributes`."""

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from profiles.texts import pick, validate_texts


class FieldKind(models.TextChoices):
    """What a declared field holds, and so how its values are kept in JSON."""

    TEXT = "text", _("Text")  # a string
    NUMBER = "number", _("Number")  # a number
    DATE = "date", _("Date")  # "YYYY-MM-DD"
    YES_NO = "yes_no", _("Yes or no")  # true or false


class CustomField(models.Model):
    """A key of `Profile.attributes` with a name and a kind: only declared ones serve as criteria."""

    name = models.CharField(
        _("key"), max_length=50, unique=True, validators=[RegexValidator(r"^[\w-]+\Z")],
        help_text=_("As in the column attributes.… of an import."),
    )  # fmt: skip
    label = models.JSONField(_("name"), default=dict, blank=True, validators=[validate_texts])
    kind = models.CharField(_("kind"), max_length=10, choices=FieldKind.choices, default=FieldKind.TEXT)
    # What people had before is read by the kind, by a task: the last profile that it did, none when there is no more.
    converted_upto = models.BigIntegerField(null=True, editable=False)
    unreadable = models.PositiveIntegerField(default=0, editable=False)  # values that it had to leave as they are

    class Meta:
        verbose_name = _("own field")
        verbose_name_plural = _("own fields")

    def __str__(self) -> str:
        return pick(self.label) or self.name
