"""Import people from a CSV file, here and now."""

import json
import uuid
from argparse import ArgumentParser
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db.models import QuerySet
from django.utils import timezone

from profiles import imports
from profiles.errors import ImportRefused
from profiles.models import ImportJob, ImportNote, Service

State = ImportJob.State
NOTES_SHOWN = 20


class Command(BaseCommand):
    help = (
        "Import people from a CSV file. Its first line names the columns, in any order: external_id, first_name, "
        "last_name, email, mobile_phone, postal_address, language, country, birth_date, time_zone, blacklisted, "
        "blacklisted_email, blacklisted_sms, blacklisted_push, blacklisted_direct_mail, blacklisted_phone, "
        "attributes.<name>. An empty cell changes nothing, and no cell lifts an opt-out."
    )

    needs = "both: --source and --basis"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--service", default="", help="name of the service to subscribe these people to")
        parser.add_argument("--source", default="", help="where these people come from")
        parser.add_argument("--basis", default="", help="the lawful basis on which they may be written to")
        parser.add_argument("--keep-invalid", action="store_true", help="keep people whose address cannot be read")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        owner, dry = uuid.uuid4().hex, options["dry_run"]
        job = _receive(options, self.asked(options), self.needs, owner)
        clock = timezone.now if options["json"] else _Clock(job, self.stderr).now
        try:
            if dry:
                imports.check(job.pk, clock=clock, owner=owner)
            else:
                imports.run(job.pk, clock=clock, owner=owner)
            job.refresh_from_db()
            self._report(job, dry=dry, as_json=options["json"])
            if options.get("rejected"):
                _write_rejected(job, options["rejected"])
        except KeyboardInterrupt:
            imports.stop(job.pk)
            raise CommandError(
                "Stopped. What was imported stays; resume or give up the rest in the back-office."
            ) from None
        finally:
            if dry:
                imports.give_up(job.pk)
                job.delete()
        if refused := imports.unpacked(job.message):
            raise CommandError(str(refused))
        if job.state == State.STOPPED and not dry:
            raise CommandError("Somebody stopped this import. What was imported stays.")

    def asked(self, options: dict[str, Any]) -> imports.Options:
        """Return what is asked of the import besides its file."""
        return imports.Options(
            provenance=options["source"], basis=options["basis"], service=self.service(options["service"]),
            keep_invalid=options["keep_invalid"],
        )  # fmt: skip

    def service(self, name: str) -> Service | None:
        """Return the service of a name, if one is given."""
        service = Service.objects.open().filter(name=name).first() if name else None
        if name and service is None:
            names = ", ".join(Service.objects.open().values_list("name", flat=True)) or "none yet"
            raise CommandError(f"There is no service named “{name}”. Services: {names}.")
        return service

    def _report(self, job: ImportJob, *, dry: bool, as_json: bool) -> None:
        refused = imports.unpacked(job.message)
        notes, counts = job.notes.order_by("line", "level", "pk"), imports.count_words(job)
        shown = [_note(note) for note in notes[:NOTES_SHOWN]]
        if as_json:
            report = {"state": job.state, "dry_run": dry, "lines": job.upto, **{n: getattr(job, n) for n in counts}}
            if refused:
                report["refused"] = {"code": refused.code, "message": str(refused)}
            self.stdout.write(json.dumps({**report, "notes": shown, "notes_total": notes.count()}, indent=2))
            return
        if refused:
            return
        self.stdout.write(
            "This is what would be done:" if dry else f"Import {job.pk} is {job.get_state_display().lower()}."
        )
        for name, words in {"upto": "lines", **counts}.items():
            self.stdout.write(f"  {getattr(job, name):>9,}  {words}")
        lines = "1 line" if job.lifts_ignored == 1 else f"{job.lifts_ignored:,} lines"
        self._list(f"{lines} would have re-subscribed people: ignored.", notes.filter(code__in=imports.LIFTS))
        self._list("Errors and remarks:", notes.exclude(code__in=imports.LIFTS))

    def _list(self, title: str, notes: QuerySet[ImportNote]) -> None:
        shown, total = [_note(note) for note in notes[:NOTES_SHOWN]], notes.count()
        if shown:
            self.stdout.write(title + (f" The first {len(shown)} of {total:,}:" if total > len(shown) else ""))
        for note in shown:
            where = ", ".join(part for part in (f"line {note['line']}", note["column"], note["value"]) if part)
            self.stdout.write(f"  {note['level']}: {where}: {note['message']} {note['remedy']}")


@dataclass
class _Clock:
    """Tells the time to an import, and a person how far it got."""

    job: ImportJob
    out: OutputWrapper
    told: datetime = field(default_factory=timezone.now)

    def now(self) -> datetime:
        at = timezone.now()
        if (at - self.told).total_seconds() >= 2:
            self.told = at
            done = ImportJob.objects.filter(pk=self.job.pk).values_list("upto", "total").first()
            if done and done[1]:
                self.out.write(f"{done[0]:,} of {done[1]:,} lines")
        return at


def _receive(options: dict[str, Any], asked: imports.Options, needs: str, owner: str) -> ImportJob:
    path = options["file"]
    state = State.CHECKING if options["dry_run"] else State.RUNNING
    try:
        with path.open("rb") as stream:
            return imports.receive(
                File(stream), name=path.name, options=asked, state=state, owner=owner, at=timezone.now()
            )
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ImportRefused as error:
        more = f" Give {needs}." if error.code in ("no_provenance", "no_source") else ""
        raise CommandError(f"{error}{more}") from error


def _write_rejected(job: ImportJob, path: Path) -> None:
    refused = job.notes.filter(level=ImportNote.Level.ERROR).order_by("line", "pk")
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.writelines(imports.csv_of(refused))


def _note(note: ImportNote) -> dict[str, Any]:
    words = imports.note_words(note.code)
    level = "error" if note.level == ImportNote.Level.ERROR else "remark"
    return {
        "line": note.line, "level": level, "column": note.column, "value": note.value, "code": note.code,
        "message": str(words.message), "remedy": str(words.remedy),
    }  # fmt: skip
