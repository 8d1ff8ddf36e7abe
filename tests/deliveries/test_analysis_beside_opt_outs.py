"""An analysis never makes somebody's opt-out wait, and the other way round: they hold no lock of each other's."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from deliveries import analysis
from deliveries.models import Delivery, DeliveryLog, Reason, State
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile, Source
from quarantine import escalation
from quarantine.models import Cause
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
BY = Evidence(source=Source.ONE_CLICK)


def elsewhere(act: Callable[[], Any]) -> None:
    """Do something on another connection, where waiting longer than 100 ms for a lock is an error."""

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
        try:
            act()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


@contextmanager
def held() -> Any:
    """Keep a transaction open, as a slow one is."""
    with transaction.atomic():
        yield


@pytest.fixture
def delivery(settings: Any) -> Delivery:
    settings.SMALL_TARGET = 0
    service = ServiceFactory.create()
    for number in range(6):
        ProfileFactory.create(services=[service], email=f"p{number // 2}@example.org")
    return DeliveryFactory.create(service=service)


STEPS = ["press", "prepare", "write_range", "finish"]


@pytest.mark.parametrize("step", STEPS)
def test_people_opt_out_while_a_range_is_being_written(delivery: Delivery, step: str) -> None:
    run = analysis.start(delivery, at=timezone.now())
    assert analysis._take(run, at=timezone.now())
    for earlier in STEPS[1 : STEPS.index(step)]:
        assert getattr(analysis, earlier)(run)
    people = list(Profile.objects.order_by("pk"))
    digests = [bytes(person.addresses.get().digest) for person in people]
    held_step = getattr(analysis, step)
    with held():
        assert held_step(run, at=timezone.now()) if step == "finish" else held_step(run)
        elsewhere(lambda: consent.opt_out([people[0].pk], channel=None, evidence=BY, at=timezone.now()))
        elsewhere(
            lambda: consent.opt_out_address(
                Channel.EMAIL, digests[2], service=delivery.service, evidence=BY, at=timezone.now()
            )
        )
        elsewhere(lambda: quarantined(people[4]))


@pytest.mark.parametrize("step", STEPS)
def test_a_range_is_written_while_somebody_is_opting_out(delivery: Delivery, step: str) -> None:
    run = analysis.start(delivery, at=timezone.now())
    assert analysis._take(run, at=timezone.now())
    for earlier in STEPS[1 : STEPS.index(step)]:
        assert getattr(analysis, earlier)(run)
    person = Profile.objects.order_by("pk")[0]
    act = getattr(analysis, step)
    with held():
        consent.opt_out([person.pk], channel=None, evidence=BY, at=timezone.now())
        quarantined(person)
        elsewhere(lambda: act(run, at=timezone.now()) if step == "finish" else act(run))


def test_who_opts_out_during_an_analysis_is_left_out_by_it_or_at_the_hand_off(delivery: Delivery) -> None:
    """Before their range is written the analysis sees it; after, the claim of their message does."""
    from deliveries import sending
    from tests.deliveries.test_two_workers import Collector

    run = analysis.start(delivery, at=timezone.now())
    assert analysis._take(run, at=timezone.now())
    assert analysis.prepare(run)
    early, late = Profile.objects.order_by("pk")[0], Profile.objects.order_by("pk")[2]
    consent.opt_out([early.pk], channel=None, evidence=BY, at=timezone.now())
    assert analysis.write_range(run)
    consent.opt_out([late.pk], channel=None, evidence=BY, at=timezone.now())
    assert analysis.finish(run, at=timezone.now())
    delivery.refresh_from_db()
    sending.start(delivery, at=timezone.now())
    transport = Collector()
    sending.work(delivery.pk, transport=transport)
    delivery.refresh_from_db()
    assert delivery.state == State.FINISHED
    reasons = dict(DeliveryLog.objects.values_list("profile", "reason"))
    assert (reasons[early.pk], reasons[late.pk]) == (Reason.BLACKLISTED, Reason.BLACKLISTED)
    assert len(transport.sent) == 1  # the third pair; the twins of the first two were duplicates of who was there


def quarantined(person: Profile) -> None:
    address = person.addresses.get()
    target = escalation.Target(Channel.EMAIL, bytes(address.digest), address.value, address.key)
    escalation.quarantine([target], cause=Cause.PERSON, evidence=BY, at=timezone.now())
