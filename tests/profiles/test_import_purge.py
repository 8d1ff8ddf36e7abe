"""Files that were uploaded and never imported do not stay."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.conf import settings as configured
from django.utils import timezone

from profiles import imports, tasks
from profiles.models import ImportJob, Profile
from tests.profiles.importing import NOW, State, clock, receive

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def received(state: State, **fields: Any) -> ImportJob:
    job = receive("email\na@example.org\n", state=state)
    ImportJob.objects.filter(pk=job.pk).update(created_at=NOW, **fields)
    return job


@pytest.mark.parametrize("state", [State.UPLOADED, State.CHECKED, State.STOPPED])
def test_a_file_that_nobody_imports_is_deleted_after_a_week_and_the_import_says_so(state, tmp_path):
    job = received(state)
    assert imports.purge(NOW + WEEK - timedelta(seconds=1)) == 0
    assert len(files(tmp_path)) == 1
    assert imports.purge(NOW + WEEK) == 1
    job.refresh_from_db()
    assert (job.state, job.file.name, files(tmp_path)) == (State.STOPPED, "", [])
    told = imports.unpacked(job.message)
    assert told is not None
    assert str(told) == "Nobody went on with this import for 7 days: its file was deleted. Upload it again."
    assert imports.resume(job.pk) is None
    assert not imports.confirm(job.pk)
    assert imports.purge(NOW + 2 * WEEK) == 0


@pytest.mark.parametrize("state", [State.CHECKING, State.RUNNING])
def test_an_import_that_is_at_work_keeps_its_file(state, tmp_path):
    received(state, owner="worker", expires_at=NOW + 2 * WEEK)
    assert imports.purge(NOW + WEEK) == 0
    assert len(files(tmp_path)) == 1


def test_one_that_was_stopped_on_its_way_keeps_its_file_for_a_week_after_it_began(tmp_path):
    received(State.STOPPED, started_at=NOW + timedelta(days=5))
    assert imports.purge(NOW + WEEK) == 0
    assert imports.purge(NOW + WEEK + timedelta(days=5)) == 1


def test_the_number_of_days_is_a_setting(settings):
    settings.IMPORT_UPLOAD_DAYS = 2
    received(State.CHECKED)
    assert imports.purge(NOW + timedelta(days=2)) == 1


def test_what_was_imported_is_left_alone():
    job = received(State.RUNNING)
    imports.run(job.pk, clock=clock)
    assert imports.purge(NOW + 2 * WEEK) == 0
    job.refresh_from_db()
    assert (job.state, job.message, Profile.objects.count()) == (State.DONE, "", 1)


def test_it_is_done_by_the_clock(tmp_path):
    job = received(State.CHECKED)
    ImportJob.objects.filter(pk=job.pk).update(created_at=timezone.now() - WEEK)
    planned = [entry["task"] for entry in configured.CELERY_BEAT_SCHEDULE.values()]
    assert tasks.purge_uploads.name in planned
    assert tasks.purge_uploads.name in current_app.tasks
    tasks.purge_uploads()
    assert files(tmp_path) == []
