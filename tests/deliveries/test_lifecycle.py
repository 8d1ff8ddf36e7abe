"""The states of a delivery: only the moves of the table happen, and only once."""

from itertools import product
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deliveries import analysis, lifecycle, retention
from deliveries.errors import MoveRefused
from deliveries.models import AnalysisRun, Delivery, DeliveryLog, Lease, State
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory

pytestmark = pytest.mark.django_db


def in_state(state: State) -> Delivery:
    delivery = DeliveryFactory.create(contents=False)
    run = AnalysisRun.objects.create(delivery=delivery, number=1, delivery_version=1, at=timezone.now(), state="done")
    dated = {"scheduled_at": timezone.now(), "approved": 1} if state == State.SCHEDULED else {}
    Delivery.objects.filter(pk=delivery.pk).update(state=state, current_run=run, **dated)
    delivery.refresh_from_db()
    return delivery


@pytest.mark.parametrize(("origin", "to"), list(product(State, State)))
def test_only_the_moves_of_the_table_happen(origin: State, to: State) -> None:
    delivery = in_state(origin)
    if to in lifecycle.MOVES[origin]:
        dated: dict[str, Any] = {"scheduled_at": timezone.now(), "approved": 1} if to == State.SCHEDULED else {}
        lifecycle.move(delivery, to, **dated)
        assert Delivery.objects.get(pk=delivery.pk).state == to
    else:
        with pytest.raises(MoveRefused):
            lifecycle.move(delivery, to)
        assert Delivery.objects.get(pk=delivery.pk).state == origin


def test_a_move_is_refused_when_somebody_was_faster() -> None:
    delivery = in_state(State.ANALYSED)
    stale = Delivery.objects.get(pk=delivery.pk)
    lifecycle.move(delivery, State.SENDING)
    with pytest.raises(MoveRefused, match="Being sent"):
        lifecycle.move(stale, State.SENDING, only_from=State.ANALYSED)


def ready(people: int = 7) -> Delivery:
    service = ServiceFactory.create()
    for _n in range(people):
        ProfileFactory.create(services=[service])
    return DeliveryFactory.create(service=service, contents=False)


def test_stopping_an_analysis_leaves_no_trace_and_it_can_be_done_again(settings: Any) -> None:
    settings.ANALYSIS_RANGE = 2
    delivery = ready()
    run = analysis.start(delivery, at=timezone.now())
    assert analysis._take(run, at=timezone.now())
    assert analysis.prepare(run)
    assert analysis.write_range(run)
    analysis.stop(delivery, at=timezone.now())
    assert not analysis.write_range(run)
    assert not analysis.finish(run, at=timezone.now())
    delivery.refresh_from_db()
    assert (delivery.state, delivery.current_run) == (State.DRAFT, None)
    again = analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    again.refresh_from_db()
    assert (again.state, again.targeted) == ("done", 7)
    retention.purge(at=timezone.now())
    assert set(DeliveryLog.objects.values_list("run", flat=True)) == {again.pk}
    assert set(Lease.objects.values_list("run", flat=True)) == {again.pk}


def test_an_analysis_whose_worker_died_goes_on_where_it_was(settings: Any) -> None:
    settings.ANALYSIS_RANGE = 2
    delivery = ready()
    run = analysis.start(delivery, at=timezone.now())
    assert analysis._take(run, at=timezone.now())
    assert analysis.prepare(run)
    assert analysis.write_range(run)
    analysis.work(delivery.pk)  # a second task: the run belongs to the first
    delivery.refresh_from_db()
    assert delivery.state == State.ANALYSING
    assert analysis.to_ring_again(timezone.now()) == []
    AnalysisRun.objects.update(expires_at=timezone.now())
    assert analysis.to_ring_again(timezone.now()) == [delivery.pk]
    analysis.work(delivery.pk)
    assert not analysis.write_range(run), "the dead owner comes back and writes nothing"
    assert not analysis.finish(run, at=timezone.now())
    delivery.refresh_from_db()
    assert delivery.state == State.ANALYSED
    assert delivery.current_run is not None
    assert delivery.current_run.targeted == DeliveryLog.objects.count() == 7


def test_repeating_the_task_of_an_analysis_changes_nothing() -> None:
    delivery = ready()
    analysis.start(delivery, at=timezone.now())
    for _time in range(3):
        analysis.work(delivery.pk)
    assert DeliveryLog.objects.count() == 7
    assert AnalysisRun.objects.count() == 1


def test_a_long_analysis_gives_way_and_goes_on(settings: Any) -> None:
    from datetime import timedelta

    settings.ANALYSIS_RANGE, settings.SMALL_TARGET = 2, 0
    delivery = ready()
    analysis.start(delivery, at=timezone.now())
    turns = 1
    while analysis.work(delivery.pk, budget=timedelta(0)):
        turns += 1
    assert turns == 8  # three ranges of digests, four of people, and the end
    assert DeliveryLog.objects.count() == 7


def test_an_analysis_of_nobody_is_done_at_once() -> None:
    delivery = ready(0)
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == State.ANALYSED


def test_each_range_takes_the_same_number_of_queries(settings: Any, django_assert_num_queries: Any) -> None:
    delivery = ready(30)
    settings.ANALYSIS_RANGE = 1_000_000
    run = analysis.start(delivery, at=timezone.now())
    assert analysis._take(run, at=timezone.now())
    assert analysis.prepare(run)
    joins = connection.vendor == "postgresql"  # how it is to join tables
    with django_assert_num_queries(6 + joins):  # savepoint, checkpoint, rows, counts, leases, release
        assert analysis.write_range(run)
