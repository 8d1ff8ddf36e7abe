"""Read a CSV file line by line, whatever its size: its bytes, its characters, its records.

    sheet = Sheet.open(path)            the header is read; ImportRefused if it cannot be
    sheet.survey()                      the whole file is read once: how many lines; ImportRefused if it cannot be
    for record in sheet.records(): ...  number of the line in the file, cells in the order of the columns, flaw

A flaw that concerns one line (a zero byte, a wrong number of cells, a stray quotation mark) is told with that line.
A quotation mark that swallows the following lines refuses the file: what it meant cannot be known.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from .columns import PEOPLE, Columns, Headings, Table, read_header
from .words import refusal

CHUNK = 1 << 20
MAX_LINE = 1_000_000  # characters between two line breaks
MAX_CELL = 5_000
DELIMITERS = ",;\t"
# "PK": a zip archive, which is what spreadsheets save by default; then gzip, the older Excel, PDF.
_NOT_TEXT = (b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0", b"%PDF")
# What the decoder puts in the place of a byte that it cannot read ("surrogateescape").
_UNREADABLE = re.compile("[\ud800-\udfff]")
_NOT_ASCII = re.compile("[^\x00-\x7f\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the table: where it begins in the file, its cells, and the code of its flaw ("" if none)."""

    line: int
    cells: list[str]
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV file whose header has been understood."""

    path: Path
    encoding: str
    delimiter: str
    columns: Columns
    table: Table = PEOPLE

    @classmethod
    def open(cls, path: Path, table: Table = PEOPLE, own: Headings | None = None) -> "Sheet":
        """Read the header, and find the encoding and the delimiter. Raise ImportRefused."""
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise refusal("missing") from None
        if size > settings.IMPORT_MAX_BYTES:
            raise refusal("too_big", limit=settings.IMPORT_MAX_BYTES)
        encoding = _encoding(path)
        with _text(path, encoding) as stream:
            text = next((line for line in _lines(stream) if line.strip()), None)
        if text is None:
            raise refusal("empty")
        delimiter = max(DELIMITERS, key=text.count)
        with _text(path, encoding) as stream:
            line, header = next(row for row in _split(_lines(stream), delimiter) if row[1] != [])
        if header is None:
            raise refusal("open_quote", line=line)
        return cls(path, encoding, delimiter, read_header(header, table, own), table)

    def survey(self) -> int:
        """Read the whole file once and return how many lines it holds. Raise ImportRefused."""
        total = sum(1 for _ in self.records())
        if not total:
            raise refusal("no_lines")
        return total

    def records(self) -> Iterator[Record]:
        """Yield each line that is not blank, after the header. Raise ImportRefused where quotation marks go wrong."""
        with _text(self.path, self.encoding) as stream:
            rows = _split(_lines(stream), self.delimiter)
            next(row for row in rows if row[1] != [])
            for line, cells in rows:
                if cells is None:
                    yield Record(line, [], "quotes")
                elif (text := "".join(cells)).strip():
                    yield self._record(line, cells, text)

    def _record(self, line: int, cells: list[str], text: str) -> Record:
        width = len(self.columns)
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        if len(cells) != width:
            return Record(line, cells, "too_many_cells" if len(cells) > width else "too_few_cells")
        if "\x00" in text:
            return Record(line, cells, "nul")
        if not text.isascii() and _UNREADABLE.search(text):
            return Record(line, cells, "unreadable")
        if len(text) > MAX_CELL and max(map(len, cells)) > MAX_CELL:
            return Record(line, cells, "long_cell")
        return Record(line, cells)


def _encoding(path: Path) -> str:
    """Return how the bytes of a file are to be read.

    A byte-order mark decides. Else the file is UTF-8, unless it has more bytes that UTF-8 cannot read than
    characters that it can: an old French file in cp1252 has hardly any of these, a damaged UTF-8 one is full of them.
    """
    readable = unreadable = 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with path.open("rb") as stream:
        start = stream.read(4)
        if start.startswith(_NOT_TEXT):
            raise refusal("not_text")
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if start.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        stream.seek(0)
        while chunk := stream.read(CHUNK):
            text = decoder.decode(chunk)
            if not text.isascii():
                readable += len(_NOT_ASCII.findall(text))
                unreadable += len(_UNREADABLE.findall(text))
    return "cp1252" if unreadable > readable else "utf-8"


def _text(path: Path, encoding: str) -> IO[str]:
    # newline="": a line break inside a cell stays as it is, and each kind of line break ends a line.
    errors = "surrogateescape" if encoding != "utf-16" else "replace"
    return io.TextIOWrapper(path.open("rb"), encoding=encoding, errors=errors, newline="")


def _lines(stream: IO[str]) -> Iterator[str]:
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise refusal("long_line", line=number)
        yield line


def _split(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str] | None]]:
    """Yield the number of the line at which each record begins, and its cells: None for stray quotation marks."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            # Within one line nothing else is at stake. Over several, the following lines were swallowed.
            if reader.line_num > line:
                raise refusal("open_quote", line=line) from None
            yield line, None
        else:
            yield line, cells
