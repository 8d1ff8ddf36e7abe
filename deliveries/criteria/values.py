"""What may stand on the right of a comparison: read from JSON, checked, and written back."""

import math
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Any

from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

LONGEST = 200
MOST_VALUES = 500
MOST_DAYS = 36_500

Value = None | str | int | float | date | tuple[Any, ...]


class ValueRefused(ValueError):
    """A value that does not fit its comparison; the message says what would."""


class Operator(StrEnum):
    """How a field is compared. `shape` is what its value looks like."""

    IN = "in"
    NOT_IN = "not_in"
    IS = "is"
    STARTS = "starts"
    CONTAINS = "contains"
    EQ = "eq"
    LTE = "lte"
    GTE = "gte"
    BETWEEN = "between"
    BEFORE = "before"
    SINCE = "since"
    LAST_DAYS = "last_days"
    NOT_LAST_DAYS = "not_last_days"
    YES = "yes"
    NO = "no"
    IS_SET = "is_set"
    NOT_SET = "not_set"

    @property
    def label(self) -> str:
        return str(_LABELS[self])


_LABELS = {
    Operator.IN: gettext_lazy("is one of"),
    Operator.NOT_IN: gettext_lazy("is none of"),
    Operator.IS: gettext_lazy("is"),
    Operator.STARTS: gettext_lazy("starts with"),
    Operator.CONTAINS: gettext_lazy("contains"),
    Operator.EQ: gettext_lazy("is equal to"),
    Operator.LTE: gettext_lazy("is at most"),
    Operator.GTE: gettext_lazy("is at least"),
    Operator.BETWEEN: gettext_lazy("is from … to …"),
    Operator.BEFORE: gettext_lazy("is before"),
    Operator.SINCE: gettext_lazy("is on or after"),
    Operator.LAST_DAYS: gettext_lazy("in the last … days"),
    Operator.NOT_LAST_DAYS: gettext_lazy("not in the last … days"),
    Operator.YES: gettext_lazy("is yes"),
    Operator.NO: gettext_lazy("is no"),
    Operator.IS_SET: gettext_lazy("is known"),
    Operator.NOT_SET: gettext_lazy("is not known"),
}
WITHOUT_VALUE = frozenset({Operator.YES, Operator.NO, Operator.IS_SET, Operator.NOT_SET})
MANY = frozenset({Operator.IN, Operator.NOT_IN})
DAYS = frozenset({Operator.LAST_DAYS, Operator.NOT_LAST_DAYS})


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    CHOICE = "choice"  # of codes, or of the numbers of rows
    NUMBER = "number"
    DATE = "date"
    YES_NO = "yes_no"


def read(kind: Kind, operator: Operator, value: object, *, codes: Sequence[str | int] | None = None) -> Value:
    """Return the value that an operator compares with; raise ValueRefused."""
    if operator in WITHOUT_VALUE:
        if value is not None:
            raise ValueRefused(_("This comparison takes no value."))
        return None
    if operator in DAYS:
        return _read_days(value)
    if operator in MANY:
        return _read_many(kind, value, codes)
    one: Any = {Kind.TEXT: _read_text, Kind.NUMBER: _read_number, Kind.DATE: _read_date}[kind]
    if operator != Operator.BETWEEN:
        found: Value = one(value)
        return found
    if not isinstance(value, list) or len(value) != 2:
        raise ValueRefused(_("Give two values: from and to."))
    first, last = one(value[0]), one(value[1])
    if first > last:
        raise ValueRefused(_("The first value must not be above the second."))
    return (first, last)


def stored(value: Value) -> Any:
    """Return a value as JSON."""
    if isinstance(value, tuple):
        return [stored(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


def _read_many(kind: Kind, value: object, codes: Sequence[str | int] | None) -> tuple[Any, ...]:
    if not isinstance(value, list) or not value:
        raise ValueRefused(_("Choose at least one."))
    if len(value) > MOST_VALUES:
        raise ValueRefused(_("Choose at most %(most)s. For more, make a list of people.") % {"most": MOST_VALUES})
    if kind == Kind.TEXT:
        return tuple(_read_text(one) for one in value)
    for one in value:
        known = isinstance(one, str | int) and not isinstance(one, bool)
        if not known or (codes is not None and one not in codes) or (codes is None and not _is_key(one)):
            raise ValueRefused(_("“%(value)s” is not among the choices.") % {"value": str(one)[:60]})
    return tuple(value)


def _is_key(value: Any) -> bool:
    return isinstance(value, int) and 0 < value < 1 << 63


def _read_text(value: object) -> Any:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueRefused(_("Write something to compare with."))
    if len(value) > LONGEST:
        raise ValueRefused(_("Write at most %(longest)s letters.") % {"longest": LONGEST})
    return value.strip()


def _read_number(value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e15:
        raise ValueRefused(_("Write a number, such as 18."))
    return value


def _read_date(value: object) -> Any:
    try:
        found = parse_date(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or not 1800 <= found.year <= 9000:
        raise ValueRefused(_("Write a date as year, month and day, such as 2026-03-21."))
    return found


def _read_days(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_DAYS:
        raise ValueRefused(_("Write a number of days, such as 30."))
    return value
