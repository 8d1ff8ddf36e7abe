"""What is done with a batch of lines, by what the file holds: people, or only opt-outs.

run(job, sheet, records, evidence=evidence, at=at)      in the transaction of the batch
with memory_of(job) as memory:
    check(memory, job, sheet, records, at=at)           the same in memory, after the batches before; writes nothing
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from profiles import consent, custom_fields, opt_outs
from profiles.blacklist import FLAGS
from profiles.consent import Evidence
from profiles.models import ImportJob
from profiles.opt_outs import AddressOptOut, Outcome

from . import store
from .contents import Done, content_of
from .files import Record, Sheet
from .lines import REMARK, Line, read_lines
from .opt_out_lines import OptOutLine, read_opt_outs, services_by_name
from .people import Counts, apply_consent, apply_data, count_notes
from .scratch import MarkScratch, Memory, Scratch

MAX_LINES = 5_000
# An opt-out of an address that nobody has locks that address: PostgreSQL's table of locks has room for 6,400 or so.
MAX_OPT_OUTS = 1_000


def size_of(job: ImportJob, wanted: int) -> int:
    """Return how many lines a batch of a job has."""
    if content := content_of(job):
        return max(1, min(wanted, content.batch))
    return max(1, min(wanted, MAX_OPT_OUTS if job.only_opt_outs else MAX_LINES))


def memory_of(job: ImportJob) -> Memory:
    """Return the memory of a dry run."""
    if content := content_of(job):
        return content.memory()
    return MarkScratch() if job.only_opt_outs else Scratch()


def run(job: ImportJob, sheet: Sheet, records: Sequence[Record], *, evidence: Evidence, at: datetime) -> Done:
    """Apply a batch."""
    if content := content_of(job):
        return content.run(job, sheet, records, evidence, at)
    if job.only_opt_outs:
        return _run_opt_outs(job, sheet, records, evidence, at)
    counts = Counts()
    lines = read_lines(records, sheet.columns, keep_invalid=job.keep_invalid, kinds=custom_fields.kinds())
    people = store.load(lines, service=job.service, at=at)
    steps = apply_data(lines, people, keep_invalid=job.keep_invalid)
    apply_consent(steps, store.facts(people, steps, at=at), service=job.service_id, counts=counts)
    store.save(people, service=job.service, evidence=evidence, at=at)
    return _counted(lines, counts)


def check(memory: Any, job: ImportJob, sheet: Sheet, records: Sequence[Record], *, at: datetime) -> Done:
    """Do what `run` does, but write nothing; `memory` is that of the job."""
    if content := content_of(job):
        return content.check(memory, job, sheet, records, at)
    if isinstance(memory, MarkScratch):
        return _check_opt_outs(memory, job, sheet, records, at)
    counts = Counts()
    lines = read_lines(records, sheet.columns, keep_invalid=job.keep_invalid, kinds=custom_fields.kinds())
    people = memory.load(lines, service=job.service, at=at)
    steps = apply_data(lines, people, keep_invalid=job.keep_invalid)
    facts = store.facts(people, steps, at=at, lock=False)
    apply_consent(steps, facts, service=job.service_id, counts=counts)
    memory.save(people)
    return _counted(lines, counts)


def _counted(lines: Sequence[Line], counts: Counts) -> Done:
    count_notes(lines, counts)
    return Done(lines, counts)


def _run_opt_outs(job: ImportJob, sheet: Sheet, records: Sequence[Record], evidence: Evidence, at: datetime) -> Done:
    lines, entries = _opt_outs(job, sheet, records, at)
    outcomes = consent.opt_out_addresses([entry for _line, entry in entries], evidence=evidence, at=at)
    return _count_opt_outs(lines, entries, outcomes)


def _check_opt_outs(memory: MarkScratch, job: ImportJob, sheet: Sheet, records: Sequence[Record], at: datetime) -> Done:
    lines, entries = _opt_outs(job, sheet, records, at)
    asked = [entry for _line, entry in entries]
    known = opt_outs.read(asked, opt_outs.owners_of({entry.digest for entry in asked}))
    known.done.update(memory.among(mark for entry in asked for mark in known.marks(entry)))
    plan = opt_outs.work_out(asked, known)
    memory.add(plan.new)
    return _count_opt_outs(lines, entries, plan.outcomes)


def _opt_outs(
    job: ImportJob, sheet: Sheet, records: Sequence[Record], at: datetime
) -> tuple[list[OptOutLine], list[tuple[int, AddressOptOut]]]:
    """Return the lines, and what they ask for, each with the place of its line."""
    lines = read_opt_outs(records, sheet.columns, services=services_by_name(), today=at.date())
    entries = [
        (place, entry)
        for place, line in enumerate(lines)
        if not line.is_refused()
        for entry in line.entries(service=job.service, file_name=job.file_name)
    ]
    return lines, entries


def _count_opt_outs(
    lines: Sequence[OptOutLine], entries: Sequence[tuple[int, AddressOptOut]], outcomes: Sequence[Outcome]
) -> Done:
    counts = Counts()
    became: dict[int, list[tuple[AddressOptOut, Outcome]]] = {}
    for (place, entry), outcome in zip(entries, outcomes, strict=True):
        became.setdefault(place, []).append((entry, outcome))
    for place, line in enumerate(lines):
        if not line.is_refused():
            _count_opt_out(line, became.get(place, []), counts)
    return _counted(lines, counts)


def _count_opt_out(line: OptOutLine, became: Sequence[tuple[AddressOptOut, Outcome]], counts: Counts) -> None:
    """Count a line once: as created if it is kept for later, else as updated if somebody was opted out by it."""
    people = {pk for _entry, outcome in became for pk in outcome.people}
    kept = any(outcome.kept for _entry, outcome in became)
    ignored = {FLAGS[entry.channel] for entry, outcome in became if outcome.lift_ignored}
    for column in sorted(ignored):
        line.note(REMARK, "lift_ignored", column)
    if not ignored and all(entry.lift for entry, _outcome in became):
        line.note(REMARK, "no_opt_out")
    counts.created += kept
    counts.updated += bool(people) and not kept
    counts.unchanged += not people and not kept
    counts.opted_out += len(people)
    counts.lifts_ignored += bool(ignored)
