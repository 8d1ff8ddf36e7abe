"""Turn the cells of one line into what it says about a person. An empty cell says nothing.

Phone numbers are left as typed: the country in which they are read may be that of the profile (see people).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from zoneinfo import available_timezones

from phonenumbers import SUPPORTED_REGIONS

from profiles import custom_fields
from profiles.addresses import ReadAddress, read
from profiles.channels import Channel
from profiles.custom_fields import NO, YES, Value, read_day
from profiles.digests import digest
from profiles.errors import ValueUnreadable
from profiles.formulas import restored
from profiles.models import Address, FieldKind, ImportNote, Profile

from .columns import ADDRESSES, ATTRIBUTE, EMAIL, EXTERNAL_ID, FLAG_COLUMNS, NAMES, Columns
from .files import Record

ERROR, REMARK = ImportNote.Level.ERROR, ImportNote.Level.REMARK
MAX_ATTRIBUTE = 1_000
MAX_VALUE = 200  # of a cell that is quoted in a note
_LIMITS: dict[str, int] = {
    **{name: getattr(Profile._meta.get_field(name), "max_length", 0) for name in (EXTERNAL_ID, *NAMES)},
    **dict.fromkeys(ADDRESSES, getattr(Address._meta.get_field("value"), "max_length", 0)),
}
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,6})?")
# Territories of ISO 3166 that have no telephone numbers of their own.
_COUNTRIES = SUPPORTED_REGIONS | {"AQ", "BV", "GS", "HM", "PN", "TF", "UM"}


@dataclass(frozen=True, slots=True)
class Note:
    """What there is to say about a line: an error or a remark, by its code."""

    line: int
    level: ImportNote.Level
    code: str
    column: str = ""
    value: str = ""


@dataclass(slots=True)
class Line:
    """One line of a file, and what there is to say about it."""

    line: int
    notes: list[Note] = field(default_factory=list)

    def is_refused(self) -> bool:
        return any(note.level == ERROR for note in self.notes)

    def note(self, level: ImportNote.Level, code: str, column: str = "", value: str = "") -> None:
        self.notes.append(Note(self.line, level, code, column[:100], printable(value)))


@dataclass(slots=True)
class PersonLine(Line):
    """What one line says about a person, or why it cannot be read (`notes` then holds errors)."""

    external_id: str = ""
    email: ReadAddress | None = None
    email_digest: bytes = b""
    values: dict[str, str | date] = field(default_factory=dict)
    attributes: dict[str, Value] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)  # by column, as typed; the email is above
    flags: dict[str, bool] = field(default_factory=dict)  # by column


def read_lines(
    records: Iterable[Record], columns: Columns, *, keep_invalid: bool, kinds: Mapping[str, FieldKind]
) -> list[PersonLine]:
    """Return what lines say; `kinds` are those of the declared fields, by name."""
    return [_read(record, columns, keep_invalid, kinds) for record in records]


def printable(text: str) -> str:
    """Return a cell as it can be stored and shown: PostgreSQL takes no zero byte, and nobody half a character."""
    return text.replace("\x00", "�")[:MAX_VALUE].encode("utf-8", "replace").decode()


def text_of(cell: str) -> str:
    """Return what a cell says: without blanks around it, and without the apostrophe that disarmed a formula."""
    return restored(cell.strip(" \t\r\n\u00a0\ufeff"))


def check_address(line: Line, column: str, found: ReadAddress, *, keep_invalid: bool) -> bool:
    """Note the flaw of an address; return whether the address is to be stored all the same."""
    if found.flaw is not None:
        line.note(REMARK if keep_invalid else ERROR, found.flaw.value, column, found.value)
    return found.flaw is None or keep_invalid


def _read(record: Record, columns: Columns, keep_invalid: bool, kinds: Mapping[str, FieldKind]) -> PersonLine:
    line = PersonLine(record.line)
    if record.flaw:
        line.note(ERROR, record.flaw)
        return line
    for column, cell in zip(columns, record.cells, strict=True):
        if text := text_of(cell):
            _take(line, column, text, keep_invalid, kinds)
    if not line.external_id and line.email is None and not line.is_refused():
        line.note(ERROR, "nobody")
    return line


def _take(line: PersonLine, column: str, text: str, keep_invalid: bool, kinds: Mapping[str, FieldKind]) -> None:
    limit = MAX_ATTRIBUTE if column.startswith(ATTRIBUTE) else _LIMITS.get(column, MAX_VALUE)
    if len(text) > limit:
        line.note(ERROR, "long_value", column, text)
    elif column == EXTERNAL_ID:
        line.external_id = " ".join(text.split())
    elif column == EMAIL:
        found = read(Channel.EMAIL, text)
        if found.value and check_address(line, EMAIL, found, keep_invalid=keep_invalid):
            line.email, line.email_digest = found, digest(Channel.EMAIL, found.key)
    elif column in ADDRESSES:
        line.addresses[column] = text
    elif column in FLAG_COLUMNS:
        if (yes := read_flag(line, column, text)) is not None:
            line.flags[column] = yes
    elif column.startswith(ATTRIBUTE):
        _take_attribute(line, column, text, kinds)
    else:
        _take_value(line, column, text)


def _take_attribute(line: PersonLine, column: str, text: str, kinds: Mapping[str, FieldKind]) -> None:
    name = column.removeprefix(ATTRIBUTE)
    try:
        line.attributes[name] = custom_fields.read(kinds.get(name, FieldKind.TEXT), text)
    except ValueUnreadable as error:
        line.note(ERROR, error.code, column, text)


def read_flag(line: Line, column: str, text: str) -> bool | None:
    """Return whether a cell says yes or no; None, with an error, if neither."""
    word = text.casefold()
    if word in YES or word in NO:
        return word in YES
    line.note(ERROR, "bad_flag", column, text)
    return None


def _take_value(line: PersonLine, column: str, text: str) -> None:
    value = _READERS[column](text)
    if value is None:
        line.note(ERROR, _CODES[column], column, text)
    else:
        line.values[column] = value


def _name(text: str) -> str:
    # A line break in a name could end up in the header of a message.
    return " ".join(text.split())


def _language(text: str) -> str | None:
    code = text.lower().replace("_", "-")
    return code if _LANGUAGE.fullmatch(code) else None


def read_country(text: str) -> str | None:
    code = text.upper()
    return code if code in _COUNTRIES else None


def _time_zone(text: str) -> str | None:
    return text if text in _time_zones() else None


def _birth_date(text: str) -> date | None:
    found = read_day(text)
    return found if found and 1850 <= found.year <= 2100 else None


_READERS = {
    "first_name": _name,
    "last_name": _name,
    "language": _language,
    "country": read_country,
    "time_zone": _time_zone,
    "birth_date": _birth_date,
}
_CODES = {
    "language": "bad_language",
    "country": "bad_country",
    "time_zone": "bad_time_zone",
    "birth_date": "bad_date",
}


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
