"""Running imports: the same result in any batches, dry or real, killed, stopped, or met by another writer."""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from profiles import consent, imports
from profiles.channels import Channel
from profiles.digests import digest
from profiles.imports import jobs, store
from profiles.models import (
    Act,
    Address,
    ConsentEvent,
    ImportJob,
    Profile,
    Service,
    Subscription,
)
from tests.factories import ProfileFactory, QuarantinedAddressFactory, ServiceFactory
from tests.profiles.importing import NOW, PERSON, State, clock, erased, import_, only, receive

pytestmark = pytest.mark.django_db


TORTURE = "external_id;email;first_name;mobile_phone;blacklisted_email;blacklisted;attributes.a\n" + "\n".join(
    [
        "C1;a@example.org;Zoé;06 39 98 00 01;;;1",
        ";A@example.org;Max;;oui;;",
        "C1;b@example.org;;;non;;2",
        ";b@example.org;Léa;;;;",
        "C2;a@example.org;;;;;",
        "C2;c@example.org;Tom;;;;",
        "C1;c@example.org;;;;;",
        ";d@example.org;Eva;x;;;",
        ";gone@example.org;Ana;;non;;",
        "C3;gone@example.org;Ana;;non;;",
        "C3;e@example.org;;;;non;",
        "C4;out@example.org;;;;;",
        "C5;left@example.org;;;;;",
        "C5;left2@example.org;;;;;",
        "C6;;Old;;;;",
        ";old@example.org;Older;;non;;",
        "C6;new@example.org;;;;;",
        ";;;;;;x",
        "C7;f@example.org;;;oui;oui;",
        "C7;f@example.org;;;non;non;",
        "C8;;No address;;;;",
        "C8;f@example.org;;;;;",
        "C8;twice@example.org;;;;;",
        ";twice@example.org;Twice;;;;",
    ]
)


def population(service: Service) -> None:
    """People, opt-outs and addresses that the torture file meets."""
    old = ProfileFactory(external_id="C6", first_name="Ola", last_name="Nor", email="old@example.org")
    consent.subscribe([old.pk], service, evidence=PERSON, at=NOW)
    consent.unsubscribe([old.pk], service, evidence=PERSON, at=NOW)
    consent.opt_out([old.pk], channel=Channel.EMAIL, evidence=PERSON, at=NOW)
    ProfileFactory(last_name="Nor", email="old@example.org")
    erased("gone@example.org", channel=Channel.EMAIL)
    erased("left2@example.org", service=service)
    erased("new@example.org")
    QuarantinedAddressFactory(value="out@example.org")


COMPARED = ("external_id", "first_name", "attributes", "search", "blacklisted", "blacklisted_email")


def outcome(job: ImportJob) -> dict[str, Any]:
    """Return what an import did, without what differs from one run to another."""
    people = {}
    for profile in Profile.objects.order_by("pk"):
        addresses = profile.addresses.order_by("channel", "position")
        people[len(people)] = (
            [getattr(profile, name) for name in COMPARED],
            list(addresses.values_list("channel", "position", "value", "validity")),
            list(profile.subscriptions.values_list("service__name", flat=True)),
        )  # fmt: skip
    return {"report": report(job), "people": people}


def report(job: ImportJob) -> Any:
    job.refresh_from_db()
    names = (
        "upto",
        "created",
        "updated",
        "unchanged",
        "errors",
        "warnings",
        "opted_out",
        "subscribed",
        "lifts_ignored",
    )
    rows = sorted(job.notes.values_list("line", "level", "code", "column", "value"))
    return {name: getattr(job, name) for name in names}, rows


def in_batches_of(size: int, settings: Any, content: str = TORTURE, **options: Any) -> dict[str, Any]:
    """Import into a fresh population, return the outcome, and undo it all."""
    settings.IMPORT_BATCH = size
    with transaction.atomic():
        service = ServiceFactory(name="news")
        population(service)
        found = outcome(import_(content, service=service, **options))
        transaction.set_rollback(True)
    return found


@pytest.mark.parametrize("keep_invalid", [False, True])
def test_a_file_gives_the_same_result_in_batches_of_any_size(settings, keep_invalid):
    whole = in_batches_of(100, settings, keep_invalid=keep_invalid)
    assert whole["report"][0]["errors"] and whole["report"][0]["lifts_ignored"]
    for size in (1, 2, 3, 5, 7, 11):
        assert in_batches_of(size, settings, keep_invalid=keep_invalid) == whole


def lines() -> st.SearchStrategy[list[list[str]]]:
    identifier = st.sampled_from(["", "C1", "C2", "C6"])
    email = st.sampled_from(["", "a@example.org", "b@example.org", "old@example.org", "gone@example.org", "bad"])
    flag = st.sampled_from(["", "", "yes", "no"])
    return st.lists(
        st.tuples(identifier, email, st.sampled_from(["", "Zoé", "Max"]), flag, flag).map(list), min_size=1, max_size=9
    )


HEADER = ["external_id", "email", "first_name", "blacklisted_email", "blacklisted"]
DRAWN = hypothesis(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(",".join(row) for row in (header, *rows)) + "\n"


@DRAWN
@given(rows=lines(), size=st.integers(1, 9), order=st.permutations(range(5)))
def test_neither_the_size_of_batches_nor_the_order_of_columns_matters(settings, rows, size, order):
    if not any("".join(row) for row in rows):
        return
    whole = in_batches_of(100, settings, written(HEADER, rows))
    shuffled = [[row[place] for place in order] for row in rows]
    assert in_batches_of(size, settings, written([HEADER[place] for place in order], shuffled)) == whole


@DRAWN
@given(rows=lines(), size=st.integers(1, 4))
def test_a_dry_run_reports_what_the_run_then_does_and_changes_nothing(settings, rows, size):
    if not any("".join(row) for row in rows):
        return
    settings.IMPORT_BATCH = size
    with transaction.atomic():
        service = ServiceFactory(name="news")
        population(service)
        before = list(Profile.objects.order_by("pk").values()), ConsentEvent.objects.count(), Address.objects.count()
        job = receive(written(HEADER, rows), state=State.UPLOADED, service=service)
        imports.check(job.pk, clock=clock)
        dry = report(job)
        assert job.state == State.CHECKED
        after = list(Profile.objects.order_by("pk").values()), ConsentEvent.objects.count(), Address.objects.count()
        assert after == before
        assert imports.confirm(job.pk)
        imports.run(job.pk, clock=clock)
        assert report(job) == dry
        transaction.set_rollback(True)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_dry_run_of_the_torture_file_reports_what_the_run_then_does(settings, size):
    settings.IMPORT_BATCH = size
    service = ServiceFactory(name="news")
    population(service)
    job = receive(TORTURE, state=State.UPLOADED, service=service)
    imports.check(job.pk, clock=clock)
    dry = report(job)
    assert imports.confirm(job.pk)
    imports.run(job.pk, clock=clock)
    assert report(job) == dry


@DRAWN
@given(rows=lines())
def test_whatever_a_file_says_no_opt_out_is_lifted_and_nobody_who_left_is_subscribed(settings, rows):
    with transaction.atomic():
        service = ServiceFactory(name="news")
        population(service)
        names = [field.name for field in Profile._meta.fields if field.name.startswith("blacklisted")]
        before = {row.pop("pk"): row for row in Profile.objects.values("pk", *names)}
        import_(written(HEADER, rows) + "C1,a@example.org,,,\n", service=service)
        for row in Profile.objects.filter(pk__in=before).values("pk", *names):
            assert all(row[name] for name, raised in before[row["pk"]].items() if raised)
        assert not Subscription.objects.filter(profile__external_id="C6").exists()
        assert not ConsentEvent.objects.filter(act=Act.OPT_IN).exists()
        transaction.set_rollback(True)


class Killed(BaseException):
    """As kill -9 would: nothing after it runs."""


def killed_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Kill at the end of a batch, after all its writes and before its commit."""
    note, calls = jobs.Worker._note, []

    def killing(worker: Any, *args: Any) -> None:
        note(worker, *args)
        calls.append(worker)
        if len(calls) == number:
            raise Killed

    monkeypatch.setattr(jobs.Worker, "_note", killing)


def test_a_killed_import_is_taken_up_by_another_worker_and_loses_and_repeats_nothing(settings, monkeypatch):
    whole = in_batches_of(4, settings)
    service = ServiceFactory(name="news")
    population(service)
    job = receive(TORTURE, service=service)
    later = NOW

    def now() -> datetime:
        return later

    for number in (1, 2, 3):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_at(patch, number)
            imports.run(job.pk, clock=now)
        assert imports.waiting(later) == []
        imports.run(job.pk, clock=now)  # rung twice: the lease is not to be had
        later += settings.LEASE_TIME
        assert imports.waiting(later) == [(job.pk, State.RUNNING)]
    imports.run(job.pk, clock=lambda: later)
    assert outcome(job) == whole
    assert ConsentEvent.objects.filter(act=Act.PROVENANCE).count() == 1
    assert imports.waiting(later + settings.LEASE_TIME) == []


def test_a_worker_that_lost_its_lease_writes_nothing_more(settings, monkeypatch):
    settings.IMPORT_BATCH = 1
    job = receive("email\na@example.org\nb@example.org\n")
    loaded = []

    def late(*args: Any, **more: Any) -> Any:
        loaded.append(args)
        if len(loaded) == 2:
            ImportJob.objects.filter(pk=job.pk).update(owner="another")
        return original(*args, **more)

    original = store.load
    monkeypatch.setattr(store, "load", late)
    assert not imports.run(job.pk, clock=clock)
    job.refresh_from_db()
    assert (Profile.objects.count(), job.upto, job.state) == (1, 1, State.RUNNING)


def test_an_import_stops_between_two_batches_and_resumes(settings, monkeypatch):
    settings.IMPORT_BATCH = 1
    job = receive("email\na@example.org\nb@example.org\nc@example.org\n")
    original = jobs.Worker.run_batch

    def stopped(worker: Any, *args: Any) -> None:
        original(worker, *args)
        imports.stop(job.pk)

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Worker, "run_batch", stopped)
        imports.run(job.pk, clock=clock)
    job.refresh_from_db()
    assert (job.state, job.upto, Profile.objects.count()) == (State.STOPPED, 1, 1)
    assert not imports.run(job.pk, clock=clock)
    assert imports.resume(job.pk) == State.RUNNING
    imports.run(job.pk, clock=clock)
    job.refresh_from_db()
    assert (job.state, job.upto, Profile.objects.count()) == (State.DONE, 3, 3)


def test_a_task_that_has_spent_its_time_leaves_the_rest_to_the_next(settings):
    settings.IMPORT_BATCH = 1
    job = receive("email\na@example.org\nb@example.org\n")
    ticks = iter(NOW + timedelta(seconds=n) for n in range(99))
    assert imports.run(job.pk, clock=lambda: next(ticks), budget=timedelta(seconds=1))
    job.refresh_from_db()
    assert (job.upto, job.owner) == (1, "")
    assert not imports.run(job.pk, clock=clock, budget=timedelta(seconds=1))
    assert Profile.objects.count() == 2


def test_the_file_is_deleted_when_the_import_ends(tmp_path):
    job = import_("email\na@example.org\n")
    assert (job.state, job.file.name) == (State.DONE, "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_that_cannot_be_understood_fails_the_job_with_words_in_the_language_of_the_reader(tmp_path):
    job = import_("email,nope\na@example.org,x\n")
    assert (job.state, job.owner, job.file.name) == (State.FAILED, "", "")
    assert "nope" in str(imports.unpacked(job.message))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_with_an_open_quotation_mark_at_its_end_imports_nobody(settings):
    settings.IMPORT_BATCH = 1
    job = import_('email,first_name\na@example.org,Zoé\nb@example.org,"Max\nc@example.org,Léa\n')
    assert job.state == State.FAILED
    assert not Profile.objects.exists()


def test_an_import_given_up_loses_its_file_and_keeps_what_it_imported(tmp_path):
    job = receive("email\na@example.org\n", state=State.UPLOADED)
    imports.check(job.pk, clock=clock)
    assert imports.give_up(job.pk)
    job.refresh_from_db()
    assert (job.state, job.file.name, imports.resume(job.pk)) == (State.STOPPED, "", None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_killed_check_starts_again_from_the_beginning(settings, monkeypatch):
    settings.IMPORT_BATCH = 2
    job = receive(TORTURE, state=State.UPLOADED)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, 3)
        imports.check(job.pk, clock=clock)
    later = NOW + settings.LEASE_TIME
    assert imports.waiting(later) == [(job.pk, State.CHECKING)]
    imports.check(job.pk, clock=lambda: later)
    dry = report(job)
    imports.confirm(job.pk)
    imports.run(job.pk, clock=clock)
    assert report(job) == dry
    assert dry[0]["upto"] == 24


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_another_writer_got_in_the_way_of_is_done_again(monkeypatch):
    original, calls = store.save, []

    def contended(*args: Any, **more: Any) -> None:
        original(*args, **more)
        calls.append(args)
        if len(calls) == 1:
            raise OperationalError("deadlock detected")

    monkeypatch.setattr(store, "save", contended)
    job = import_("email\na@example.org\n")
    assert (job.state, job.created, Profile.objects.count(), len(calls)) == (State.DONE, 1, 1, 2)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.django_db(transaction=True)
def test_an_opt_out_of_an_address_that_is_just_being_imported_is_not_lost(monkeypatch, late):
    """The opt-out finds nobody with the address; the import finds no opt-out. One of the two has to wait."""
    original, threads = store.save, []

    def opt_out() -> None:
        key = digest(Channel.EMAIL, "a@example.org")
        consent.opt_out_address(Channel.EMAIL, key, service=None, flag=Channel.EMAIL, evidence=PERSON, at=NOW)
        connection.close()

    def meanwhile(*args: Any, **more: Any) -> None:
        if late:
            original(*args, **more)
        threads.append(threading.Thread(target=opt_out))
        threads[0].start()
        threads[0].join(0.5)  # long enough to find nobody
        if not late:
            original(*args, **more)

    monkeypatch.setattr(store, "save", meanwhile)
    import_("email\na@example.org\n")
    threads[0].join()
    assert only().blacklisted_email


# -- cost -----------------------------------------------------------------------------------------------------


def queries(count: int, first: int, service: Service, *, known: bool) -> int:
    content = "external_id,email,mobile_phone,first_name,blacklisted_email\n" + "".join(
        f"Q{n},q{n}@example.org,+336{39000000 + n},Zoé,{'yes' if n % 2 else 'no'}\n"
        for n in range(first, first + count)
    )
    if known:
        import_(content.replace("Zoé", "Max").replace("q", "old.q"), service=service)
    job = receive(content, service=service)
    with CaptureQueriesContext(connection) as captured:
        imports.run(job.pk, clock=timezone.now)
    job.refresh_from_db()
    assert job.upto == count == job.created + job.updated
    return len(captured)


@pytest.mark.parametrize("known", [False, True])
def test_the_number_of_queries_of_a_batch_does_not_grow_with_its_lines(known):
    service = ServiceFactory()
    few, many = queries(4, 0, service, known=known), queries(40, 100, service, known=known)
    assert few == many <= 45
