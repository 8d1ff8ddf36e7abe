"""Several workers at once on the same addresses: they take turns, and nothing happens twice or is lost."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, ConsentEvent, Source
from quarantine import escalation, outages, tidying
from quarantine.failures import Failure, Kind
from quarantine.models import Cause, Outage, QuarantinedAddress, QuarantineEvent, Reason, Status
from tests.factories import QuarantinedAddressFactory

pytestmark = pytest.mark.django_db(transaction=True)
NOW = timezone.now()
HOUR = timedelta(hours=1)
BY = Evidence(source=Source.BOUNCE)
MANY = 24


def together(*works: Callable[[], object]) -> None:
    """Do all of it at once, each on a connection of its own; raise what any of them raises."""
    begin = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            begin.wait()
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        done = [pool.submit(run, work) for work in works]
    for one in done:
        one.result()


def targets() -> list[escalation.Target]:
    rows = QuarantinedAddress.objects.order_by("pk")
    return [escalation.Target(Channel.EMAIL, bytes(row.digest), row.value, row.key) for row in rows]


def test_two_workers_release_each_address_once_and_put_each_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "BATCH", 4)
    for _n in range(MANY):
        QuarantinedAddressFactory.create(quarantined_at=NOW - HOUR)
    asked = targets()[:5]
    made = outages.start(
        Outage(domain="example.org", since=NOW - 2 * HOUR, until=NOW, reason="down", by="emilie"), at=NOW
    )

    def release() -> None:
        outages.work(made.pk, clock=timezone.now)

    def wish() -> None:
        escalation.quarantine(asked, cause=Cause.PERSON, evidence=BY, at=timezone.now())

    together(release, release, wish)
    made.refresh_from_db()
    released = QuarantineEvent.objects.filter(outage_id=made.pk).values_list("entry_id", flat=True)
    assert made.finished_at
    assert made.released == len(released) == len(set(released)) >= MANY - 5
    blocking = QuarantinedAddress.objects.blocking(timezone.now())
    assert set(blocking.values_list("cause", flat=True)) == {Cause.PERSON}
    assert blocking.count() == 5

    outages.undo(made.pk, by="alice", at=timezone.now())
    together(*[lambda: outages.work_undo(made.pk, clock=timezone.now)] * 2)
    made.refresh_from_db()
    assert (made.put_back, blocking.count()) == (MANY - 5, MANY)
    acts = Counter(ConsentEvent.objects.values_list("act", flat=True))
    assert acts == {Act.RELEASE: made.released, Act.QUARANTINE: made.put_back + 5}


def test_failures_noted_at_once_in_any_order_count_once_and_nobody_waits_for_ever() -> None:
    many = [escalation.Target(Channel.EMAIL, n.to_bytes(16, "little"), f"{n}@e.org", f"{n}@e.org") for n in range(MANY)]
    soft = Failure(Kind.SOFT, Reason.UNREACHABLE)

    def note(order: list[escalation.Target]) -> None:
        escalation.note_failures([(one, soft, BY, "450 later") for one in order], at=NOW)

    together(lambda: note(many), lambda: note(many[::-1]), lambda: note(many[::2]))
    assert list(QuarantinedAddress.objects.values_list("errors", flat=True)) == [1] * MANY
    assert QuarantineEvent.objects.count() == MANY


def test_two_jobs_tidy_what_is_due_once() -> None:
    for _n in range(MANY):
        QuarantinedAddressFactory.create(quarantined_at=NOW - HOUR, release_at=NOW - HOUR / 2)
    together(*[lambda: tidying.tidy(NOW)] * 3)
    assert set(QuarantinedAddress.objects.values_list("status", flat=True)) == {Status.VALID}
    assert QuarantineEvent.objects.count() == ConsentEvent.objects.count() == MANY
