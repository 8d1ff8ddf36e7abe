"""Running imports of opt-outs: the same result in any batches, dry or real, killed, and again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from profiles import consent, imports
from profiles.channels import Channel
from profiles.imports import jobs
from profiles.models import Act, Address, ConsentEvent, ErasedOptOut, ImportJob, Profile, Service, Source, Subscription
from profiles.verify import verify
from tests.factories import ProfileFactory, ServiceFactory
from tests.profiles.importing import (
    NOW,
    PERSON,
    State,
    clock,
    counts,
    flags_of,
    import_,
    import_opt_outs,
    kept,
    receive_opt_outs,
)  # fmt: skip

pytestmark = pytest.mark.django_db

MIXED = "email;mobile_phone;service;blacklisted;blacklisted_email;date\n" + "\n".join(
    [
        "a@example.org;;;;;2024-03-02",
        "A@example.org;;;;;",
        "gone@example.org;;;;;",
        "gone@example.org;;;;;x",
        "gone@example.org;;news;;;",
        "nope;;;;;",
        "b@example.org;06 39 98 00 01;;oui;;",
        "b@example.org;;;;non;",
        "a@example.org;;news;;;",
        "a@example.org;;news;;;",
        "never@example.org;;news;;;",
        "never@example.org;;news;;;",
        "gone@example.org;;;non;non;",
        ";06 39 98 00 01;;;;",
        ";;;;;",
        "twin@example.org;;news;;;",
        "twin@example.org;;;;;",
    ]
)


def population() -> Service:
    service = ServiceFactory(name="news")
    subscribed = [ProfileFactory(email="a@example.org"), ProfileFactory(email="twin@example.org")]
    ProfileFactory(email="b@example.org"), ProfileFactory(email="never@example.org")
    ProfileFactory(email="twin@example.org", blacklisted_email=False)
    consent.subscribe([person.pk for person in subscribed], service, evidence=PERSON, at=NOW)
    return service


def report(job: ImportJob) -> Any:
    job.refresh_from_db()
    rows = sorted(job.notes.values_list("line", "level", "code", "column", "value"))
    return counts(job), job.upto, job.warnings, job.lifts_ignored, rows


def outcome(job: ImportJob, service: Service) -> Any:
    """Return what an import did, without the numbers that differ from one run to another."""
    order = {pk: place for place, pk in enumerate(Profile.objects.order_by("pk").values_list("pk", flat=True))}
    events = ConsentEvent.objects.filter(source=Source.IMPORT).order_by("pk")
    columns = ("profile_id", "digest", "act", "channel", "service_name", "reason")
    return {
        "report": report(job),
        "people": [flags_of(person) for person in Profile.objects.order_by("pk")],
        "subscribed": {order[pk] for pk in Subscription.objects.values_list("profile_id", flat=True)},
        "kept": {(value, channel, bool(number)) for value, channel, number in kept()},
        "events": [(order.get(pk), bytes(value or b""), *rest) for pk, value, *rest in events.values_list(*columns)],
    }


def in_batches_of(size: int, settings: Any, content: str = MIXED) -> Any:
    """Import into a fresh population, return the outcome, and undo it all."""
    settings.IMPORT_BATCH = size
    with transaction.atomic():
        service = population()
        found = outcome(import_opt_outs(content), service)
        assert verify().problems == []
        transaction.set_rollback(True)
    return found


def test_a_file_gives_the_same_result_in_batches_of_any_size(settings):
    whole = in_batches_of(100, settings)
    assert whole["report"][0] == {"opted_out": 6, "updated": 3, "created": 6, "unchanged": 6, "errors": 1}
    for size in (1, 2, 3, 5, 7):
        assert in_batches_of(size, settings) == whole


def test_the_same_file_again_changes_nothing():
    service = population()
    import_opt_outs(MIXED)
    before = outcome(receive_opt_outs("email\nx@example.org\n"), service)
    again = import_opt_outs(MIXED)
    after = outcome(receive_opt_outs("email\nx@example.org\n"), service)
    assert counts(again) == {"opted_out": 0, "updated": 0, "created": 0, "unchanged": 15, "errors": 1}
    provenance = after.pop("events"), before.pop("events")
    assert len(provenance[0]) == len(provenance[1]) + 1  # that it was imported again
    assert after == before


def drawn() -> st.SearchStrategy[list[list[str]]]:
    address = st.sampled_from(["a@example.org", "b@example.org", "gone@example.org", "twin@example.org", "bad", ""])
    flag = st.sampled_from(["", "", "", "yes", "no"])
    service = st.sampled_from(["", "", "news", "none"])
    return st.lists(st.tuples(address, service, flag, flag).map(list), min_size=1, max_size=9)


HEADER = ["email", "service", "blacklisted", "blacklisted_email"]
DRAWN = hypothesis(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(",".join(row) for row in (HEADER, *rows)) + "\n"


@DRAWN
@given(rows=drawn(), size=st.integers(1, 9))
def test_a_dry_run_changes_nothing_and_reports_what_the_run_then_does_in_batches_of_any_size(settings, rows, size):
    if not any("".join(row) for row in rows):
        return
    whole = in_batches_of(100, settings, written(rows))
    settings.IMPORT_BATCH = size
    with transaction.atomic():
        service = population()
        job = receive_opt_outs(written(rows), state=State.UPLOADED)
        before = ConsentEvent.objects.count(), [flags_of(one) for one in Profile.objects.all()], kept()
        imports.check(job.pk, clock=clock)
        assert (ConsentEvent.objects.count(), [flags_of(one) for one in Profile.objects.all()], kept()) == before
        assert job.pk and report(job) == whole["report"]
        assert imports.confirm(job.pk)
        imports.run(job.pk, clock=clock)
        assert outcome(job, service) == whole
        transaction.set_rollback(True)


@DRAWN
@given(rows=drawn())
def test_whatever_a_file_says_it_only_ever_adds_opt_outs(settings, rows):
    if not any("".join(row) for row in rows):
        return
    with transaction.atomic():
        population()
        import_opt_outs("email,blacklisted\na@example.org,yes\nb@example.org,\ngone@example.org,yes\n")
        flags = [flags_of(one) for one in Profile.objects.order_by("pk")]
        remembered, subscribed = kept(), Subscription.objects.count()
        import_opt_outs(written(rows))
        after = [flags_of(one) for one in Profile.objects.order_by("pk")]
        assert all(before <= now for before, now in zip(flags, after, strict=True))
        assert remembered <= kept() and Subscription.objects.count() <= subscribed
        assert not ConsentEvent.objects.filter(act=Act.OPT_IN).exists()
        transaction.set_rollback(True)


class Killed(BaseException):
    """As kill -9 would: nothing after it runs."""


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_an_import_killed_at_any_batch_is_taken_up_and_loses_and_repeats_nothing(settings, monkeypatch, number):
    whole = in_batches_of(3, settings)
    service = population()
    job = receive_opt_outs(MIXED)
    note, calls = jobs.Worker._note, []

    def killing(worker: Any, *args: Any) -> None:
        note(worker, *args)
        calls.append(worker)
        if len(calls) == number:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(jobs.Worker, "_note", killing)
        imports.run(job.pk, clock=clock)
    later = NOW + settings.LEASE_TIME
    assert imports.waiting(later) == [(job.pk, State.RUNNING)]
    imports.run(job.pk, clock=lambda: later)
    assert outcome(job, service) == whole
    assert ConsentEvent.objects.filter(act=Act.PROVENANCE).count() == 1


# -- many lines -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_twenty_thousand_lines_are_imported_and_balance():
    people = [Profile(first_name=f"P{n}") for n in range(1_000)]
    Profile.objects.bulk_create(people)
    pks = Profile.objects.order_by("pk").values_list("pk", flat=True)
    rows = [Address.make(Channel.EMAIL, f"p{n * 20}@example.org") for n in range(1_000)]
    for row, pk in zip(rows, pks, strict=True):
        row.profile_id = pk
    Address.objects.bulk_create(rows)
    job = import_opt_outs("email,date\n" + "".join(f"p{n}@example.org,2024-03-02\n" for n in range(20_000)))
    assert counts(job) == {"opted_out": 1_000, "updated": 1_000, "created": 19_000, "unchanged": 0, "errors": 0}
    assert Profile.objects.filter(blacklisted_email=True).count() == 1_000
    assert ErasedOptOut.objects.count() == 19_000
    assert ConsentEvent.objects.count() == 20_001


def queries(count: int, first: int, service: Service) -> int:
    rows = "".join(f"q{n}@example.org,{'news' if n % 2 else ''}\n" for n in range(first, first + count))
    import_("email\n" + "".join(f"q{n}@example.org\n" for n in range(first, first + count, 3)), service=service)
    job = receive_opt_outs("email,service\n" + rows)
    with CaptureQueriesContext(connection) as captured:
        imports.run(job.pk, clock=timezone.now)
    job.refresh_from_db()
    assert job.created and job.updated and job.upto == count
    return len(captured)


def test_the_number_of_queries_of_a_batch_does_not_grow_with_its_lines():
    service = ServiceFactory(name="news")
    few, many = queries(10, 0, service), queries(40, 1_000, service)
    assert few == many <= 40


def test_a_batch_locks_no_more_addresses_than_the_database_has_room_for(settings):
    settings.IMPORT_BATCH = 5_000
    content = "email\n" + "".join(f"p{n}@example.org\n" for n in range(2_500))
    job = receive_opt_outs(content)
    ticks = iter(NOW + timedelta(seconds=n) for n in range(99))
    assert imports.run(job.pk, clock=lambda: next(ticks), budget=timedelta(seconds=1))
    job.refresh_from_db()
    assert job.upto == 1_000
