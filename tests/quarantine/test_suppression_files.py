"""Files of addresses to leave out: read, checked, imported; and the list as a file, which can be imported again."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from profiles import imports, tasks
from profiles.channels import Channel
from profiles.digests import digest
from profiles.models import AuditEvent, ImportJob
from quarantine.admin import export
from quarantine.models import Cause, QuarantinedAddress, QuarantineEvent, Reason, Status
from quarantine.suppressions import KIND
from tests.factories import ProfileFactory, QuarantinedAddressFactory, UserFactory
from tests.profiles.importing import NOW, clock, notes

pytestmark = pytest.mark.django_db
State = ImportJob.State
DAY = timedelta(days=1)


def receive(content: str, *, state: State = State.RUNNING) -> ImportJob:
    options = imports.Options(kind=KIND, provenance="Old system")
    return imports.receive(ContentFile(content.encode()), name="old.csv", options=options, state=state, at=NOW)


def import_(content: str) -> ImportJob:
    job = receive(content)
    imports.run(job.pk, clock=clock)
    job.refresh_from_db()
    assert job.state == State.DONE, job.message
    return job


def check(content: str) -> ImportJob:
    job = receive(content, state=State.UPLOADED)
    imports.check(job.pk, clock=clock)
    job.refresh_from_db()
    assert job.state == State.CHECKED, job.message
    return job


def counts(job: ImportJob) -> tuple[int, int, int, int]:
    return job.created, job.updated, job.unchanged, job.errors


def entry(value: str, channel: Channel = Channel.EMAIL) -> QuarantinedAddress:
    return QuarantinedAddress.objects.get(channel=channel, value=value)


def left_out() -> set[tuple[str | None, int]]:
    return set(QuarantinedAddress.objects.blocking(NOW).values_list("value", "channel"))


def test_each_line_leaves_its_address_out_with_what_it_says_about_it() -> None:
    ProfileFactory(email="zoe@example.org")
    job = import_(
        "address;cause;reason;date;note;answer\n"
        "Zoe@Example.org;bounce;user_unknown;2024-03-02;From the old base;550 5.1.1 unknown\n"
        "06 39 98 00 01;stop;;2024-03-02T10:20:30+02:00;;\n"
        "other@example.org;;Asked by phone;;;\n"
    )
    assert counts(job) == (3, 0, 0, 0)
    assert left_out() == {
        ("Zoe@Example.org", Channel.EMAIL), ("06 39 98 00 01", Channel.SMS), ("06 39 98 00 01", Channel.PHONE),
        ("other@example.org", Channel.EMAIL),
    }  # fmt: skip
    zoe = entry("Zoe@Example.org")
    assert (zoe.key, zoe.domain, zoe.cause, zoe.reason) == (
        "zoe@example.org", "example.org", Cause.BOUNCE, Reason.USER_UNKNOWN,
    )  # fmt: skip
    assert (zoe.text, zoe.quarantined_at) == ("550 5.1.1 unknown", datetime(2024, 3, 2, tzinfo=UTC))
    assert entry("06 39 98 00 01", Channel.SMS).quarantined_at == datetime(2024, 3, 2, 8, 20, 30, tzinfo=UTC)
    other = entry("other@example.org")
    assert (other.cause, other.reason, other.quarantined_at) == (Cause.IMPORT, Reason.NOT_DEFINED, NOW)
    told = {event.entry_id: event.note for event in QuarantineEvent.objects.all()}
    assert told[zoe.pk] == "From the old base – Old system – old.csv"
    assert told[other.pk] == "Asked by phone – Old system – old.csv"


def test_a_line_that_cannot_be_read_is_refused_and_a_detail_is_only_remarked() -> None:
    job = import_(
        "address,channel,status,cause,date,until\n"
        "nobody,,,,,\n"
        "a@example.org,pigeon,,,,\n"
        "b@example.org,,perhaps,,,\n"
        ",,,bounce,,\n"
        "c@example.org,,,fate,3026-01-01,soon\n"
        "d@example.org,,valid,,,\n"
        "e@example.org,,left_out,,2020-01-01,2021-01-01\n"
    )
    assert notes(job) == [
        (2, "phone", "address"),
        (3, "bad_channel", "channel"),
        (4, "bad_status", "status"),
        (5, "no_address", ""),
        (6, "bad_cause", "cause"),
        (6, "bad_left_out_date", "date"),
        (6, "bad_until", "until"),
        (7, "not_left_out", "status"),
        (8, "released_by_then", "until"),
    ]
    assert counts(job) == (1, 0, 2, 4)
    assert left_out() == {("c@example.org", Channel.EMAIL)}
    assert entry("c@example.org").cause == Cause.IMPORT


def test_what_is_known_already_follows_the_rules_of_every_other_way() -> None:
    make = QuarantinedAddressFactory
    make(value="good@example.org", status=Status.VALID, cause=None, quarantined_at=None)
    make(value="always@example.org", status=Status.ALLOWLISTED)
    make(value="spam@example.org", cause=Cause.COMPLAINT)
    make(value="full@example.org", release_at=NOW + 5 * DAY)
    job = import_(
        "email,until,cause\ngood@example.org,,\nalways@example.org,,\nspam@example.org,,\n"
        "full@example.org,2026-05-06,\nfull@example.org,2026-06-06,\nfull@example.org,,\nalways@example.org,,complaint\n"
    )
    assert counts(job) == (0, 4, 3, 0)
    assert notes(job) == [(3, "always_written_to", "cause")]
    assert entry("spam@example.org").cause == Cause.COMPLAINT
    assert entry("full@example.org").release_at is None
    assert entry("always@example.org").status == Status.QUARANTINED


@pytest.mark.parametrize("size", [1, 2, 50])
def test_a_dry_run_says_what_the_import_then_does_and_writes_nothing(settings: Any, size: int) -> None:
    settings.IMPORT_BATCH = size
    QuarantinedAddressFactory(value="known@example.org")
    QuarantinedAddressFactory(value="full@example.org", release_at=NOW + DAY)
    content = (
        "address,until\nnew@example.org,\nNEW@example.org,\nknown@example.org,\nfull@example.org,\n0639980001,\n"
        "+33639980001,\nsoon@example.org,2026-06-01\nsoon@example.org,2026-05-20\nsoon@example.org,\nbad,\n"
    )
    before = left_out()
    checked = check(content)
    assert left_out() == before
    assert not QuarantineEvent.objects.exists()
    done = import_(content)
    assert counts(checked) == counts(done) == (3, 2, 4, 1)
    assert notes(checked) == notes(done)


def test_an_import_takes_few_queries_however_many_lines_it_has() -> None:
    taken = []
    for number in (5, 500):
        job = receive("email,date,note\n" + "".join(f"{number}.{n}@example.org,2024-01-0{1 + n % 9},note {n}\n"
                                                    for n in range(number)))  # fmt: skip
        with CaptureQueriesContext(connection) as asked:
            imports.run(job.pk, clock=clock)
        taken.append(len(asked))
    # SQLite takes fewer values in one statement, so that long lists are written in parts.
    assert taken[1] <= taken[0] + (60 if connection.vendor == "sqlite" else 2), taken


# -- the file of the list -------------------------------------------------------------------------------------


@pytest.fixture
def by(client: Client) -> Client:
    client.force_login(UserFactory(admin=True))
    return client


def exported(by: Client, asked: str = "") -> str:
    response: Any = by.post(reverse("admin:quarantine_export") + asked)
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def a_varied_base() -> None:
    make = QuarantinedAddressFactory
    make(
        value="=cmd@example.org",
        quarantined_at=NOW - DAY / 7,
        text='550 5.1.1 no, "such" user\nhere',
        reason=Reason.USER_UNKNOWN,
    )
    make(value="full@example.org", reason=Reason.MAILBOX_FULL, release_at=NOW + 90 * DAY, quarantined_at=NOW - DAY)
    make(value="+33639980001", channel=Channel.SMS, cause=Cause.STOP, quarantined_at=NOW - 400 * DAY)
    make(
        value="1 rue des Lilas, Lyon",
        key="1 rue des lilas lyon",
        channel=Channel.DIRECT_MAIL,
        cause=Cause.PERSON,
        quarantined_at=NOW,
    )
    make(value="always@example.org", status=Status.ALLOWLISTED)
    make(value="errors@example.org", status=Status.ERRONEOUS, cause=None, quarantined_at=None, errors=2)
    make(
        value=None, key=None, digest=digest(Channel.EMAIL, "erased@example.org"), cause=Cause.PERSON, quarantined_at=NOW
    )


WORDS = ("channel", "value", "cause", "reason", "quarantined_at", "release_at", "text")


def blocking() -> list[tuple[Any, ...]]:
    rows = QuarantinedAddress.objects.blocking(NOW).order_by("channel", "digest")
    return [(bytes(row.digest), *(getattr(row, name) for name in WORDS)) for row in rows]


def test_the_file_of_a_list_leaves_the_same_addresses_out_elsewhere(by: Client) -> None:
    a_varied_base()
    text, before = exported(by), blocking()
    assert len(lines(text)) == 7
    QuarantinedAddress.objects.all().delete()
    job = import_(text)
    assert counts(job) == (5, 0, 2, 0)
    assert blocking() == before


def test_the_file_of_a_list_changes_nothing_where_it_comes_from(by: Client) -> None:
    a_varied_base()
    text, before = exported(by), list(QuarantinedAddress.objects.order_by("pk").values())
    assert counts(import_(text)) == (0, 0, 7, 0)
    assert list(QuarantinedAddress.objects.order_by("pk").values()) == before


def test_no_cell_of_the_file_is_a_formula(by: Client) -> None:
    a_varied_base()
    cells = [cell for line in csv.reader(io.StringIO(exported(by))) for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert "'=cmd@example.org" in cells and "'+33639980001" in cells


def test_the_file_holds_what_the_list_is_narrowed_to_page_by_page(by: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 3)
    for number in range(10):
        QuarantinedAddressFactory(value=f"a{number}@a.example", quarantined_at=NOW - (number % 4) * DAY)
        QuarantinedAddressFactory(value=f"b{number}@b.example", cause=Cause.COMPLAINT)
    search = by.post(reverse("admin:quarantine_quarantinedaddress_changelist"), {"_search": "1", "q": "@a.example"})[
        "Location"
    ]
    asked = "?" + search.partition("?")[2]
    assert {line["address"] for line in lines(exported(by, asked))} == {f"a{n}@a.example" for n in range(10)}
    dated = lines(exported(by, f"{asked}&since=2026-05-03"))
    assert sorted(line["address"] for line in dated) == sorted(f"a{n}@a.example" for n in range(10) if n % 4 < 2)
    assert {line["cause"] for line in lines(exported(by, "?cause__exact=2"))} == {"complaint"}
    rows = AuditEvent.objects.filter(action=AuditEvent.Action.EXPORTED).order_by("pk")
    assert [(row.subject, row.rows) for row in rows] == [("quarantine.QuarantinedAddress", n) for n in (10, 6, 10)]


def test_only_who_may_export_gets_the_file_and_only_by_post(client: Client) -> None:
    user = UserFactory.create()
    user.user_permissions.add(Permission.objects.get(codename="view_quarantinedaddress"))
    client.force_login(user)
    url = reverse("admin:quarantine_export")
    assert (client.get(url).status_code, client.post(url).status_code) == (405, 403)
    assert (
        "Download this list"
        not in client.get(reverse("admin:quarantine_quarantinedaddress_changelist")).content.decode()
    )
    assert not AuditEvent.objects.exists()


# -- the page and the command ---------------------------------------------------------------------------------


def test_a_file_goes_from_upload_to_its_result(by: Client, django_capture_on_commit_callbacks: Any) -> None:
    content = "address;cause\ngone@example.org;bounce\nnope;\n"
    given = {"file": SimpleUploadedFile("old.csv", content.encode()), "provenance": "Old system"}
    with django_capture_on_commit_callbacks():
        shown: Any = by.post(reverse("admin:quarantine_import"), given, follow=True)
    assert "gone@example.org" in shown.content.decode()
    job = ImportJob.objects.get()
    page = reverse("admin:profiles_importjob_change", args=[job.pk])
    tasks.check_import(job.pk)
    text = by.get(page).content.decode()
    assert "Leave these addresses out" in text and "Lawful basis" not in text and left_out() == set()
    with django_capture_on_commit_callbacks():
        by.post(reverse("admin:profiles_importjob_do", args=[job.pk, "confirm"]))
    tasks.run_import(job.pk)
    assert left_out() == {("gone@example.org", Channel.EMAIL)}
    told = {str(words): number for words, number in by.get(page).context["counts"]}
    assert (told["addresses newly left out"], told["refused"]) == (1, 1)
    assert QuarantineEvent.objects.get().actor_name


def test_a_file_that_cannot_be_read_is_told_at_once_and_not_kept(by: Client) -> None:
    for content, told in (("colour\nred\n", "must name the columns"), ("note\nhello\n", "nobody could be recognised")):
        given = {"file": SimpleUploadedFile("x.csv", content.encode()), "provenance": "x"}
        assert told in by.post(reverse("admin:quarantine_import"), given).content.decode()
    assert not ImportJob.objects.exists()


def test_who_may_import_people_may_not_for_that_leave_addresses_out(client: Client) -> None:
    user = UserFactory.create()
    user.user_permissions.add(Permission.objects.get(codename="import_profile"))
    client.force_login(user)
    assert client.get(reverse("admin:quarantine_import")).status_code == 403
    job = check("address\na@example.org\n")
    assert client.post(reverse("admin:profiles_importjob_do", args=[job.pk, "confirm"])).status_code == 403
    user.user_permissions.set([Permission.objects.get(codename="import_quarantinedaddress")])
    assert client.get(reverse("admin:quarantine_import")).status_code == 200
    assert client.post(reverse("admin:profiles_importjob_do", args=[job.pk, "confirm"])).status_code == 302


def test_the_command_imports_and_writes_what_it_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, rejected = tmp_path / "list.csv", tmp_path / "rejected.csv"
    path.write_bytes("adresse;cause\nzoé@example.org;rejet\nnope;\n".encode("cp1252"))
    call_command("import_suppressions", path, "--dry-run")
    assert "addresses newly left out" in capsys.readouterr().out
    assert left_out() == set()
    call_command("import_suppressions", path, "--rejected", rejected)
    assert left_out() == {("zoé@example.org", Channel.EMAIL)}
    (refused,) = csv.reader(io.StringIO(rejected.read_text().partition("\n")[2]))
    assert (refused[0], refused[2], refused[3]) == ("3", "address", "nope")
    assert refused[5]
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_suppressions", tmp_path / "none.csv")
