"""The people behind a number: by pages, in order, and without reading the whole log."""

import json
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries import analysis, listing, retention
from deliveries.listing import Place
from deliveries.models import AnalysisRun, Delivery, DeliveryException, DeliveryLog, Lease, LogStatus, Reason, State
from profiles.channels import Channel
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory, add_address

pytestmark = pytest.mark.django_db


def analysed(people: int = 6, *, lease: int = 2, **fields: Any) -> AnalysisRun:
    """Analyse a delivery to people of whom each third has no address, and each has a second one."""
    service = ServiceFactory()
    for number in range(people):
        person = ProfileFactory(services=[service], email=f"p{number}@example.org" if number % 3 else "")
        if number % 3:
            add_address(person, Channel.EMAIL, f"second{number}@example.org")
    delivery = DeliveryFactory(service=service, **fields)
    run = analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    return AnalysisRun.objects.get(pk=run.pk)


def pages(read: Any, size: int) -> list[list[tuple[int, int]]]:
    """Turn pages until there is none."""
    found, after = [], Place()
    while rows := read(after, size):
        found.append([(row.profile_id, row.position) for row in rows])
        after = Place.parse(str(Place(rows[-1].profile_id, rows[-1].position)))
    return found


@pytest.mark.parametrize("size", [1, 3, 100])
def test_pages_hold_every_row_once_also_of_people_with_several_addresses(settings: Any, size: int) -> None:
    settings.LEASE_SIZE, settings.ANALYSIS_RANGE = 2, 3
    run = analysed(addresses="every")
    rows = list(DeliveryLog.objects.filter(run=run).order_by("profile", "position"))
    for status in (LogStatus.PENDING, LogStatus.EXCLUDED, LogStatus.FAILED):
        wanted = [(row.profile_id, row.position) for row in rows if row.status == status]
        turned = pages(lambda after, limit, s=status: listing.of_status(run, s, after=after, limit=limit), size)
        assert list(chain(*turned)) == wanted
        assert all(len(page) == size for page in turned[:-1])
    missing = [(row.profile_id, row.position) for row in rows if row.reason == Reason.ADDRESS_MISSING]
    assert len(missing) == 2
    turned = pages(lambda after, limit: listing.of_reason(run, Reason.ADDRESS_MISSING, after=after, limit=limit), size)
    assert list(chain(*turned)) == missing


def test_a_rare_status_is_found_through_the_leases_that_hold_it(settings: Any) -> None:
    settings.LEASE_SIZE = 2
    run = analysed(30)
    last = DeliveryLog.objects.filter(run=run, status=LogStatus.PENDING).order_by("-profile").first()
    DeliveryLog.objects.filter(pk=last.pk).update(status=LogStatus.FAILED)
    lease = Lease.objects.get(run=run, after_profile__lt=last.profile_id, upto_profile__gte=last.profile_id)
    Lease.objects.filter(pk=lease.pk).update(pending=lease.pending - 1, failed=1)
    with CaptureQueriesContext(connection) as asked:
        found = listing.of_status(run, LogStatus.FAILED, after=Place(), limit=51)
    assert [row.pk for row in found] == [last.pk]
    assert len(asked) == 3  # the leases that hold some, the rows of the one, and no more leases


@pytest.mark.postgres
def test_a_page_of_a_reason_or_rule_reads_its_own_index() -> None:
    run = analysed()
    with CaptureQueriesContext(connection) as asked:
        listing.of_reason(run, Reason.ADDRESS_MISSING, after=Place(3, 1), limit=51)
        listing.of_reason(run, Reason.FILTERING_RULE, after=Place(), limit=51, rule=4)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for one in asked:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {one['sql']}")
            plan = json.dumps(cursor.fetchone())
            assert "log_by_reason" in plan
            assert "Sort" not in plan.replace("Incremental Sort", "")


def test_old_runs_go_in_batches_and_keep_their_counters(settings: Any) -> None:
    settings.LOG_DAYS = 30
    old = analysed()
    delivery = Delivery.objects.get(pk=old.delivery_id)
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    now = timezone.now()
    while retention.purge(at=now, batches=1):
        pass
    kept = Delivery.objects.get(pk=delivery.pk).current_run
    assert set(DeliveryLog.objects.values_list("run", flat=True)) == {kept.pk}
    assert not DeliveryException.objects.exists()
    old.refresh_from_db()
    assert old.purged_at == now
    assert old.reasons.exists()
    ended = now - timedelta(days=31)
    Delivery.objects.filter(pk=delivery.pk).update(state=State.FINISHED, finished_at=ended, current_run=kept)
    assert retention.purge(at=now) == 6
    assert retention.purge(at=now) == 0
    assert Lease.objects.filter(run=kept).exists()


def test_without_a_limit_the_log_of_a_delivery_is_kept_for_good() -> None:
    run = analysed()
    Delivery.objects.update(state=State.FINISHED, finished_at=timezone.now() - timedelta(days=9_999))
    retention.purge(at=timezone.now())
    assert DeliveryLog.objects.filter(run=run).count() == 6
