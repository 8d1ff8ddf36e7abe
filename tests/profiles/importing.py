"""What the tests of imports share: receiving a file, running it, reading what was noted."""

from datetime import UTC, datetime
from typing import Any

from django.core.files.base import ContentFile

from profiles import imports
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.digests import digest
from profiles.models import ErasedOptOut, ImportJob, Profile, Service, Source

State = ImportJob.State
NOW = datetime(2026, 5, 4, 9, tzinfo=UTC)
PERSON = Evidence(source=Source.LANDING_PAGE)
Note = tuple[int, str, str]


def clock() -> datetime:
    return NOW


def receive(content: str, *, state: State = State.RUNNING, **options: Any) -> ImportJob:
    asked = imports.Options(**{"provenance": "Fair of May", "basis": "consent", **options})
    return imports.receive(ContentFile(content.encode()), name="people.csv", options=asked, state=state, at=NOW)


def import_(content: str, **options: Any) -> ImportJob:
    job = receive(content, **options)
    imports.run(job.pk, clock=clock)
    job.refresh_from_db()
    return job


def notes(job: ImportJob) -> list[Note]:
    return list(job.notes.order_by("line", "pk").values_list("line", "code", "column"))


def emails(profile: Profile) -> list[str]:
    rows = profile.addresses.filter(channel=Channel.EMAIL).order_by("position")
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    return [row.value for row in rows]


def only() -> Profile:
    return Profile.objects.get()


def erased(text: str, *, channel: int = 0, service: Service | None = None) -> None:
    key = digest(Channel.EMAIL, text)
    ErasedOptOut.objects.create(digest=key, channel=channel, service_id=service.pk if service else 0)


# -- only opt-outs --------------------------------------------------------------------------------------------


def receive_opt_outs(content: str, **options: Any) -> ImportJob:
    return receive(content, **{"only_opt_outs": True, "provenance": "Old system", "basis": "", **options})


def import_opt_outs(content: str, **options: Any) -> ImportJob:
    job = receive_opt_outs(content, **options)
    imports.run(job.pk, clock=clock)
    job.refresh_from_db()
    return job


def counts(job: ImportJob) -> dict[str, int]:
    """Return the report: people opted out, lines that did it, kept for later, out already, refused."""
    names = ("opted_out", "updated", "created", "unchanged", "errors")
    assert job.upto == job.updated + job.created + job.unchanged + job.errors
    return {name: getattr(job, name) for name in names}


def kept() -> set[tuple[bytes, int, int]]:
    rows = ErasedOptOut.objects.values_list("digest", "channel", "service_id")
    return {(bytes(value), channel, service) for value, channel, service in rows}


def email_digest(text: str) -> bytes:
    return digest(Channel.EMAIL, text)


def flags_of(profile: Profile) -> set[str]:
    profile.refresh_from_db()
    return {name for name in FLAGS.values() if getattr(profile, name)}
