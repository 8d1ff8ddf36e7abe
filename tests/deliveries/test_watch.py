"""A delivery that does harm pauses by itself, says why, and goes on when somebody who has seen it says so."""

from typing import Any

import pytest
from django.utils import timezone, translation

from deliveries import sending, watch
from deliveries.models import AnalysisRun, Delivery, DeliveryLog, Lease, LogStatus, State
from deliveries.transports import Outcome
from deliveries.transports.base import Blame
from quarantine.models import QuarantinedAddress
from tests.deliveries.reporting import arf, come, dsn, proof_of
from tests.deliveries.test_domains import Answers, to

pytestmark = pytest.mark.django_db
UNKNOWN = Outcome(LogStatus.FAILED, 550, "5.1.1 no such user")
BLOCKED = Outcome(LogStatus.RETRY, 550, "5.7.1 your network is blocked", Blame.DOMAIN)


@pytest.fixture(autouse=True)
def small(settings: Any) -> None:
    """Judge by few messages, each range holding two."""
    settings.PAUSE_HARD_AFTER, settings.PAUSE_HARD_PERCENT = 4, 50.0
    settings.PAUSE_COMPLAINTS_AFTER, settings.PAUSE_REFUSALS = 4, 3
    settings.LEASE_SIZE = 2


def people(number: int, domain: str) -> list[str]:
    return [f"p{n}@{domain}" for n in range(number)]


def send(delivery: Delivery, transport: Answers) -> Delivery:
    sending.work(delivery.pk, transport=transport)
    delivery.refresh_from_db()
    return delivery


def test_many_addresses_that_do_not_exist_pause_it_and_the_rest_is_not_written_to() -> None:
    transport = Answers(gone_org=UNKNOWN)
    delivery = send(to(*people(8, "gone.org")), transport)
    assert delivery.state == State.PAUSED
    assert len(transport.asked) == 4
    assert delivery.problem.startswith("Paused by itself: 4 of 4 addresses do not exist.")
    with translation.override("fr"):
        assert delivery.problem.startswith("Suspendue d’elle-même")
    assert sum(Lease.objects.values_list("hard", flat=True)) == 4 == QuarantinedAddress.objects.count()


def test_few_of_them_do_not() -> None:
    delivery = send(to("a@gone.org", *people(7, "fast.org")), Answers(gone_org=UNKNOWN))
    assert delivery.state == State.FINISHED


def test_who_resumes_has_seen_it_and_it_pauses_again_only_for_more_of_it() -> None:
    transport = Answers(gone_org=UNKNOWN)
    delivery = send(to(*people(10, "gone.org")), transport)
    sending.resume(delivery)
    assert send(delivery, transport).state == State.PAUSED
    assert len(transport.asked) == 8, "four more, and not at the first of them"


def test_refusals_of_us_pause_it_before_the_list_is_burnt() -> None:
    domains = {f"d{n}.org": BLOCKED for n in range(8)}
    transport = Answers(**{name.replace(".", "_"): outcome for name, outcome in domains.items()})
    delivery = send(to(*(f"a@{domain}" for domain in domains)), transport)
    assert delivery.state == State.PAUSED
    assert len(transport.asked) == 3
    assert "refused us" in delivery.problem
    assert set(DeliveryLog.objects.values_list("status", flat=True)) == {LogStatus.RETRY, LogStatus.PENDING}


def test_complaints_pause_it_too_and_are_counted_on_the_run() -> None:
    delivery = to(*people(6, "fast.org"))
    send(delivery, Answers())
    Delivery.objects.update(state=State.SENDING)
    row = DeliveryLog.objects.earliest("pk")
    come(arf(row.address, proof=proof_of(row)))
    delivery.refresh_from_db()
    assert delivery.state == State.PAUSED
    assert "1 of 6 people reported the message as spam" in delivery.problem
    run = AnalysisRun.objects.get()
    assert (run.complaints, run.bounces) == (1, 0)
    assert [found.pk for found in watch.complained_about(at=timezone.now(), since=run.at)] == [run.pk]


def test_a_late_bounce_is_counted_and_pauses_nothing() -> None:
    delivery = send(to(*people(6, "fast.org")), Answers())
    row = DeliveryLog.objects.earliest("pk")
    come(dsn(row.address, proof=proof_of(row)))
    assert AnalysisRun.objects.get().bounces == 1
    assert send(delivery, Answers()).state == State.FINISHED


@pytest.mark.parametrize(("number", "of", "percent", "is_so"), [
    (0, 0, 0.3, False), (3, 1_000, 0.3, True), (2, 1_000, 0.3, False), (1, 1_000, 0.1, True),
])  # fmt: skip
def test_a_share_is_reached_at_its_bound(number: int, of: int, percent: float, is_so: bool) -> None:
    assert watch.is_share(number, of, percent) is is_so
