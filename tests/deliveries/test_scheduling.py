"""Scheduled deliveries: they start by themselves if they are still what was agreed to, once; else a human is told."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override

from deliveries import analysis, held, lifecycle, scheduling, sending, tasks
from deliveries.errors import ChannelNotSent, MoveRefused, NotLater, NotReady
from deliveries.models import (
    AnalysisRun,
    Audience,
    Delivery,
    RuleKind,
    State,
    Target,
    Typology,
)
from deliveries.scheduling import Due
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Brand, Profile, Source
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory, UserFactory
from tests.sink import running_sink

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=ZoneInfo("UTC"))
TOMORROW = NOW + timedelta(days=1)
SHORTLY_AFTER = TOMORROW + timedelta(seconds=5)


@pytest.fixture
def travel() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def ready(people: int = 20, **fields: Any) -> Delivery:
    service = ServiceFactory.create()
    subscribe(service, people)
    return analysed(DeliveryFactory.create(service=service, **fields))


def subscribe(service: Any, people: int) -> None:
    for _n in range(people):
        ProfileFactory.create(services=[service])


def analysed(delivery: Delivery) -> Delivery:
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def scheduled(people: int = 20, at: datetime = TOMORROW) -> Delivery:
    delivery = ready(people)
    scheduling.schedule(delivery, at=at, now=timezone.now())
    return delivery


def stands(delivery: Delivery) -> tuple[str, datetime | None, int | None]:
    delivery.refresh_from_db()
    return delivery.state, delivery.scheduled_at, delivery.approved


def beat(at: datetime, traveller: Any) -> Due:
    traveller.move_to(at, tick=False)
    return scheduling.start_due(at)


# -- setting and taking away a date ----------------------------------------------------------------------------------


def test_a_schedule_keeps_its_date_and_how_many_messages_were_agreed_to(travel: Any) -> None:
    delivery = ready(4)
    out = Profile.objects.earliest("pk")
    consent.opt_out([out.pk], channel=None, evidence=Evidence(source=Source.OPERATOR, reason="test"), at=NOW)
    analysed(delivery)
    scheduling.schedule(delivery, at=TOMORROW, now=NOW)
    assert stands(delivery) == (State.SCHEDULED, TOMORROW, 3)
    scheduling.unschedule(delivery)
    assert stands(delivery) == (State.ANALYSED, None, None)
    assert delivery.current_run is not None, "the analysis stays"


@pytest.mark.parametrize("at", [NOW, NOW - timedelta(minutes=1)])
def test_a_moment_that_has_passed_is_refused(travel: Any, at: datetime) -> None:
    delivery = ready(1)
    with pytest.raises(NotLater, match="has passed"):
        scheduling.schedule(delivery, at=at, now=NOW)
    assert stands(delivery) == (State.ANALYSED, None, None)


def test_what_could_not_be_sent_cannot_be_scheduled(travel: Any) -> None:
    delivery = ready(1)
    delivery.contents.update(text="No way out")
    with pytest.raises(NotReady, match="opt-out link"):
        scheduling.schedule(delivery, at=TOMORROW, now=NOW)
    by_sms = analysed(DeliveryFactory.create(channel=Channel.SMS, target=Target.EVERYBODY))
    with pytest.raises(ChannelNotSent):
        scheduling.schedule(by_sms, at=TOMORROW, now=NOW)
    draft = DeliveryFactory.create()
    with pytest.raises(MoveRefused):
        scheduling.schedule(draft, at=TOMORROW, now=NOW)


def test_what_somebody_has_analysed_again_meanwhile_is_not_scheduled_by_its_former_number(travel: Any) -> None:
    delivery = ready(1)
    analysed(Delivery.objects.get())
    with pytest.raises(MoveRefused):
        scheduling.schedule(delivery, at=TOMORROW, now=NOW)


@pytest.mark.parametrize("act", ["edit", "stop the analysis", "analyse by hand", "fail"])
def test_the_date_goes_away_with(travel: Any, act: str) -> None:
    delivery = scheduled(2)
    if act == "edit":
        assert lifecycle.void_analysis(delivery)
    elif act == "stop the analysis":
        assert beat(SHORTLY_AFTER, travel).to_analyse == [delivery.pk]
        assert analysis.stop(delivery, at=SHORTLY_AFTER)
    elif act == "fail":
        beat(SHORTLY_AFTER, travel)
        analysis.fail(delivery.pk, "no space left", at=SHORTLY_AFTER)
    else:
        analysed(delivery)
    after = {"analyse by hand": State.ANALYSED, "fail": State.FAILED}
    assert stands(delivery) == (after.get(act, State.DRAFT), None, None)
    assert scheduling.start_due(SHORTLY_AFTER) == Due()


# -- its moment ------------------------------------------------------------------------------------------------------


def test_nothing_happens_before_its_moment(travel: Any) -> None:
    delivery = scheduled()
    assert beat(TOMORROW - timedelta(seconds=1), travel) == Due()
    assert stands(delivery)[0] == State.SCHEDULED


def test_a_scheduled_delivery_is_analysed_again_and_goes_by_itself(travel: Any, monkeypatch: Any) -> None:
    delivery = scheduled(3)
    rung: list[tuple[str, int]] = []
    for task in (tasks.analyse_delivery, tasks.send_delivery):
        monkeypatch.setattr(task, "delay", lambda pk, name=task.__name__: rung.append((name, pk)))
    out = Profile.objects.earliest("pk")
    consent.opt_out([out.pk], channel=None, evidence=Evidence(source=Source.OPERATOR, reason="test"), at=NOW)
    travel.move_to(SHORTLY_AFTER, tick=False)
    tasks.start_scheduled()
    assert stands(delivery) == (State.ANALYSING, TOMORROW, 3)
    tasks.analyse_delivery(delivery.pk)
    assert stands(delivery) == (State.SCHEDULED, TOMORROW, 3)
    tasks.start_scheduled()
    assert stands(delivery) == (State.SENDING, TOMORROW, None)
    assert rung == [("analyse_delivery", delivery.pk), ("send_delivery", delivery.pk)]
    with running_sink() as sink:
        tasks.send_delivery(delivery.pk)
    assert len(sink.caught) == 2
    assert stands(delivery)[0] == State.FINISHED
    assert delivery.started_at == SHORTLY_AFTER
    assert AnalysisRun.objects.filter(delivery=delivery).count() == 2


@pytest.mark.parametrize(("more", "goes"), [(1, True), (2, False)])
def test_it_goes_if_it_grew_by_exactly_five_percent_and_waits_above(travel: Any, more: int, goes: bool) -> None:
    delivery = scheduled(20)
    subscribe(delivery.service, more)
    beat(SHORTLY_AFTER, travel)
    analysis.work(delivery.pk)
    due = scheduling.start_due(SHORTLY_AFTER)
    if goes:
        assert due.to_send == [delivery.pk]
        assert stands(delivery)[0] == State.SENDING
        return
    assert due == Due()
    assert stands(delivery) == (State.ANALYSED, None, None)
    assert delivery.problem == (
        "The target has grown from 20 to 22 since it was scheduled: look at it, then send or schedule it again."
    )
    assert delivery.current_run is not None
    assert delivery.current_run.targeted == 22, "what is shown is what would be sent now"


@pytest.mark.parametrize(
    ("approved", "to_send", "too_much"),
    [(1000, 1050, False), (1000, 1051, True), (1000, 10, False), (0, 0, False), (0, 1, True), (19, 20, True)],
)
def test_five_percent(approved: int, to_send: int, too_much: bool) -> None:
    assert scheduling.grew_too_much(approved, to_send) is too_much


@pytest.mark.parametrize(("late", "starts"), [(timedelta(hours=1), True), (timedelta(hours=1, seconds=1), False)])
def test_more_than_an_hour_late_it_waits_for_a_human(travel: Any, late: timedelta, starts: bool) -> None:
    delivery = scheduled(2)
    due = beat(TOMORROW + late, travel)
    assert due.to_analyse == ([delivery.pk] if starts else [])
    if starts:
        return
    assert stands(delivery) == (State.ANALYSED, None, None)
    assert "does not start by itself" in delivery.problem
    assert "3 Mar 2026, 09:00" in delivery.problem


def test_an_analysis_that_ends_over_an_hour_late_starts_nothing(travel: Any) -> None:
    delivery = scheduled(2)
    beat(SHORTLY_AFTER, travel)
    travel.move_to(TOMORROW + timedelta(hours=2), tick=False)
    analysis.work(delivery.pk)
    assert scheduling.start_due(timezone.now()) == Due()
    assert stands(delivery) == (State.ANALYSED, None, None)
    assert held.is_held(delivery.error)


def test_a_check_that_finds_an_error_by_then_holds_it_back(travel: Any) -> None:
    delivery = scheduled(2)
    Brand.objects.filter(pk=delivery.brand_id).update(postal_address="")
    beat(SHORTLY_AFTER, travel)
    analysis.work(delivery.pk)
    assert scheduling.start_due(SHORTLY_AFTER) == Due()
    assert stands(delivery) == (State.ANALYSED, None, None)
    assert "the checks had found an error" in delivery.problem


def test_what_is_changed_while_it_is_being_analysed_is_a_draft_again(travel: Any) -> None:
    delivery = scheduled(2)
    beat(SHORTLY_AFTER, travel)
    delivery.refresh_from_db()
    lifecycle.void_analysis(delivery)  # a form that was opened before
    analysis.work(delivery.pk)
    assert scheduling.start_due(SHORTLY_AFTER) == Due()
    assert stands(delivery) == (State.DRAFT, None, None)
    assert "changed while it was being analysed" in delivery.problem


# -- audiences, sending rules, and other deliveries --------------------------------------------------------------


def french_or(*others: str) -> dict[str, Any]:
    return {"any": [{"field": "language", "op": "in", "value": ["fr", *others]}]}


def to_an_audience() -> tuple[Delivery, Audience]:
    audience = Audience.objects.create(name="Readers", criteria=french_or())
    for language in ("fr", "fr", "en"):
        ProfileFactory.create(language=language)
    delivery = analysed(DeliveryFactory.create(target=Target.AUDIENCE, audience=audience))
    scheduling.schedule(delivery, at=TOMORROW, now=NOW)
    return delivery, audience


def test_what_others_have_changed_since_is_analysed_once_more_before_it_goes(travel: Any) -> None:
    delivery, audience = to_an_audience()
    beat(SHORTLY_AFTER, travel)
    analysis.work(delivery.pk)
    Audience.objects.filter(pk=audience.pk).update(criteria=french_or("en"))
    assert scheduling.start_due(SHORTLY_AFTER) == Due(to_analyse=[delivery.pk])
    analysis.work(delivery.pk)
    assert scheduling.start_due(SHORTLY_AFTER) == Due()
    assert stands(delivery) == (State.ANALYSED, None, None)
    assert "from 2 to 3" in delivery.problem


@pytest.mark.parametrize("when", ["before", "after"])
def test_criteria_that_name_what_is_gone_hold_it_back_and_no_other(travel: Any, when: str) -> None:
    delivery, audience = to_an_audience()
    other = scheduled(1)
    gone = {"all": [{"field": "subscription", "op": "in", "value": ["no such thing"]}]}
    if when == "after":
        beat(SHORTLY_AFTER, travel)
        analysis.work(delivery.pk)
        analysis.work(other.pk)
    Audience.objects.filter(pk=audience.pk).update(criteria=gone)
    due = beat(SHORTLY_AFTER, travel)
    assert due == (Due(to_analyse=[other.pk]) if when == "before" else Due(to_send=[other.pk]))
    assert stands(delivery) == (State.ANALYSED, None, None)
    assert "names something that is gone" in delivery.problem


def test_two_deliveries_of_one_moment_under_contact_pressure_write_to_nobody_twice(travel: Any) -> None:
    service = ServiceFactory.create()
    subscribe(service, 3)
    both = [analysed(DeliveryFactory.create(service=service)) for _n in range(2)]
    for delivery in both:
        scheduling.schedule(delivery, at=TOMORROW, now=NOW)
    typology = Typology.objects.get(is_default=True)
    typology.rules.create(kind=RuleKind.FATIGUE, label="One a week", most=1, hours=7 * 24)
    travel.move_to(SHORTLY_AFTER, tick=False)
    with running_sink() as sink:
        for _beat in range(6):
            due = scheduling.start_due(SHORTLY_AFTER)
            for pk in due.to_analyse:
                analysis.work(pk)
            for pk in due.to_send:
                sending.work(pk)
    assert [stands(delivery)[0] for delivery in both] == [State.FINISHED, State.FINISHED]
    assert len(sink.caught) == len(set(sink.recipients)) == 3


def test_a_count_under_way_gives_way_to_the_schedule(travel: Any) -> None:
    delivery = scheduled(2)
    counting = analysis.start(delivery, at=NOW, dry=True)
    assert beat(SHORTLY_AFTER, travel).to_analyse == [delivery.pk]
    counting.refresh_from_db()
    assert counting.state == AnalysisRun.State.STOPPED
    analysis.work(delivery.pk)
    assert scheduling.start_due(SHORTLY_AFTER).to_send == [delivery.pk]


# -- what people see -------------------------------------------------------------------------------------------------


def test_what_waits_is_told_on_the_first_page_in_the_language_of_whoever_looks(travel: Any) -> None:
    delivery = scheduled(1)
    beat(TOMORROW + timedelta(hours=5), travel)
    with override("fr"):
        assert "ne part pas" in Delivery.objects.get(pk=delivery.pk).problem
    for language, words in (("en", "does not start by itself"), ("fr", "ne part pas")):
        client = Client()
        client.force_login(UserFactory.create(admin=True, language=language))
        page = client.get(reverse("admin:index")).content.decode()
        assert words in page
        assert reverse("admin:deliveries_delivery_workspace", args=[delivery.pk]) in page


def test_errors_of_others_are_told_as_they_are() -> None:
    for text in ("550 no", '{"held": broken', '{"other": 1}', ""):
        assert held.in_words(text) == text
        assert not held.is_held(text)
