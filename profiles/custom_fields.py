"""What an organisation's own fields hold: text to a value of the declared kind, as it is kept in JSON.

    read(FieldKind.NUMBER, "1 234,5")      1234.5; ValueUnreadable says what to write instead
    as_declared({"points": "12"})          {"points": 12}; what cannot be read stays text
    convert(field_id, at=now)              a batch of what was there before the field was declared

Text is kept as a string, a number as a number, a date as "YYYY-MM-DD", yes or no as true or false.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from .errors import ValueUnreadable
from .models import CustomField, FieldKind, Profile

BATCH = 5_000
YES = frozenset({"yes", "true", "1", "oui", "vrai"})
NO = frozenset({"no", "false", "0", "non", "faux"})
MAX_DIGITS = 15  # what a double of JSON holds exactly

Value = str | int | float | bool
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PLAIN = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
# Between thousands people write blanks, apostrophes, commas or points; two groups or more leave no doubt.
_BLANK = "[ \u00a0\u202f'’]"
_GROUPED = (
    (re.compile(rf"([+-]?[0-9]{{1,3}}(?:{_BLANK}[0-9]{{3}})+)(?:[.,]([0-9]+))?"), _BLANK),
    (re.compile(r"([+-]?[0-9]{1,3}(?:,[0-9]{3})+)\.([0-9]+)|([+-]?[0-9]{1,3}(?:,[0-9]{3}){2,})"), ","),
    (re.compile(r"([+-]?[0-9]{1,3}(?:\.[0-9]{3})+),([0-9]+)|([+-]?[0-9]{1,3}(?:\.[0-9]{3}){2,})"), r"\."),
)
_DECIMAL_COMMA = re.compile(r"([+-]?[0-9]+),([0-9]+)")
# 1,234 is a thousand to some and one and a quarter to others.
_AMBIGUOUS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


def kinds() -> dict[str, FieldKind]:
    """Return the kind of each declared field, by its name. One query."""
    return {name: FieldKind(kind) for name, kind in CustomField.objects.values_list("name", "kind")}


def read(kind: FieldKind, text: str) -> Value:
    """Return what a text says, as it is kept; raise ValueUnreadable when it is nothing of that kind."""
    found = _READERS[kind](text.strip())
    if found is None:
        raise ValueUnreadable(_CODES[kind], text)
    return found


def as_declared(answers: Mapping[str, str]) -> dict[str, Value]:
    """Return answers as they are kept: those to declared fields by kind, if they can be read, the others as text."""
    declared = kinds() if answers else {}
    return {name: read_or_keep(declared.get(name, FieldKind.TEXT), text) for name, text in answers.items()}


def read_or_keep(kind: FieldKind, value: Any) -> Any:
    """Return a stored value in the declared kind, if it can be read so, else as it is."""
    if fits(kind, value) or not isinstance(value, str | int | float):
        return value
    text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    try:
        return read(kind, text)
    except ValueUnreadable:
        return value


def read_day(text: str) -> date | None:
    """Return the day of a text such as 1980-12-31; None if it is none."""
    if not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def fits(kind: FieldKind, value: Any) -> bool:
    """Say whether a stored value is of a kind."""
    if isinstance(value, bool):
        return kind == FieldKind.YES_NO
    if kind == FieldKind.NUMBER:
        return isinstance(value, int | float)
    return isinstance(value, str) and (
        kind == FieldKind.TEXT or (kind == FieldKind.DATE and read_day(value) is not None)
    )


def convert(field_id: int, *, at: datetime) -> bool:
    """Put what a batch of people have under a field's name into its kind; return whether there is more to do.

    One short transaction, which moves the checkpoint of the field by an update that holds only where this one read it:
    a task that is late, or rung twice, does nothing. What cannot be read stays as it is, and is counted.
    """
    field = CustomField.objects.filter(pk=field_id, converted_upto__isnull=False).first()
    if field is None:
        return False
    people = Profile.objects.filter(pk__gt=field.converted_upto).order_by("pk")
    ids = list(people.values_list("pk", flat=True)[:BATCH])
    here = CustomField.objects.filter(pk=field.pk, kind=field.kind, converted_upto=field.converted_upto)
    with transaction.atomic():
        if not here.update(converted_upto=ids[-1] if ids else None) or not ids:
            return False
        if left := _convert(field, people.filter(pk__lte=ids[-1]), at):
            CustomField.objects.filter(pk=field.pk).update(unreadable=F("unreadable") + left)
    return True


def _convert(field: CustomField, people: QuerySet[Profile], at: datetime) -> int:
    """Put what people have into the kind of a field; return how many values cannot be read so. Two queries."""
    kind, left, changed = FieldKind(field.kind), 0, []
    having = people.filter(attributes__has_key=field.name).select_for_update(no_key=True)
    for pk, attributes in having.values_list("pk", "attributes"):
        known = attributes[field.name]
        value = read_or_keep(kind, known)
        left += known not in (None, "") and not fits(kind, value)
        if type(value) is not type(known) or value != known:
            changed.append(Profile(pk=pk, attributes={**attributes, field.name: value}, updated_at=at))
    # An upsert of rows that are there and locked: many times faster than `bulk_update`.
    Profile.objects.bulk_create(
        changed, update_conflicts=True, unique_fields=["pk"], update_fields=["attributes", "updated_at"],
        batch_size=1_000,
    )  # fmt: skip
    return left


def _number(text: str) -> int | float | None:
    plain = _plain_number(text)
    if plain is None or sum(char.isdigit() for char in plain) > MAX_DIGITS:
        return None
    found = Decimal(plain)
    return int(found) if found == found.to_integral_value() else float(found)


def _plain_number(text: str) -> str | None:
    """Return a number as Python writes it; None where it is none, or might be two."""
    if _PLAIN.fullmatch(text):
        return text
    for pattern, between in _GROUPED:
        if found := pattern.fullmatch(text):
            whole, decimals = (*(group for group in found.groups() if group), "")[:2]
            return re.sub(between, "", whole) + (f".{decimals}" if decimals else "")
    if (found := _DECIMAL_COMMA.fullmatch(text)) and not _AMBIGUOUS.fullmatch(text):
        return f"{found[1]}.{found[2]}"
    return None


def _yes_no(text: str) -> bool | None:
    word = text.casefold()
    return word in YES if word in YES or word in NO else None


def _date(text: str) -> str | None:
    return text if read_day(text) else None


_READERS: Mapping[FieldKind, Callable[[str], Value | None]] = {
    FieldKind.TEXT: str,
    FieldKind.NUMBER: _number,
    FieldKind.DATE: _date,
    FieldKind.YES_NO: _yes_no,
}
# The codes of an import's notes; see `imports.words`.
_CODES = {FieldKind.NUMBER: "bad_number", FieldKind.DATE: "bad_date", FieldKind.YES_NO: "bad_flag"}
