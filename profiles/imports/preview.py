"""The first lines of a file, as they are understood, before anybody is looked up or changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from profiles import custom_fields
from profiles.addresses import read
from profiles.blacklist import FLAGS
from profiles.channels import Channel

from . import contents
from .columns import ADDRESSES, ATTRIBUTE, EMAIL, EXTERNAL_ID, FLAG_COLUMNS, OPT_OUTS, Columns
from .files import Record, Sheet
from .lines import ERROR, Line, PersonLine, check_address, printable, read_lines, text_of
from .opt_out_lines import OptOutLine, read_opt_outs, services_by_name
from .words import Words, note_words


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its cells in the order of the columns, and what is wrong with it."""

    line: int
    cells: Sequence[str]
    problems: Sequence[Words]


@dataclass(frozen=True, slots=True)
class Preview:
    columns: Columns
    rows: Sequence[Row]


def preview(sheet: Sheet, *, keep_invalid: bool, at: datetime, rows: int = 5) -> Preview:
    """Return the first lines. Raise ImportRefused where quotation marks go wrong that early."""
    records, columns = list(islice(sheet.records(), rows)), sheet.columns
    if sheet.table is OPT_OUTS:
        found = read_opt_outs(records, columns, services=services_by_name(), today=at.date())
        shown = [_opt_out_row(line, record, columns) for line, record in zip(found, records, strict=True)]
        return Preview(columns, shown)
    if content := contents.of_table(sheet.table):
        return Preview(columns, [_read_row(*one, columns) for one in content.read(records, columns, at)])
    lines = read_lines(records, columns, keep_invalid=keep_invalid, kinds=custom_fields.kinds())
    return Preview(columns, [_row(line, columns, keep_invalid) for line in lines])


def _read_row(line: Line, cells: Mapping[str, str], columns: Columns) -> Row:
    problems = [note_words(note.code) for note in line.notes if note.level == ERROR]
    return Row(line.line, [cells.get(column, "") for column in columns], problems)


def _opt_out_row(line: OptOutLine, record: Record, columns: Columns) -> Row:
    """Show addresses and flags as they are understood, and the rest as it is written; what is not read stays empty."""
    cells = dict(zip(columns, record.cells, strict=False))
    shown = {column: printable(text_of(cells.get(column, ""))) for column in OPT_OUTS.known}
    for column, (channel, found) in line.addresses.items():
        shown[column] = found.key if channel == Channel.SMS else found.value
    for scopes, word in ((line.channels, _("yes")), (line.lifts, _("no"))):
        shown |= {FLAGS[scope]: word for scope in scopes}
    problems = [note_words(note.code) for note in line.notes if note.level == ERROR]
    return Row(line.line, [shown.get(column, "") for column in columns], problems)


def _row(line: PersonLine, columns: Columns, keep_invalid: bool) -> Row:
    typed = {note.column: note.value for note in line.notes}
    cells = [_cell(line, column, keep_invalid) or typed.get(column, "") for column in columns]
    return Row(line.line, cells, [note_words(note.code) for note in line.notes if note.level == ERROR])


def _cell(line: PersonLine, column: str, keep_invalid: bool) -> str:
    if column == EXTERNAL_ID:
        return line.external_id
    if column == EMAIL:
        return line.email.value if line.email else ""
    if column in ADDRESSES:
        return _address(line, column, keep_invalid)
    if column in FLAG_COLUMNS:
        return {True: _("yes"), False: _("no"), None: ""}[line.flags.get(column)]
    if column.startswith(ATTRIBUTE):
        known = line.attributes.get(column.removeprefix(ATTRIBUTE), "")
        return (_("yes") if known else _("no")) if isinstance(known, bool) else str(known)
    value = line.values.get(column, "")
    return date_format(value, "DATE_FORMAT") if isinstance(value, date) else value


def _address(line: PersonLine, column: str, keep_invalid: bool) -> str:
    if not (text := line.addresses.get(column, "")):
        return ""
    found = read(ADDRESSES[column], text, country=str(line.values.get("country") or settings.DEFAULT_COUNTRY))
    check_address(line, column, found, keep_invalid=keep_invalid)
    return found.value if column == "postal_address" or found.flaw else found.key
