"""What can go wrong with people and their consent. The docstring of each error is its message."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _


class LiftNeedsReason(ValueError):
    """An opt-out can be lifted by the person, or by an operator who writes down why."""

    def __str__(self) -> str:
        return _("Write down why this person may be contacted again.")


class LiftRefused(PermissionError):
    """This source may not lift an opt-out: only the person, or an operator with the permission, can."""

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        self.source = source

    def __str__(self) -> str:
        return _("Only the person, or an operator with the permission, can lift an opt-out.")


class TokenRefused(ValueError):
    """The link is damaged, belongs to another purpose, or its key has been withdrawn."""


class ImportRefused(ValueError):
    """The file as a whole cannot be read. The code is stored; its words are put in a language when they are read."""

    def __init__(self, code: str, words: Any, details: Mapping[str, str | int]) -> None:
        super().__init__(code)
        self.code, self.words, self.details = code, words, details

    def __str__(self) -> str:
        return str(self.words) % self.details


class ValueUnreadable(ValueError):
    """A text is no value of the kind that its field was declared with; `code` says which kind was wanted."""

    def __init__(self, code: str, value: str) -> None:
        super().__init__(code, value)
        self.code, self.value = code, value

    @property
    def remedy(self) -> str:
        return {
            "bad_number": _("Write a number in digits, such as 1234.5."),
            "bad_date": _("Write the year, the month and the day, such as 1980-12-31."),
            "bad_flag": _("Write yes or no, or leave the cell empty."),
        }[self.code]

    def __str__(self) -> str:
        return _("“%(value)s” cannot be read. %(remedy)s") % {"value": self.value[:100], "remedy": self.remedy}


class BrandIncomplete(ValueError):
    """A brand that does not say who writes may not be used in production; `fields` says what it lacks."""

    def __init__(self, brand: str, fields: Sequence[str]) -> None:
        super().__init__(brand, fields)
        self.brand, self.fields = brand, fields

    def __str__(self) -> str:
        return _("The brand “%(brand)s” is not complete. Fill in: %(fields)s.") % {
            "brand": self.brand, "fields": ", ".join(self.fields)
        }  # fmt: skip
