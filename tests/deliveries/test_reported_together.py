"""Two workers who are given the same reports at the same moment: each counts once, and neither waits for ever."""

import threading

import pytest
from django.db import connection
from django.utils import timezone

from deliveries import reported
from deliveries.matching import digest_of
from deliveries.models import AnalysisRun, DeliveryLog, LogStatus
from deliveries.reported import Incoming, Outcome
from profiles.models import Act, ConsentEvent
from quarantine.inbound import reports
from quarantine.models import QuarantinedAddress, QuarantineEvent, Report, Status
from tests.factories import DeliveryFactory

from .reporting import FULL, NOTHING, arf, dsn, proof_of

pytestmark = pytest.mark.django_db(transaction=True)
NUMBER = 60


def test_two_workers_with_the_same_reports_in_another_order_count_each_once() -> None:
    delivery = DeliveryFactory.create(contents=False)
    run = AnalysisRun.objects.create(delivery=delivery, number=1, state="done", delivery_version=1, at=timezone.now())
    rows = [
        DeliveryLog.objects.create(
            run=run, delivery=delivery, profile_id=n + 1, status=LogStatus.SENT, address=f"p{n}@example.org",
            digest=digest_of(f"p{n}@example.org"),
        )
        for n in range(NUMBER)
    ]  # fmt: skip
    raws = [
        *(dsn(row.address, proof=proof_of(row)) for row in rows[::3]),
        *(dsn(row.address, proof=proof_of(row), says=FULL) for row in rows[1::3]),
        *(arf(proof=proof_of(row)) for row in rows[2::3]),
        *(dsn(row.address, proof=NOTHING) for row in rows[:20]),
    ]
    found = [Incoming(reports.understand(raw), raw) for raw in raws]
    outcomes: list[Outcome] = []
    together = threading.Barrier(2)

    def work(mine: list[Incoming]) -> None:
        try:
            together.wait(10)
            outcomes.extend(result.outcome for result in reported.receive(mine, at=timezone.now()))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(mine,)) for mine in (found, found[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(outcomes) == 2 * len(raws), "neither failed"
    assert outcomes.count(Outcome.APPLIED) == NUMBER
    assert QuarantinedAddress.objects.filter(status=Status.QUARANTINED).count() == 40
    assert QuarantinedAddress.objects.filter(status=Status.ERRONEOUS, errors=1).count() == 20
    assert QuarantineEvent.objects.count() == NUMBER
    assert ConsentEvent.objects.filter(act=Act.QUARANTINE).count() == 40
    assert AnalysisRun.objects.values_list("bounces", "complaints").get() == (40, 20)
    assert Report.objects.count() == 20
