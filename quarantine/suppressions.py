"""Leave out the addresses of a file: a list of another system, or one that was exported here.

It is registered as a kind of import (profiles.imports.contents): checked before, run in batches, noted line by line.
What follows for an address that is known already is the table of `lifecycle`, as for one that is added by hand: one
that is left out for good keeps its cause and date, and one that is always written to stays so but for what people or
operators have said.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from profiles.consent import Evidence
from profiles.imports import contents
from profiles.imports.columns import Columns
from profiles.imports.contents import Content, Done
from profiles.imports.files import Record, Sheet
from profiles.imports.lines import REMARK, Line, printable, text_of
from profiles.imports.people import Counts, count_notes
from profiles.imports.scratch import Memory
from profiles.models import ImportJob, Source

from . import lifecycle
from .columns import CAUSE, DATE, UNTIL
from .entries import Book, Target, of_targets
from .lifecycle import OF_CAUSE, state_of
from .lines import TABLE, LeftOutLine, read_lines
from .models import Cause, QuarantinedAddress, Status

KIND = "addresses"
BATCH = 600  # lines, of up to nine addresses that are locked: PostgreSQL's table of locks has room for 6,400 or so


def run(job: ImportJob, sheet: Sheet, records: Sequence[Record], evidence: Evidence, at: datetime) -> Done:
    """Leave the addresses of a batch out. In a transaction; about ten queries."""
    lines = read_lines(records, sheet.columns, at=at)
    with of_targets(_targets(lines), at=at) as book:
        return _apply(book, lines, job, evidence)


def check(memory: "Scratch", job: ImportJob, sheet: Sheet, records: Sequence[Record], at: datetime) -> Done:
    """Say what `run` would do after the batches before. One query."""
    lines = read_lines(records, sheet.columns, at=at)
    targets = list(_targets(lines))
    rows = QuarantinedAddress.objects.with_digests({target.digest for target in targets}).filter(scope="")
    book = Book(at, list(rows.order_by("pk")))
    memory.recall(book, targets)
    done = _apply(book, lines, job, Evidence(source=Source.IMPORT))
    memory.keep(book, targets)
    return done


def read(records: Sequence[Record], columns: Columns, at: datetime) -> Sequence[tuple[Line, Mapping[str, str]]]:
    """Return lines with their cells as they are understood, to be looked at before anything else."""
    lines = read_lines(records, columns, at=at)
    return [(line, _shown(line, record, columns)) for line, record in zip(lines, records, strict=True)]


def _targets(lines: Sequence[LeftOutLine]) -> Iterator[Target]:
    for line in lines:
        if not line.is_refused():
            yield from line.targets


def _apply(book: Book, lines: Sequence[LeftOutLine], job: ImportJob, evidence: Evidence) -> Done:
    counts = Counts()
    for line in lines:
        if line.is_refused():
            continue
        became = [_leave_out(book, target, line, job, evidence) for target in line.targets]
        is_new, is_known = "new" in became, "known" in became
        counts.created += is_new
        counts.updated += is_known and not is_new
        counts.unchanged += not (is_new or is_known)
    count_notes(lines, counts)
    return Done(lines, counts)


def _leave_out(book: Book, target: Target, line: LeftOutLine, job: ImportJob, evidence: Evidence) -> str:
    """Leave one address out; return "new", "known" (it was not left out, or for less), or "" if nothing follows."""
    row = book.entry(target)
    is_new = row._state.adding and row.status == Status.VALID
    if lifecycle.after(state_of(row), OF_CAUSE[line.cause]) != Status.QUARANTINED:
        if row.status == Status.ALLOWLISTED:
            line.note(REMARK, "always_written_to", CAUSE, line.cause.name.lower())
        return ""
    if line.until and row.is_blocking(book.at) and _is_no_less(row, line.until):
        return ""
    row.value, row.key = row.value or target.value, row.key or target.key
    row.reason, row.text, row.delivery_name = line.reason, line.answer, line.delivery
    why = " – ".join(part for part in (line.words, job.provenance, job.file_name) if part)
    book.move(
        row, Status.QUARANTINED, evidence=replace(evidence, reason=why), cause=line.cause,
        quarantined_at=line.date or book.at, release_at=line.until,
    )  # fmt: skip
    return "new" if is_new else "known"


def _is_no_less(row: QuarantinedAddress, until: datetime) -> bool:
    """Say whether an entry that is left out stays so for as long already, or longer."""
    return row.release_at is None or row.release_at >= until


def _shown(line: LeftOutLine, record: Record, columns: Columns) -> dict[str, str]:
    cells = dict(zip(columns, record.cells, strict=False))
    shown = {column: printable(text_of(cells.get(column, ""))) for column in columns}
    if CAUSE in shown and not line.is_refused():
        shown[CAUSE] = str(line.cause.label)
    for column, moment in ((DATE, line.date), (UNTIL, line.until)):
        if column in shown and not line.is_refused():
            shown[column] = f"{moment:%Y-%m-%d %H:%M}" if moment else ""
    return shown


class Scratch(Memory):
    """The memory of a dry run: until when each address would be left out by now."""

    def __init__(self) -> None:
        super().__init__("CREATE TABLE left_out (address TEXT PRIMARY KEY, until TEXT NOT NULL) WITHOUT ROWID;")

    def recall(self, book: Book, targets: Sequence[Target]) -> None:
        """Have a book say what the batches before would have written."""
        asked = {_name(target): target for target in targets}
        found = self.base.execute(
            "SELECT address, until FROM left_out WHERE address IN (SELECT value FROM json_each(?))",
            [json.dumps([*asked])],
        )
        for name, until in found:
            row = book.entry(asked[name])
            row.status, row.quarantined_at = Status.QUARANTINED, book.at
            row.cause = row.cause or Cause.IMPORT
            row.release_at = datetime.fromisoformat(until) if until else None

    def keep(self, book: Book, targets: Sequence[Target]) -> None:
        """Remember what a batch would have written."""
        rows = {_name(target): book.entry(target) for target in targets}
        known = {name: row.release_at for name, row in rows.items() if row.is_blocking(book.at)}
        self.base.execute("BEGIN")
        self.base.executemany(
            "INSERT OR REPLACE INTO left_out VALUES (?, ?)",
            [(name, until.isoformat() if until else "") for name, until in known.items()],
        )
        self.base.execute("COMMIT")


def _name(target: Target) -> str:
    return f"{int(target.channel)}:{target.digest.hex()}"


CONTENT = Content(
    kind=KIND, title=_("Addresses to leave out"), button=_("Leave these addresses out"),
    permission="quarantine.import_quarantinedaddress", table=TABLE, batch=BATCH, run=run, memory=Scratch, check=check,
    read=read,
    counts={
        "created": _("addresses newly left out"),
        "updated": _("known addresses, now left out or for longer"),
        "unchanged": _("left out already, or nothing to do"),
    },
    always=("created", "updated", "unchanged", "errors"),
)  # fmt: skip
contents.register(CONTENT)
