"""Deliveries that are really sent, and their links pressed some time after."""

from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from deliveries import analysis, sending
from deliveries.models import Delivery, DeliveryLog, LogStatus
from landing import stopping
from landing.stopping import Choice
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile, Service, Source
from profiles.tokens import OptOutLink
from tests.factories import ProfileFactory

QUICK, SLOW = timedelta(seconds=20), timedelta(minutes=20)


def people(service: Service, number: int, domain: str = "filtered.example", name: str = "p") -> list[Profile]:
    found = [ProfileFactory.create(email=f"{name}{n}@{domain}") for n in range(number)]
    evidence = Evidence(source=Source.LANDING_PAGE)
    consent.subscribe([p.pk for p in found], service, evidence=evidence, at=timezone.now() - timedelta(days=3))
    return found


def sent(delivery: Delivery, *, ago: timedelta = timedelta(minutes=30)) -> Delivery:
    """Send to everybody, for real; the messages left a while ago, so that there has been time to press."""
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    sending.start(delivery, at=timezone.now())
    sending.work(delivery.pk)
    DeliveryLog.objects.filter(delivery=delivery, status=LogStatus.SENT).update(finished_at=timezone.now() - ago)
    return delivery


def press(
    delivery: Delivery,
    whom: Sequence[Profile],
    after: timedelta,
    *,
    source: Source = Source.ONE_CLICK,
    choice: Choice = Choice.SERVICE,
) -> None:
    """Press the link of each one's message, so long after it had left."""
    for person in whom:
        address = person.addresses.get(position=1)
        row = DeliveryLog.objects.get(delivery=delivery, digest=bytes(address.digest), status=LogStatus.SENT)
        link = OptOutLink(
            channel=Channel.EMAIL, digest=bytes(address.digest), log=row.pk, delivery=delivery.pk,
            service=delivery.service_id or 0,
        )  # fmt: skip
        evidence = Evidence(source=source, delivery_id=delivery.pk, delivery_name=delivery.label, ip="192.0.2.9")
        assert row.finished_at
        at = row.finished_at + after + timedelta(microseconds=person.pk)
        stopping.stop(link, choice, evidence=evidence, at=at)
