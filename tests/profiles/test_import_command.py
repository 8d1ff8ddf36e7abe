"""`manage.py import_profiles`: what it prints, how it ends, and what survives a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from profiles import consent, imports
from profiles.consent import Evidence
from profiles.models import (
    Act,
    Address,
    ConsentEvent,
    ErasedOptOut,
    ImportJob,
    ImportNote,
    Profile,
    Source,
    Subscription,
)  # fmt: skip
from tests.factories import ProfileFactory, ServiceFactory

pytestmark = pytest.mark.django_db
ASKED = {"source": "Fair of May", "basis": "consent"}
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _uploads(tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path / "uploads"


def written(folder: Path, content: str) -> Path:
    path = folder / "people.csv"
    path.write_text(content, encoding="utf-8")
    return path


def run(path: Path | str, **options: Any) -> str:
    out = StringIO()
    call_command("import_profiles", path, stdout=out, stderr=StringIO(), **{**ASKED, **options})
    return out.getvalue()


def test_it_imports_and_reports_refused_lines_and_remarks_without_failing(tmp_path):
    service = ServiceFactory(name="news")
    told = run(written(tmp_path, "email,blacklisted\na@example.org,\nnot an address,\n"), service="news")
    assert Subscription.objects.filter(service=service).count() == 1
    assert "error: line 3, email, not an address" in told
    assert "Write one address such as name@example.org." in told
    job = ImportJob.objects.get()
    assert (job.state, job.created, job.errors, job.file.name) == (ImportJob.State.DONE, 1, 1, "")
    assert not [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()]


def test_only_the_first_notes_are_listed_with_their_number(tmp_path):
    told = run(written(tmp_path, "email\n" + "bad\n" * 25))
    assert "Errors and remarks: The first 20 of 25:" in told
    assert told.count("error: line") == 20


def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(tmp_path):
    told = run(written(tmp_path, "email\na@example.org\nbad\n"), dry_run=True)
    assert "This is what would be done:" in told and "error: line 3" in told
    for model in (Profile, Address, ImportJob, ImportNote, ConsentEvent):
        assert not model.objects.exists()
    assert not [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()]


def test_the_report_can_be_read_by_programs(tmp_path):
    found = json.loads(run(written(tmp_path, "email\na@example.org\nbad\n"), json=True))
    assert (found["state"], found["lines"], found["created"], found["errors"]) == ("done", 2, 1, 1)
    assert found["notes_total"] == 1
    assert (found["notes"][0]["line"], found["notes"][0]["code"]) == (3, "email")


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (None, {}, "cannot be read: No such file"),
        ("email\na@example.org\n", {"service": "nope"}, "There is no service named “nope”. Services: news."),
        ("email\na@example.org\n", {"source": ""}, "--source and --basis"),
        ("email\na@example.org\n", {"basis": ""}, "--source and --basis"),
        ("email,nope\na@example.org,\n", {}, "“nope”, is not known"),
        ("email,nope\na@example.org,\n", {"dry_run": True}, "“nope”, is not known"),
        ('email\n"a@example.org\nb@example.org', {}, "Line 2"),
    ],
)
def test_what_cannot_be_done_is_said_plainly_and_imports_nobody(tmp_path, content, options, reason):
    ServiceFactory(name="news")
    path = tmp_path / "missing.csv" if content is None else written(tmp_path, content)
    with pytest.raises(CommandError) as refused:
        run(path, **options)
    assert reason in str(refused.value)
    assert refused.value.returncode == 1
    assert not Profile.objects.exists()


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(CommandError, match="cannot be read"):
        run(tmp_path)


def test_ctrl_c_stops_the_import_and_keeps_what_was_imported(tmp_path, settings, monkeypatch):
    settings.IMPORT_BATCH = 1
    batch = imports.jobs.Worker.run_batch
    done: list[Any] = []

    def interrupted(worker: Any, *args: Any) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(batch(worker, *args))

    monkeypatch.setattr(imports.jobs.Worker, "run_batch", interrupted)
    with pytest.raises(CommandError, match="What was imported stays"):
        run(written(tmp_path, "email\na@example.org\nb@example.org\n"))
    job = ImportJob.objects.get()
    assert (job.state, job.upto, Profile.objects.count()) == (ImportJob.State.STOPPED, 1, 1)


def _database_url() -> str:
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    return f"postgres://{found['USER']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"


@pytest.mark.django_db(transaction=True)
def test_a_command_killed_at_any_moment_is_finished_by_a_worker_and_loses_and_repeats_nothing(tmp_path, settings):
    service = ServiceFactory(name="news")
    people = "".join(f"K{n},k{n}@example.org,{'yes' if n % 3 else ''}\n" for n in range(2_000))
    path = written(tmp_path, "external_id,email,blacklisted_email\n" + people)
    environment = {
        **os.environ, "DATABASE_URL": _database_url(), "DATA_DIR": str(tmp_path), "IMPORT_BATCH": "40",
        "DJANGO_SETTINGS_MODULE": "campaign.settings",
    }  # fmt: skip
    command = [sys.executable, "manage.py", "import_profiles", str(path), "--service", "news", "--source", "s",
               "--basis", "b", "--skip-checks"]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not ImportJob.objects.filter(upto__gt=200).exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    job = ImportJob.objects.get()
    assert (job.state, job.upto < 2_000) == (ImportJob.State.RUNNING, True)
    assert Profile.objects.count() == job.upto
    later = timezone.now() + settings.LEASE_TIME + timedelta(seconds=1)
    assert [pk for pk, _state in imports.waiting(later)] == [job.pk]
    imports.run(job.pk, clock=lambda: later)
    job.refresh_from_db()
    assert (job.state, job.upto, job.created) == (ImportJob.State.DONE, 2_000, 2_000)
    assert (
        Profile.objects.count()
        == Address.objects.count()
        == Subscription.objects.filter(service=service).count()
        == 2_000
    )
    acts = ConsentEvent.objects.values_list("act", flat=True)
    assert {act: list(acts).count(act) for act in set(acts)} == {
        Act.PROVENANCE: 1,
        Act.SUBSCRIBE: 2_000,
        Act.OPT_OUT: 1_333,
    }


def test_it_says_how_many_lines_would_have_subscribed_people_again_and_which(tmp_path):
    zoe = ProfileFactory(email="zoe@example.org")
    consent.opt_out([zoe.pk], channel=None, evidence=Evidence(source=Source.LANDING_PAGE), at=timezone.now())
    told = run(written(tmp_path, "email,blacklisted\nzoe@example.org,no\nbad,\n"), dry_run=True)
    assert "1 line would have re-subscribed people: ignored.\n  remark: line 2, blacklisted: This person" in told
    assert "Errors and remarks:\n  error: line 3" in told


# -- import_opt_outs ------------------------------------------------------------------------------------------


def run_opt_outs(path: Path, **options: Any) -> str:
    out = StringIO()
    call_command("import_opt_outs", path, stdout=out, stderr=StringIO(), **{"source": "Old system", **options})
    return out.getvalue()


def test_opt_outs_are_imported_and_reported(tmp_path):
    zoe = ProfileFactory(email="zoe@example.org")
    path = written(tmp_path, "email,date\nzoe@example.org,2024-03-02\ngone@example.org,\nnope,\n")
    told = run_opt_outs(path, dry_run=True)
    assert "This is what would be done:" in told and "1  people opted out" in told
    assert not (ErasedOptOut.objects.exists() or ImportJob.objects.exists() or ConsentEvent.objects.exists())
    told = run_opt_outs(path)
    assert "1  people opted out" in told and "1  kept for later" in told and "1  refused" in told
    assert "error: line 4, email, nope: This email address cannot be read." in told
    zoe.refresh_from_db()
    assert zoe.blacklisted_email and ErasedOptOut.objects.count() == 1 and Profile.objects.count() == 1
    found = json.loads(run_opt_outs(path, json=True))
    assert (found["lines"], found["opted_out"], found["created"], found["unchanged"], found["errors"]) == (
        3,
        0,
        0,
        2,
        1,
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"source": ""}, "Give --source."), ({"service": "nope"}, "There is no service named “nope”")],
)
def test_opt_outs_need_their_source_and_a_service_that_exists(tmp_path, options, reason):
    with pytest.raises(CommandError, match=reason):
        run_opt_outs(written(tmp_path, "email\na@example.org\n"), **options)
    assert not ErasedOptOut.objects.exists()


def test_opt_outs_of_a_service_leave_it_alone(tmp_path):
    service = ServiceFactory(name="news")
    run_opt_outs(written(tmp_path, "email\na@example.org\n"), service="news")
    kept = ErasedOptOut.objects.get()
    assert (kept.channel, kept.service_id) == (0, service.pk)
