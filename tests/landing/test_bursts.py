"""Mail filters that press every link: noticed by their number, told from people, and taken back exactly."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries.models import Delivery, DeliveryLog
from landing import bursts, restoring
from landing.models import OptOutBurst
from landing.stopping import Choice
from landing.tasks import restore_burst, watch_bursts
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.errors import LiftNeedsReason
from profiles.models import Act, AuditEvent, ConsentEvent, Profile, Service, Source
from quarantine import escalation
from quarantine.escalation import Target
from quarantine.models import Cause
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory, UserFactory
from tests.sink import running_sink

from .pressing import QUICK, SLOW, people, press, sent
from .visitors import consents, digest_of

pytestmark = pytest.mark.django_db

State = OptOutBurst.State
BY_MACHINE = (Source.ONE_CLICK, Source.LANDING_PAGE)


@pytest.fixture
def service() -> Service:
    return ServiceFactory.create(validity_days=30)


@pytest.fixture
def delivery(service: Service) -> Iterator[Delivery]:
    with running_sink():
        yield DeliveryFactory.create(service=service, label="Spring")


def the_burst() -> OptOutBurst:
    return OptOutBurst.objects.get()


def take_back(burst: OptOutBurst, *, reason: str = "Their filter pressed the links") -> OptOutBurst:
    assert restoring.ask(burst, UserFactory(), reason=reason, at=timezone.now())
    assert not restoring.work(burst.pk, clock=timezone.now, budget=timedelta(minutes=1))
    burst.refresh_from_db()
    return burst


# -- noticing -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("source", BY_MACHINE)
def test_many_quick_opt_outs_of_one_domain_are_noticed(delivery: Delivery, service: Service, source: Source) -> None:
    whom = people(service, 15)
    people(service, 30, "other.example")
    sent(delivery)
    press(delivery, whom[:12], QUICK, source=source)
    assert bursts.watch(timezone.now()) == 1
    burst = the_burst()
    assert (burst.delivery_id, burst.delivery_name, burst.domain) == (delivery.pk, "Spring", "filtered.example")
    assert (burst.people, burst.share, burst.state) == (12, 80, State.NEW)
    assert timedelta(seconds=20) <= timedelta(seconds=burst.within) <= timedelta(seconds=22)
    events = ConsentEvent.objects.filter(act=Act.UNSUBSCRIBE)
    assert burst.events == sorted(events.values_list("pk", flat=True))
    assert (burst.first_at, burst.last_at) == (min(e.at for e in events), max(e.at for e in events))


def test_looking_again_changes_nothing(delivery: Delivery, service: Service) -> None:
    whom = people(service, 10)
    press(sent(delivery), whom, QUICK)
    bursts.watch(timezone.now())
    before = OptOutBurst.objects.values().get()
    assert bursts.watch(timezone.now()) == 0
    assert OptOutBurst.objects.values().get() == before


def test_people_who_take_their_time_are_no_burst(delivery: Delivery, service: Service) -> None:
    whom = people(service, 20)
    press(sent(delivery), whom, SLOW)
    assert bursts.watch(timezone.now()) == 0


def test_fewer_than_ten_are_no_burst(delivery: Delivery, service: Service) -> None:
    whom = people(service, 9)
    press(sent(delivery), whom, QUICK)
    assert bursts.watch(timezone.now()) == 0


def test_a_part_of_those_who_got_it_is_no_burst(delivery: Delivery, service: Service) -> None:
    """Ten of twenty-one: quick people of a large domain."""
    whom = people(service, 21)
    sent(delivery)
    press(delivery, whom[:10], QUICK)
    assert bursts.watch(timezone.now()) == 0
    press(delivery, whom[10:11], QUICK)
    assert bursts.watch(timezone.now()) == 1


def test_quick_opt_outs_of_many_domains_are_no_burst(delivery: Delivery, service: Service) -> None:
    whom = [person for n in range(12) for person in people(service, 1, f"d{n}.example")]
    press(sent(delivery), whom, QUICK)
    assert bursts.watch(timezone.now()) == 0


def test_opt_outs_by_other_ways_are_no_burst(delivery: Delivery, service: Service) -> None:
    whom = people(service, 12)
    press(sent(delivery), whom, QUICK, source=Source.MAILTO)
    assert bursts.watch(timezone.now()) == 0


def test_one_person_who_presses_everything_counts_once(delivery: Delivery, service: Service) -> None:
    whom = people(service, 9)
    sent(delivery)
    for n, choice in enumerate(Choice):
        press(delivery, whom, QUICK + timedelta(seconds=n), choice=choice)
    assert bursts.watch(timezone.now()) == 0


def test_a_burst_grows_while_nobody_has_decided(delivery: Delivery, service: Service) -> None:
    whom = people(service, 14)
    sent(delivery)
    press(delivery, whom[:10], QUICK)
    bursts.watch(timezone.now())
    press(delivery, whom[10:], QUICK + timedelta(seconds=30))
    assert bursts.watch(timezone.now()) == 0
    burst = the_burst()
    assert (burst.people, len(burst.events), burst.share) == (14, 14, 71)  # the share is that of the first look
    assert 50 <= burst.within <= 52


def test_an_event_that_commits_late_under_a_lower_number_is_not_missed(delivery: Delivery, service: Service) -> None:
    whom = people(service, 10)
    sent(delivery)
    press(delivery, whom[:1], QUICK)
    late = ConsentEvent.objects.latest("pk")
    numbers = {f.attname: getattr(late, f.attname) for f in ConsentEvent._meta.concrete_fields if not f.primary_key}
    press(delivery, whom[2:], QUICK)
    assert bursts.watch(timezone.now()) == 0
    row = DeliveryLog.objects.get(delivery=delivery, profile=whom[1].pk)
    assert row.finished_at
    # As when its transaction began first and committed last.
    ConsentEvent.objects.create(
        pk=late.pk - 1_000, **{**numbers, "profile_id": whom[1].pk, "at": row.finished_at + QUICK}
    )
    assert bursts.watch(timezone.now()) == 1
    assert the_burst().events[0] == late.pk - 1_000


def test_what_was_decided_stays_decided(delivery: Delivery, service: Service) -> None:
    whom = people(service, 25)
    sent(delivery)
    press(delivery, whom[:14], QUICK)
    bursts.watch(timezone.now())
    assert restoring.dismiss(the_burst(), UserFactory(), at=timezone.now())
    press(delivery, whom[14:], QUICK)
    assert bursts.watch(timezone.now()) == 0
    assert (the_burst().state, the_burst().people) == (State.DISMISSED, 14)


def test_a_burst_that_goes_on_after_it_was_taken_back_is_shown_again(delivery: Delivery, service: Service) -> None:
    whom = people(service, 25)
    sent(delivery)
    before = consents()
    press(delivery, whom[:13], QUICK)
    bursts.watch(timezone.now())
    take_back(the_burst())
    press(delivery, whom[13:20], QUICK)
    assert bursts.watch(timezone.now()) == 0
    press(delivery, whom[20:], QUICK)
    assert bursts.watch(timezone.now()) == 1
    burst = the_burst()
    assert (burst.state, burst.people, len(restoring.open_events(burst))) == (State.NEW, 12, 12)
    burst = take_back(burst)
    assert (burst.restored, burst.left_alone) == (25, 0)
    assert consents() == before


def test_domains_in_capitals_and_other_letters_are_one(delivery: Delivery, service: Service) -> None:
    spellings = {"a": "münchen.example", "b": "XN--MNCHEN-3YA.example", "c": "München.Example"}
    whom = [person for name, domain in spellings.items() for person in people(service, 4, domain, name)]
    press(sent(delivery), whom, QUICK)
    assert bursts.watch(timezone.now()) == 1
    assert (the_burst().domain, the_burst().people, the_burst().share) == ("xn--mnchen-3ya.example", 12, 100)


def test_the_number_of_queries_does_not_grow(delivery: Delivery, service: Service) -> None:
    whom = people(service, 40)
    sent(delivery)

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            bursts.watch(timezone.now())
        return len(seen)

    assert queries() == 1  # one look at the index, where nothing has happened
    press(delivery, whom[:20], QUICK)
    first = queries()
    OptOutBurst.objects.all().delete()
    press(delivery, whom[20:], QUICK)
    assert queries() == first <= 10


# -- taking back ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("choice", Choice)
def test_taking_back_restores_exactly_what_the_presses_removed(
    delivery: Delivery, service: Service, choice: Choice
) -> None:
    """For every button of the page, with twins of whom the message was that of one, and with earlier opt-outs."""
    whom = people(service, 12)
    twin = ProfileFactory.create(email="p3@filtered.example")
    consent.subscribe([twin.pk], service, evidence=Evidence(source=Source.LANDING_PAGE), at=timezone.now())
    ProfileFactory.create(email="p4@filtered.example", blacklisted_email=True)
    sent(delivery)
    before, until = consents(), whom[0].subscriptions.get().expires_at
    press(delivery, whom, QUICK, choice=choice)
    assert consents() != before
    bursts.watch(timezone.now())
    burst = take_back(the_burst())
    assert consents() == before
    assert burst.state == State.RESTORED
    assert burst.left_alone == 0
    assert burst.restored >= 13
    assert whom[0].subscriptions.get().expires_at == until


def test_presses_of_every_button_one_after_the_other_are_all_taken_back(delivery: Delivery, service: Service) -> None:
    whom = people(service, 10)
    sent(delivery)
    before = consents()
    for n, choice in enumerate(Choice):
        press(delivery, whom, QUICK + timedelta(seconds=n), choice=choice)
    bursts.watch(timezone.now())
    burst = take_back(the_burst())
    assert consents() == before
    assert (burst.people, burst.restored) == (10, 10)


def test_a_twin_whose_own_message_it_was_not_gets_the_subscription_back(delivery: Delivery, service: Service) -> None:
    """The message went to the profile that is not subscribed: the press changed only the other one."""
    delivery.target = "everybody"
    delivery.save(update_fields=["target"])
    for n in range(10):
        ProfileFactory.create(email=f"p{n}@filtered.example")
    whom = people(service, 10)
    before = consents()
    press(sent(delivery), whom, QUICK)
    assert consents() != before
    assert bursts.watch(timezone.now()) == 1
    assert take_back(the_burst()).restored == 10
    assert consents() == before


def test_people_about_whom_something_newer_is_known_are_left_alone(delivery: Delivery, service: Service) -> None:
    whom = people(service, 14)
    press(sent(delivery), whom, QUICK)
    bursts.watch(timezone.now())
    now, by_hand = timezone.now(), Evidence(source=Source.OPERATOR, reason="asked by phone")
    consent.opt_out([whom[0].pk], channel=None, evidence=by_hand, at=now)
    consent.subscribe([whom[1].pk], service, evidence=Evidence(source=Source.LANDING_PAGE), at=now)
    complaint = Target(Channel.EMAIL, digest_of("p2@filtered.example"))
    escalation.quarantine([complaint], cause=Cause.COMPLAINT, evidence=Evidence(source=Source.COMPLAINT), at=now)
    Profile.objects.filter(pk=whom[3].pk).delete()
    before = [row for row in consents()[0] if row[0] == whom[0].pk]
    burst = take_back(the_burst())
    assert (burst.restored, burst.left_alone) == (10, 4)
    assert [row for row in consents()[0] if row[0] == whom[0].pk] == before
    subscribed = set(service.subscriptions.values_list("profile_id", flat=True))
    assert subscribed == {person.pk for person in whom if person not in (whom[0], whom[2], whom[3])}


def test_the_ledger_and_the_audit_say_who_took_it_back_and_why(delivery: Delivery, service: Service) -> None:
    whom = people(service, 10)
    press(sent(delivery), whom, QUICK)
    bursts.watch(timezone.now())
    burst = take_back(the_burst(), reason="  Their mail filter, says their IT  ")
    events = ConsentEvent.objects.filter(act=Act.SUBSCRIBE, source=Source.OPERATOR)
    assert set(events.values_list("actor_name", "reason", "delivery_id", "at")) == {
        (burst.handled_by, "Their mail filter, says their IT", delivery.pk, burst.handled_at)
    }
    act = AuditEvent.objects.get(action=AuditEvent.Action.RESTORED)
    assert (act.subject, act.subject_id, act.rows) == ("landing.OptOutBurst", str(burst.pk), 10)
    assert (act.actor_name, act.reason) == (burst.handled_by, "Their mail filter, says their IT")


def test_a_second_press_and_a_second_worker_change_nothing_more(delivery: Delivery, service: Service) -> None:
    whom = people(service, 10)
    press(sent(delivery), whom, QUICK)
    bursts.watch(timezone.now())
    stale = the_burst()
    burst = take_back(the_burst())
    after, events = consents(), ConsentEvent.objects.count()
    assert not restoring.ask(stale, UserFactory(), reason="again", at=timezone.now())
    assert not restoring.dismiss(stale, UserFactory(), at=timezone.now())
    assert not restoring.work(burst.pk, clock=timezone.now, budget=timedelta(minutes=1))
    assert (consents(), ConsentEvent.objects.count()) == (after, events)
    assert AuditEvent.objects.count() == 1
    assert OptOutBurst.objects.values("restored", "reason").get() == {
        "restored": 10, "reason": "Their filter pressed the links",
    }  # fmt: skip


@pytest.mark.parametrize("reason", ["", "  \n "])
def test_without_a_reason_nothing_is_taken_back(delivery: Delivery, service: Service, reason: str) -> None:
    whom = people(service, 10)
    press(sent(delivery), whom, QUICK)
    bursts.watch(timezone.now())
    with pytest.raises(LiftNeedsReason):
        restoring.ask(the_burst(), UserFactory(), reason=reason, at=timezone.now())
    assert the_burst().state == State.NEW


def test_a_long_one_is_done_in_rounds_that_go_on_where_the_last_one_stopped(
    delivery: Delivery, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "ROUND", 4)
    monkeypatch.setattr(bursts, "CHUNK", 3)
    whom = people(service, 10)
    before = consents()
    press(sent(delivery), whom, QUICK)
    assert bursts.watch(timezone.now()) == 1
    burst = the_burst()
    restoring.ask(burst, UserFactory(), reason="filter", at=timezone.now())
    rounds = 1
    while restoring.work(burst.pk, clock=timezone.now, budget=timedelta(seconds=-1)):
        burst.refresh_from_db()
        assert (burst.state, burst.restored) == (State.RESTORING, min(4 * rounds, 10))
        rounds += 1
        assert rounds < 6
    assert consents() == before
    assert the_burst().state == State.RESTORED


def test_the_queries_of_a_round_do_not_grow(delivery: Delivery, service: Service) -> None:
    def queries(number: int, domain: str) -> int:
        whom = people(service, number, domain)
        another = DeliveryFactory.create(service=service)
        press(sent(another), whom, QUICK)
        bursts.watch(timezone.now())
        burst = OptOutBurst.objects.get(domain=domain)
        restoring.ask(burst, UserFactory(), reason="filter", at=timezone.now())
        with CaptureQueriesContext(connection) as seen:
            restoring.work(burst.pk, clock=timezone.now, budget=timedelta(minutes=1))
        return len(seen)

    assert queries(10, "a.example") == queries(40, "b.example") <= 40


def test_the_tasks_find_a_burst_and_finish_one_whose_ring_was_lost(
    delivery: Delivery, service: Service, settings: Any
) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True
    whom = people(service, 10)
    before = consents()
    press(sent(delivery), whom, QUICK)
    watch_bursts()
    restoring.ask(the_burst(), UserFactory(), reason="filter", at=timezone.now())
    assert restoring.waiting() == [the_burst().pk]
    restore_burst(the_burst().pk)
    assert consents() == before
    assert restoring.waiting() == []
