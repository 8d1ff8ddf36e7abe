"""The life of an import: received, checked (a dry run), confirmed, run in batches, stopped and resumed.

    uploaded → checking → checked → running → done          uploaded, checking, running → stopped → resumed
    checking, running → failed                              (the file as a whole is refused)

A batch is one short transaction that also moves the job's checkpoint, by an update that holds only if the worker
still has the lease and the checkpoint is where the batch began. So a worker that is killed, twice rung or late loses
nothing and repeats nothing.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from profiles import consent
from profiles.consent import Evidence
from profiles.errors import ImportRefused
from profiles.models import CustomField, ImportJob, ImportNote, Service, Source

from . import batches
from .columns import OPT_OUTS, PEOPLE, Table, own_headings
from .contents import Done, content_of
from .files import Record, Sheet
from .lines import Note
from .people import Counts
from .words import packed, refusal

State = ImportJob.State
Clock = Callable[[], datetime]
ATTEMPTS = 3  # of a batch that another writer got in the way of
NOTES_DELETED = 5_000
_COUNTS = tuple(asdict(Counts()))
_IDLE = {State.UPLOADED, State.CHECKED, State.STOPPED}


class LeaseLost(Exception):
    """The job was stopped, or another worker has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked of an import besides its file."""

    provenance: str
    basis: str = ""
    kind: str = ""  # of a file that another application reads: see `contents`
    only_opt_outs: bool = False  # `service` is then the one to leave, and nobody is written to: no basis is needed
    service: Service | None = None
    keep_invalid: bool = False
    by: Any = None


def receive(file: "File[bytes]", *, name: str, options: Options, state: State = State.UPLOADED, owner: str = "",
            at: datetime) -> ImportJob:  # fmt: skip
    """Store a file to import and return its job. Raise ImportRefused without provenance or, for people, basis."""
    if options.only_opt_outs and not options.provenance.strip():
        raise refusal("no_source")
    if not (options.kind or options.only_opt_outs or (options.provenance.strip() and options.basis.strip())):
        raise refusal("no_provenance")
    if file.size > settings.IMPORT_MAX_BYTES:
        raise refusal("too_big", limit=settings.IMPORT_MAX_BYTES)
    sha = hashlib.sha256()
    for chunk in file.chunks():
        sha.update(chunk)
    job = ImportJob(
        state=state, owner=owner, expires_at=at + settings.LEASE_TIME if owner else None, file_name=name[:200],
        file_digest=sha.hexdigest(), service=options.service, provenance=options.provenance.strip()[:300],
        basis=options.basis.strip()[:300], keep_invalid=options.keep_invalid, by=options.by,
        only_opt_outs=options.only_opt_outs, kind=options.kind,
    )  # fmt: skip
    # The name that it had may say who is in it, or not be a name of a file here.
    job.file.save(f"{uuid.uuid4().hex}.csv", file, save=False)
    job.save()
    return job


def check(job_id: int, *, clock: Clock, owner: str = "") -> None:
    """Say what an import would do, without doing it. What it finds is kept with the job, as by `run`."""
    worker = _claim(job_id, {State.UPLOADED, State.CHECKING}, State.CHECKING, clock, owner)
    if worker is None:
        return
    with _refusals(worker):
        job = worker.job
        sheet = sheet_of(job)
        _forget_notes(job)
        worker.update(total=sheet.survey(), upto=0, **dict.fromkeys(_COUNTS, 0))
        job.refresh_from_db()
        with batches.memory_of(job) as memory:
            for records in _batches(job, sheet, upto=0):
                worker.check_batch(memory, records, sheet)
        worker.update(state=State.CHECKED, owner="", expires_at=None)


def run(job_id: int, *, clock: Clock, budget: timedelta | None = None, owner: str = "") -> bool:
    """Import until the end, a stop, or the budget is spent. Return whether there is more to do."""
    worker = _claim(job_id, {State.RUNNING}, State.RUNNING, clock, owner)
    if worker is None:
        return False
    until = clock() + budget if budget else None
    with _refusals(worker):
        job = worker.job
        if job.started_at is None:
            worker.begin(sheet_of(job).survey())
        if job.upto < job.total:
            sheet = sheet_of(job)
            for records in _batches(job, sheet, upto=job.upto):
                worker.run_batch(records, sheet)
                if until and clock() >= until and job.upto < job.total:
                    worker.update(owner="", expires_at=None)
                    return True
        # The file first: a job that is done has none, and one that is killed in between finds nothing left to do.
        _delete_file(job)
        worker.update(state=State.DONE, finished_at=clock(), owner="", expires_at=None, file="")
    return False


def confirm(job_id: int) -> bool:
    """Let a checked job be run; return whether it may."""
    zero = dict.fromkeys(_COUNTS, 0)
    return _move(job_id, {State.CHECKED}, state=State.RUNNING, upto=0, started_at=None, **zero)


def stop(job_id: int) -> bool:
    """Stop after the current batch; what is imported stays. Return whether there was something to stop."""
    return _move(
        job_id, {State.UPLOADED, State.CHECKING, State.RUNNING}, state=State.STOPPED, owner="", expires_at=None
    )


def resume(job_id: int) -> State | None:
    """Let a stopped job go on from where it was: the run, or its check from the start. Return its state, if it may."""
    stopped = ImportJob.objects.filter(pk=job_id, state=State.STOPPED).exclude(file="")
    if stopped.filter(started_at__isnull=False).update(state=State.RUNNING):
        return State.RUNNING
    return State.UPLOADED if stopped.filter(started_at=None).update(state=State.UPLOADED) else None


def give_up(job_id: int) -> bool:
    """Delete the file of a job that is not running; what was imported stays. Return whether it was so."""
    job = ImportJob.objects.filter(pk=job_id).first()
    return job is not None and _drop(job)


def purge(at: datetime) -> int:
    """Delete the files of imports that nobody started or resumed for IMPORT_UPLOAD_DAYS, and say so; return how many.

    A file holds personal data: one that is not going to be imported is not kept.
    """
    before = at - timedelta(days=settings.IMPORT_UPLOAD_DAYS)
    old = ImportJob.objects.annotate(since=Coalesce("started_at", "created_at")).filter(since__lte=before)
    message = packed(refusal("abandoned", days=settings.IMPORT_UPLOAD_DAYS))
    return sum(_drop(job, message=message) for job in old.filter(state__in=_IDLE).exclude(file=""))


def waiting(at: datetime) -> Sequence[tuple[int, State]]:
    """Return the jobs that a worker should have and none has: their ring was lost, or their worker is gone."""
    states = (State.UPLOADED, State.CHECKING, State.RUNNING)
    rows = ImportJob.objects.filter(_free(at), state__in=states).order_by("pk")
    return [(pk, State(state)) for pk, state in rows.values_list("pk", "state")]


@dataclass(slots=True)
class Worker:
    """The holder of a job's lease."""

    job: ImportJob
    owner: str
    clock: Clock
    evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        by = self.job.by
        self.evidence = Evidence(
            source=Source.IMPORT,
            actor_id=by.pk if by else None,
            actor_name=by.get_username() if by else "",
            reason=self.job.file_name,
        )

    def held(self) -> QuerySet[ImportJob]:
        """Return the job's row, if it is still this worker's and where this worker left it."""
        job = self.job
        return ImportJob.objects.filter(pk=job.pk, owner=self.owner, state=job.state, upto=job.upto)

    def update(self, **fields: Any) -> None:
        """Write to the job's row. Raise LeaseLost if it is no longer this worker's."""
        if not self.held().update(**fields):
            raise LeaseLost

    def begin(self, total: int) -> None:
        """State where these people come from, once, and how many lines there are."""
        job, at = self.job, self.clock()
        _forget_notes(job)
        with transaction.atomic():
            self.update(started_at=at, total=total)
            reason = " – ".join(text for text in (job.provenance, job.basis) if text)
            if not job.kind:
                consent.state_provenance(reason, evidence=self.evidence, at=at, service=job.service)
        job.started_at, job.total = at, total

    def run_batch(self, records: list[Record], sheet: Sheet) -> None:
        """Import a batch in one transaction; again if another writer got in the way. Raise LeaseLost."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with transaction.atomic():
                    counts = self._run_batch(records, sheet)
                break
            except (IntegrityError, OperationalError):
                if attempt == ATTEMPTS or connection.in_atomic_block:
                    raise
        self.job.upto += counts.lines

    def _run_batch(self, records: list[Record], sheet: Sheet) -> Counts:
        job, at = self.job, self.clock()
        self.update(expires_at=at + settings.LEASE_TIME)  # and lock it: a late worker waits here, and then leaves
        done = batches.run(job, sheet, records, evidence=self.evidence, at=at)
        self._note(done)
        return done.counts

    def check_batch(self, memory: Any, records: list[Record], sheet: Sheet) -> None:
        """Do what `run_batch` does, but write only the report."""
        job = self.job
        done = batches.check(memory, job, sheet, records, at=self.clock())
        with transaction.atomic():
            self.update(expires_at=self.clock() + settings.LEASE_TIME)
            self._note(done)
        job.upto += done.counts.lines

    def _note(self, done: Done) -> None:
        """Write the notes of a batch and move the checkpoint."""
        ImportNote.objects.bulk_create(
            [_row(self.job, note) for line in done.lines for note in line.notes], batch_size=1_000
        )
        more = {name: F(name) + number for name, number in asdict(done.counts).items()}
        self.update(upto=F("upto") + done.counts.lines, **more)


def _row(job: ImportJob, note: Note) -> ImportNote:
    return ImportNote(job=job, level=note.level, line=note.line, column=note.column, value=note.value, code=note.code)


def _free(at: datetime) -> Q:
    return Q(owner="") | Q(expires_at__lte=at) | Q(expires_at=None)


def _claim(job_id: int, before: set[State], after: State, clock: Clock, owner: str) -> Worker | None:
    """Take the lease of a job, or find it already taken by this owner. None: it is not to be had."""
    at, mine = clock(), owner or uuid.uuid4().hex
    free = ImportJob.objects.filter(_free(at) | Q(owner=mine), pk=job_id, state__in=before)
    if not free.update(owner=mine, state=after, expires_at=at + settings.LEASE_TIME):
        return None
    return Worker(ImportJob.objects.select_related("service", "by").get(pk=job_id), mine, clock)


@contextmanager
def _refusals(worker: Worker) -> Iterator[None]:
    """Turn what ends a job into its state: a refused file, a database that refuses its lines, a lost lease."""
    failed = {"state": State.FAILED, "owner": "", "expires_at": None, "file": ""}
    try:
        try:
            yield
        except ImportRefused as error:
            worker.update(**failed, message=packed(error), finished_at=worker.clock())
            _delete_file(worker.job)
        except (IntegrityError, DataError):
            message = packed(refusal("database", position=worker.job.upto + 1))
            worker.update(**failed, message=message, finished_at=worker.clock())
            _delete_file(worker.job)
    except LeaseLost:
        return


def sheet_of(job: ImportJob) -> Sheet:
    """Return the file of a job, its header read. Raise ImportRefused."""
    if not job.file:
        raise refusal("missing")
    return Sheet.open(Path(job.file.path), _table(job), {} if job.kind else own_headings(CustomField.objects.all()))


def _table(job: ImportJob) -> Table:
    if content := content_of(job):
        return content.table
    return OPT_OUTS if job.only_opt_outs else PEOPLE


def _batches(job: ImportJob, sheet: Sheet, *, upto: int) -> Iterator[list[Record]]:
    records = islice(sheet.records(), upto, None)
    size = batches.size_of(job, settings.IMPORT_BATCH)
    while batch := list(islice(records, size)):
        yield batch


def _drop(job: ImportJob, **fields: Any) -> bool:
    """Stop an idle job for good, and delete its file; return whether it was idle."""
    if not _move(job.pk, _IDLE, state=State.STOPPED, owner="", expires_at=None, **fields):
        return False
    _delete_file(job)
    return bool(ImportJob.objects.filter(pk=job.pk, state=State.STOPPED).update(file=""))


def _move(job_id: int, before: set[State], **fields: Any) -> bool:
    return bool(ImportJob.objects.filter(pk=job_id, state__in=before).update(**fields))


def _forget_notes(job: ImportJob) -> None:
    """Delete the notes of a dry run, a few thousand at a time."""
    while ids := list(ImportNote.objects.filter(job=job).order_by("pk").values_list("pk", flat=True)[:NOTES_DELETED]):
        ImportNote.objects.filter(pk__in=ids).delete()


def _delete_file(job: ImportJob) -> None:
    if job.file.name:
        job.file.storage.delete(job.file.name)
