"""The analysis: who is left out and why, the same as an oracle says, however the work is cut."""

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deliveries import analysis, reports, verdicts
from deliveries.exclusions import reasons_of
from deliveries.models import AnalysisRun, Delivery, DeliveryException, DeliveryLog, LogStatus, Reason, State
from profiles.models import Profile
from tests.deliveries import criteria_drawing
from tests.deliveries import delivery_drawing as drawing
from tests.deliveries.oracle import Judged, judge

pytestmark = pytest.mark.django_db
NOW = timezone.now().replace(hour=12)
POPULATION = {
    "people": st.lists(drawing.PERSON, max_size=7),
    "entries": st.lists(drawing.ENTRY, max_size=3),
    "others": st.lists(drawing.OTHER, max_size=3),
    "fatigue": st.lists(drawing.FATIGUE, max_size=2),
    "domains": st.lists(
        st.tuples(st.sampled_from(["example.org", "sub.example.org", "net"]), st.booleans()),
        max_size=2, unique_by=lambda pair: pair[0],
    ),
    "drawn": drawing.SETTINGS,
    "own_rules": st.booleans(),
    "ascii_only": st.booleans(),
    "data": st.data(),
}  # fmt: skip
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def run_analysis(delivery: Delivery) -> AnalysisRun:
    run = analysis.start(delivery, at=timezone.now())
    while analysis.work(delivery.pk):
        pass
    run.refresh_from_db()
    delivery.refresh_from_db()
    return run


def found(run: AnalysisRun) -> dict[tuple[int, int], Judged]:
    return {
        (row.profile_id, row.position): Judged(Reason(row.reason), reasons_of(row.reasons), row.rule)
        for row in DeliveryLog.objects.filter(run=run)
    }


def cut(step: int, lease: int, small: int, drawn: dict[str, Any]) -> Any:
    """Set how an analysis is cut into ranges and leases, which must not matter, and what the mail server can carry."""
    return override_settings(
        ANALYSIS_RANGE=step, LEASE_SIZE=lease, SMALL_TARGET=small, EMAIL_SMTPUTF8=not drawn["ascii_only"]
    )


def draw_world(drawn: dict[str, Any]) -> Delivery:
    """Make everything that was drawn, and return the delivery to analyse."""
    service = drawing.service(drawn["drawn"]["channel"])
    drawing.populate(drawn["people"], drawn["entries"], service, NOW)
    drawing.send_before(drawn["others"], drawn["people"], NOW)
    drawing.block(drawn["domains"])
    criteria = criteria_drawing.criteria([service.pk])
    filtering = drawn["data"].draw(st.lists(st.tuples(criteria, st.booleans()), max_size=2), "filtering")
    typology = drawing.rules(filtering, drawn["fatigue"]) if drawn["own_rules"] else None
    audience = drawn["data"].draw(criteria, "audience")
    return drawing.delivery(drawn["drawn"], service, audience, typology, NOW)


def check_balance(run: AnalysisRun) -> None:
    """Compare every counter with the rows that it stands for."""
    rows = list(DeliveryLog.objects.filter(run=run))
    table = reports.waterfall(run)
    assert table.targeted == len(rows) == sum(reports.outcomes(run).values())
    assert table.to_send == sum(row.status == LogStatus.PENDING for row in rows)
    assert table.targeted == table.to_send + sum(line.first for line in table.lines)
    for line in table.lines:
        assert line.first == sum(row.reason == line.reason for row in rows)
        assert line.in_all == sum(line.reason in reasons_of(row.reasons) for row in rows)
    assert {rule.rule: rule.number for rule in run.rules.all()} == {
        number: sum(row.rule == number for row in rows) for number in {row.rule for row in rows} - {None}
    }
    for lease in run.leases.all():
        held = [row for row in rows if lease.after_profile < row.profile_id <= lease.upto_profile]
        assert (lease.size, lease.pending) == (len(held), sum(row.status == LogStatus.PENDING for row in held))


def check_explanations(run: AnalysisRun, delivery: Delivery) -> None:
    """Compare what is explained, person by person, with the rows."""
    rows: dict[int, list[tuple[int, frozenset[Reason], int]]] = {}
    for row in DeliveryLog.objects.filter(run=run).order_by("profile", "position"):
        # Who is drawn among all can be told by the analysis only.
        drawn = row.reason == Reason.SIZE_LIMIT or (row.reason == Reason.CONTROL_GROUP and delivery.control_count)
        told = (row.position, frozenset() if drawn else reasons_of(row.reasons), row.rule or 0)
        rows.setdefault(row.profile_id, []).append(told)
    for person in Profile.objects.all():
        found = verdicts.for_person(delivery, person.pk, at=run.at)
        assert [(one.position, one.reasons, one.rule) for one in found] == rows.get(person.pk, [])
        for one in found:
            assert (one.reason == Reason.DUPLICATE) == bool(one.keeper)


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(
    sizes=st.tuples(st.sampled_from([1, 3, 1000]), st.sampled_from([1, 2, 1000]), st.sampled_from([0, 3])), **POPULATION
)
def test_sql_and_oracle_agree_for_any_population_rules_and_target(
    db: None, sizes: tuple[int, int, int], **drawn: Any
) -> None:
    with cut(*sizes, drawn), transaction.atomic():
        delivery = draw_world(drawn)
        run = run_analysis(delivery)
        assert found(run) == judge(delivery, run.at)
        check_balance(run)
        check_explanations(run, delivery)
        assert delivery.state == State.ANALYSED
        transaction.set_rollback(True)


@settings(max_examples=30, deadline=None, suppress_health_check=QUIET)
@given(step=st.sampled_from([1, 2]), seed=st.integers(0, 1000), **POPULATION)
def test_kills_and_late_repeats_anywhere_change_nothing(db: None, step: int, seed: int, **drawn: Any) -> None:
    """Between any two steps the worker may die, and another, or the same task again, goes on from the checkpoint."""
    chance = random.Random(seed)
    with cut(step, 2, 3, drawn), transaction.atomic():
        delivery = draw_world(drawn)
        at = timezone.now()
        wanted = judge(delivery, at)
        run = analysis.start(delivery, at=at)
        owners: list[AnalysisRun] = []
        while current(run).state == AnalysisRun.State.RUNNING:
            # The one that works is killed, and its lease runs out; another takes it and does some steps.
            AnalysisRun.objects.filter(pk=run.pk).update(expires_at=at - timedelta(days=1))
            owner = current(run)
            assert analysis._take(owner, at=at)
            for late in chance.sample(owners, min(len(owners), 2)):  # one that lost its lease wakes up and goes on
                old_step = analysis._next_step(late)
                assert not (old_step(late) if old_step else analysis.finish(late, at=at))
            owners.append(owner)
            for _number in range(chance.randint(0, 3)):
                step_now = analysis._next_step(owner)
                assert step_now(owner) if step_now else analysis.finish(owner, at=at)
                if step_now is None:
                    break
        assert found(run) == wanted
        check_balance(current(run))
        transaction.set_rollback(True)


def current(run: AnalysisRun) -> AnalysisRun:
    return AnalysisRun.objects.select_related("delivery").get(pk=run.pk)


def test_exceptions_are_kept_by_kind_once(db: None) -> None:
    service = drawing.service(drawing.Channel.EMAIL)
    person = drawing.ProfileFactory.create(services=[service])
    drawing.QuarantinedAddressFactory.create(value=person.addresses.get().value)
    run = run_analysis(drawing.DeliveryFactory.create(service=service))
    assert [row.kind for row in DeliveryException.objects.filter(run=run)] == [1]
