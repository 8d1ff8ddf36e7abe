"""Schedules whose task is lost, repeated, late, or beside another one: each finds what is left to do, and only that."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, connections
from django.utils import timezone

from deliveries import analysis, scheduling, sending
from deliveries.models import (
    AnalysisRun,
    Delivery,
    DeliveryLog,
    LogStatus,
    State,
)
from deliveries.scheduling import Due
from tests.deliveries.test_scheduling import (
    NOW,
    SHORTLY_AFTER,
    TOMORROW,
    beat,
    scheduled,
    stands,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def travel() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def test_a_worker_that_dies_before_the_start_is_made_good_by_the_next_beat(travel: Any) -> None:
    delivery = scheduled(2)
    assert beat(SHORTLY_AFTER, travel).to_analyse == [delivery.pk]
    # Its ring is lost: the periodic job finds the analysis that nobody works on.
    assert analysis.to_ring_again(timezone.now()) == [delivery.pk]
    assert scheduling.start_due(SHORTLY_AFTER) == Due(), "what is being analysed is left alone"
    analysis.work(delivery.pk)
    assert stands(delivery)[0] == State.SCHEDULED
    for later, sent in ((timedelta(minutes=10), [delivery.pk]), (timedelta(minutes=11), [])):
        assert beat(TOMORROW + later, travel) == Due(to_send=sent)
    # The ring of the sending is lost too.
    assert sending.to_ring_again(timezone.now()) == [delivery.pk]


def test_a_beat_that_read_the_delivery_before_somebody_scheduled_it_anew_does_nothing(travel: Any) -> None:
    delivery = scheduled(2)
    beat(SHORTLY_AFTER, travel)
    analysis.work(delivery.pk)
    read = Delivery.objects.select_related("brand", "service", "current_run").get(pk=delivery.pk)
    delivery.refresh_from_db()
    scheduling.unschedule(delivery)
    later = TOMORROW + timedelta(days=7)
    scheduling.schedule(delivery, at=later, now=SHORTLY_AFTER)
    for moment in (SHORTLY_AFTER, TOMORROW + timedelta(hours=3)):
        due = Due()
        scheduling.step(read, due, at=moment)
        assert due == Due()
    assert stands(delivery) == (State.SCHEDULED, later, 2)


def test_a_beat_that_read_the_delivery_before_its_analysis_does_not_analyse_it_once_more(travel: Any) -> None:
    delivery = scheduled(2)
    travel.move_to(SHORTLY_AFTER, tick=False)
    read = Delivery.objects.select_related("brand", "service", "current_run").get(pk=delivery.pk)
    scheduling.start_due(SHORTLY_AFTER)
    for _stage in ("analysing", "scheduled again"):
        due = Due()
        scheduling.step(read, due, at=SHORTLY_AFTER)
        assert due == Due()
        analysis.work(delivery.pk)
    assert AnalysisRun.objects.filter(delivery=delivery).count() == 2


def test_what_has_been_archived_starts_no_more(travel: Any) -> None:
    delivery = scheduled(1)
    Delivery.objects.filter(pk=delivery.pk).update(archived_at=NOW)
    assert beat(SHORTLY_AFTER, travel) == Due()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_analyse_once_and_send_once() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    moment = timezone.now() + timedelta(hours=1)
    delivery, soon = scheduled(3, at=moment), moment + timedelta(seconds=1)
    assert at_once(soon) == [Due(), Due(to_analyse=[delivery.pk])]
    assert AnalysisRun.objects.filter(delivery=delivery).count() == 2
    analysis.work(delivery.pk)
    assert at_once(soon) == [Due(), Due(to_send=[delivery.pk])]
    assert stands(delivery)[0] == State.SENDING
    assert DeliveryLog.objects.filter(run=delivery.current_run, status=LogStatus.PENDING).count() == 3


def at_once(at: datetime) -> list[Due]:
    """Run two beats that have both read what is due before either moves it; return what each rings."""
    meeting, found = threading.Barrier(2, timeout=10), []

    def one_beat() -> None:
        try:
            read, due = list(scheduling._due(at)), Due()
            meeting.wait()
            for delivery in read:
                scheduling.step(delivery, due, at=at)
            found.append(due)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one_beat) for _n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found, key=lambda due: len(due.to_analyse) + len(due.to_send))
