"""The pages of an import: upload, preview, dry run, confirm, progress, result."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaign.models import User
from profiles import consent, imports, tasks
from profiles.admin import imports as pages
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import AuditEvent, ImportJob, ImportNote, Profile, Source
from tests.factories import ProfileFactory, ServiceFactory, UserFactory

pytestmark = pytest.mark.django_db
State = ImportJob.State
ADD = "admin:profiles_importjob_add"


@pytest.fixture(autouse=True)
def rung(tmp_path, settings, monkeypatch) -> list[tuple[str, int]]:
    """Keep files in a folder of the test, and note which tasks are rung instead of ringing them."""
    settings.MEDIA_ROOT = tmp_path
    found: list[tuple[str, int]] = []
    for name in ("check_import", "run_import"):
        task = getattr(tasks, name)
        monkeypatch.setattr(task, "delay", lambda pk, name=name: found.append((name, pk)))
    return found


def operator(*permissions: str) -> User:
    user = UserFactory()
    for name in permissions or ("import_profile",):
        user.user_permissions.add(Permission.objects.get(content_type__app_label="profiles", codename=name))
    return user


@pytest.fixture
def by(client) -> Client:
    client.force_login(operator())
    return client


def upload(client: Client, text: str, **more: Any) -> Any:
    file = SimpleUploadedFile("people.csv", text.encode(), content_type="text/csv")
    data = {"file": file, "provenance": "Fair of May", "basis": "consent", **more}
    return client.post(reverse(ADD), data, follow=True)


def page(job: ImportJob) -> str:
    return reverse("admin:profiles_importjob_change", args=[job.pk])


def do(client: Client, job: ImportJob, step: str) -> Any:
    return client.post(reverse("admin:profiles_importjob_do", args=[job.pk, step]), follow=True)


def csv_of(job: ImportJob) -> str:
    return reverse("admin:profiles_importjob_csv", args=[job.pk])


def rows_of(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))


def checked(client: Client, content: str, **more: Any) -> ImportJob:
    upload(client, content, **more)
    job = ImportJob.objects.latest("pk")
    tasks.check_import(job.pk)
    job.refresh_from_db()
    return job


def test_a_file_goes_from_upload_through_preview_and_report_to_its_result(by, rung, django_capture_on_commit_callbacks):
    service = ServiceFactory(name="news")
    with django_capture_on_commit_callbacks(execute=True):
        shown = upload(
            by, "Prénom;Courriel;Portable\nZoé;zoe@example.org;06 39 98 00 01\nMax;nope;\n", service=service.pk
        )
    job = ImportJob.objects.get()
    assert rung == [("check_import", job.pk)]
    text = shown.content.decode()
    assert "first_name" in text and "+33639980001" in text and "This email address cannot be read." in text
    assert 'data-moving="yes"' in text and not Profile.objects.exists()

    tasks.check_import(job.pk)
    text = by.get(page(job)).content.decode()
    assert "What the import would do" in text and "Import these people" in text and "nope" in text
    assert not Profile.objects.exists()

    with django_capture_on_commit_callbacks(execute=True):
        do(by, job, "confirm")
    assert rung[1:] == [("run_import", job.pk)]
    tasks.run_import(job.pk)
    text = by.get(page(job)).content.decode()
    assert "What the import did" in text and "data-moving" not in text
    assert Profile.objects.get().subscriptions.get().service == service


@pytest.mark.parametrize(
    ("content", "reason"),
    [("email,nope\na@example.org,x\n", "“nope”, is not known"), ("", "empty"), ("PK\x03\x04", "Save it as CSV")],
)
def test_a_file_that_cannot_be_understood_is_refused_on_the_spot_and_not_kept(by, tmp_path, content, reason):
    text = upload(by, content).content.decode()
    assert reason in text and "Upload and check" in text
    assert not ImportJob.objects.exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_source_and_basis_are_asked_for(by):
    assert upload(by, "email\na@example.org\n", provenance="").status_code == 200
    assert upload(by, "email\na@example.org\n", basis="").status_code == 200
    assert not ImportJob.objects.exists()


def test_a_file_refused_while_it_is_checked_says_why(by):
    job = checked(by, "email,first_name\n" + "a@example.org,x\n" * 9 + 'b@example.org,"open\nc@example.org,x\n')
    assert job.state == State.FAILED
    assert "Line 11: a quotation mark" in by.get(page(job)).content.decode()


def test_the_live_part_says_whether_to_ask_again(by):
    upload(by, "email\na@example.org\n")
    job = ImportJob.objects.get()
    live = reverse("admin:profiles_importjob_live", args=[job.pk])
    assert by.get(live)["X-Moving"] == "yes"
    tasks.check_import(job.pk)
    answer = by.get(live)
    assert answer["X-Moving"] == "no" and b"<html" not in answer.content


def test_an_import_can_be_stopped_resumed_and_given_up(by, tmp_path, rung, django_capture_on_commit_callbacks):
    upload(by, "email\na@example.org\n")
    job = ImportJob.objects.get()
    do(by, job, "stop")
    tasks.check_import(job.pk)
    job.refresh_from_db()
    assert job.state == State.STOPPED
    with django_capture_on_commit_callbacks(execute=True):
        do(by, job, "resume")
    assert rung[-1] == ("check_import", job.pk)
    do(by, job, "stop")
    do(by, job, "give-up")
    job.refresh_from_db()
    assert (job.state, job.file.name) == (State.STOPPED, "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert "The file is deleted" in by.get(page(job)).content.decode()


def test_a_step_that_is_late_changes_nothing_and_says_so(by):
    job = checked(by, "email\na@example.org\n")
    do(by, job, "confirm")
    tasks.run_import(job.pk)
    assert "has moved on meanwhile" in do(by, job, "confirm").content.decode()
    assert "has moved on meanwhile" in do(by, job, "stop").content.decode()
    job.refresh_from_db()
    assert (job.state, Profile.objects.count()) == (State.DONE, 1)


def test_whoever_would_have_been_subscribed_again_is_counted_before_the_import_and_listed(by):
    people = [ProfileFactory(email=f"p{n}@example.org").pk for n in range(3)]
    service, evidence = ServiceFactory(name="news"), Evidence(source=Source.LANDING_PAGE)
    consent.subscribe(people[:1], service, evidence=evidence, at=timezone.now())
    consent.unsubscribe(people[:1], service, evidence=evidence, at=timezone.now())
    consent.opt_out(people[1:2], channel=Channel.EMAIL, evidence=evidence, at=timezone.now())
    rows = "".join(f"p{n}@example.org,no\n" for n in range(3))
    job = checked(by, "email,blacklisted_email\n" + rows + "nope,no\n", service=service.pk)
    text = by.get(page(job)).content.decode()
    assert "2 lines would have opted people in again or subscribed people who had left: ignored." in text
    assert f"{page(job)}?only=lifts#notes" in text
    shown = by.get(page(job), {"only": "lifts"}).context
    assert [(note.line, note.code) for note, _words in shown["notes"]] == [
        (2, "unsubscribed_before"), (3, "lift_ignored"),
    ]  # fmt: skip
    answer = by.post(csv_of(job), {"only": "lifts"})
    assert [row[0] for row in rows_of(answer)[1:]] == ["2", "3"]
    imports.confirm(job.pk)
    tasks.run_import(job.pk)
    assert "2 lines would have opted people in again" in by.get(page(job)).content.decode()
    assert Profile.objects.get(pk=people[1]).blacklisted_email


def test_pages_of_notes_of_lifts_hold_only_these(by):
    people = [ProfileFactory(email=f"p{n}@example.org").pk for n in range(60)]
    consent.opt_out(people, channel=None, evidence=Evidence(source=Source.LANDING_PAGE), at=timezone.now())
    job = checked(by, "email,blacklisted\n" + "".join(f"p{n}@example.org,no\nbad,\n" for n in range(60)))
    first = by.get(page(job), {"only": "lifts"}).context
    second = by.get(page(job) + first["more"].removesuffix("#notes")).context
    assert [len(one["notes"]) for one in (first, second)] == [50, 10]
    assert {note.code for note, _words in (*first["notes"], *second["notes"])} == {"lift_ignored"}


def test_taking_the_lines_leaves_a_trace_with_their_number_and_a_visit_takes_none(by):
    job = checked(by, "email\nbad\nworse\n")
    assert by.get(csv_of(job)).status_code == 405
    assert not AuditEvent.objects.exists()
    by.post(csv_of(job))
    event = AuditEvent.objects.get()
    assert (event.action, event.subject, event.subject_id, event.rows) == (
        AuditEvent.Action.EXPORTED, "profiles.ImportJob", str(job.pk), 2,
    )  # fmt: skip
    assert "people.csv" not in event.label


def test_only_opt_outs_go_from_upload_to_their_result_without_a_basis(by, rung, django_capture_on_commit_callbacks):
    zoe = ProfileFactory(email="zoe@example.org")
    content = "Courriel;Date;Ne plus contacter par e-mail\nzoe@example.org;2024-03-02;\ngone@example.org;;\nnope;;\n"
    with django_capture_on_commit_callbacks(execute=True):
        shown = upload(by, content + "zoe@example.org;;non\n", content="opt-outs", basis="")
    job = ImportJob.objects.get()
    assert (job.only_opt_outs, rung) == (True, [("check_import", job.pk)])
    text = shown.content.decode()
    assert "2024-03-02" in text and "zoe@example.org" in text and "This email address cannot be read." in text
    tasks.check_import(job.pk)
    text = by.get(page(job)).content.decode()
    assert "Import these opt-outs" in text and "Lawful basis" not in text and "Where these opt-outs come from" in text
    do(by, job, "confirm")
    tasks.run_import(job.pk)
    counts = {str(words): number for words, number in by.get(page(job)).context["counts"]}
    assert counts["people opted out"] == 1
    assert counts["kept for later: nobody has the address"] == 1
    assert counts["refused"] == 1
    zoe.refresh_from_db()
    assert zoe.blacklisted_email and Profile.objects.count() == 1


def test_a_file_of_opt_outs_without_an_address_is_refused_on_the_spot(by):
    text = upload(by, "date\n2024-03-02\n", content="opt-outs").content.decode()
    assert "There is no column email, mobile_phone or address" in text
    assert not ImportJob.objects.exists()


def test_nothing_moves_by_a_visit(by):
    job = checked(by, "email\na@example.org\n")
    for step in pages.STEPS:
        assert by.get(reverse("admin:profiles_importjob_do", args=[job.pk, step])).status_code == 405
    by.get(page(job))
    job.refresh_from_db()
    assert job.state == State.CHECKED
    assert do(by, job, "nothing").status_code == 404


def test_notes_are_read_page_by_page_and_none_is_shown_twice(by):
    job = checked(by, "email\n" + "bad\n" * 120)
    seen, url = [], page(job)
    for _page in range(3):
        context = by.get(url).context
        seen += [note.line for note, _words in context["notes"]]
        url = page(job) + context["more"].removesuffix("#notes")
    assert seen == list(range(2, 122))


def test_the_file_of_refused_lines_runs_nothing_in_a_spreadsheet(by):
    payloads = ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0"]
    job = checked(by, "external_id,email\n" + "".join(f'C{n},"{text}"\n' for n, text in enumerate(payloads)))
    answer = by.post(csv_of(job))
    assert "attachment" in answer["Content-Disposition"]
    rows = rows_of(answer)
    assert [row[0] for row in rows[1:]] == ["2", "3", "4", "5", "6"]
    assert [row[3] for row in rows[1:]] == ["'" + text for text in payloads]
    assert rows[1][5] == "Write one address such as name@example.org."


def test_what_a_file_says_is_shown_as_text(by):
    job = checked(by, "email,first_name\n<script>alert(1)</script>,<b>\na@example.org,<i>x</i>\n")
    text = by.get(page(job)).content.decode()
    assert "<script>alert" not in text and "&lt;script&gt;" in text and "<i>x" not in text


def test_the_same_file_imported_before_is_pointed_out(by):
    first = checked(by, "email\na@example.org\n")
    imports.confirm(first.pk)
    tasks.run_import(first.pk)
    second = checked(by, "email\na@example.org\n")
    assert "The very same file was imported on" in by.get(page(second)).content.decode()


def test_the_list_of_imports_opens(by):
    job = checked(by, "email\na@example.org\n")
    text = by.get(reverse("admin:profiles_importjob_changelist")).content.decode()
    assert job.file_name in text and page(job) in text


def test_only_who_may_import_uploads_moves_and_downloads(client):
    admin = UserFactory(admin=True)
    client.force_login(admin)
    job = checked(client, "email\na@example.org\nbad\n")
    for user, sees in ((operator("view_importjob"), 200), (operator("view_profile"), 403)):
        client.force_login(user)
        assert client.get(reverse(ADD)).status_code == 403
        assert upload(client, "email\nb@example.org\n").status_code == 403
        assert client.get(page(job)).status_code == sees
        assert client.get(reverse("admin:profiles_importjob_live", args=[job.pk])).status_code == sees
        assert client.post(csv_of(job)).status_code == 403
        for step in pages.STEPS:
            assert do(client, job, step).status_code == 403
    job.refresh_from_db()
    assert (job.state, ImportJob.objects.count()) == (State.CHECKED, 1)


def test_a_job_that_does_not_exist_is_not_found(by):
    assert by.get(reverse("admin:profiles_importjob_change", args=["9999"])).status_code == 404
    assert by.get(reverse("admin:profiles_importjob_change", args=["x"])).status_code == 404


def test_the_page_of_an_import_with_many_notes_asks_few_questions(by, django_assert_max_num_queries):
    job = checked(by, "email\n" + "bad\n" * 60)
    assert ImportNote.objects.filter(job=job).count() == 60
    with django_assert_max_num_queries(25):
        by.get(page(job))


def test_a_lost_ring_is_rung_again(by, rung, settings):
    upload(by, "email\na@example.org\n")
    job = ImportJob.objects.get()
    rung.clear()
    tasks.resume_imports()
    assert rung == [("check_import", job.pk)]
    ImportJob.objects.update(state=State.RUNNING, owner="gone", expires_at=timezone.now() - timedelta(seconds=1))
    tasks.resume_imports()
    assert rung[1:] == [("run_import", job.pk)]
