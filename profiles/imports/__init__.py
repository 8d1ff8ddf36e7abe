"""Import people, or only opt-outs, from CSV files: in batches that survive a kill, and never lifting an opt-out.

    job = receive(file, name="people.csv", options=Options(provenance="Fair of May", basis="consent"), at=now)
    check(job.pk, clock=timezone.now)      what it would do: counts on the job, an ImportNote per error and remark
    confirm(job.pk)
    run(job.pk, clock=timezone.now)        do it

files    bytes to records            columns  the header              lines    cells to what they say about a person
people   the rules, in memory        store    the database            scratch  the memory of a dry run
jobs     states, leases              words    codes to sentences      preview  the first lines, as understood
batches  people, or only opt-outs    opt_out_lines                    cells to the opt-outs that they ask for
contents what other applications read out of files
report   what could not be imported, as a file
"""

from .columns import KNOWN, OPT_OUTS
from .contents import content_of
from .files import Sheet
from .jobs import Options, check, confirm, give_up, purge, receive, resume, run, sheet_of, stop, waiting
from .preview import Preview, preview
from .report import csv_of
from .words import CODES, LIFTS, count_words, note_words, refusal, unpacked

__all__ = [
    "CODES", "KNOWN", "LIFTS", "OPT_OUTS", "Options", "Preview", "Sheet", "check", "confirm", "content_of",
    "count_words", "csv_of", "give_up", "note_words", "preview", "purge", "receive", "refusal", "resume", "run",
    "sheet_of", "stop", "unpacked", "waiting",
]  # fmt: skip
