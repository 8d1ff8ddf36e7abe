"""What could not be imported, and what was remarked, as CSV that no spreadsheet runs."""

import csv
from collections.abc import Iterator

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from profiles.formulas import disarmed
from profiles.models import ImportNote

from .words import CODES, note_words


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_of(rows: QuerySet[ImportNote]) -> Iterator[str]:
    """Yield the lines of the file. Its words are in the language of now, also where they are read after the request."""
    found = {code: note_words(code) for code in CODES}
    texts = {code: (str(words.message), str(words.remedy)) for code, words in found.items()}
    levels = {level.value: str(level.label) for level in ImportNote.Level}
    titles = [_("Line"), _("Kind"), _("Column"), _("Value"), _("What is the matter"), _("What to do")]
    return _lines(titles, rows, levels, texts)


def _lines(
    titles: list[str], rows: QuerySet[ImportNote], levels: dict[int, str], texts: dict[str, tuple[str, str]]
) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + str(writer.writerow(titles))  # spreadsheets take a file without a mark for an old encoding
    columns = ("line", "level", "column", "value", "code")
    for line, level, column, value, code in rows.values_list(*columns).iterator(chunk_size=2_000):
        cells = (line, levels.get(level, ""), column, value, *texts.get(code, (code, "")))
        yield str(writer.writerow([disarmed(str(cell)) for cell in cells]))
