"""How many are left out and why: sums kept by a job, and never counted by a page where there are many."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from profiles.consent import Evidence
from profiles.models import Source
from quarantine import escalation, figures
from quarantine.escalation import Target
from quarantine.figures import Jump
from quarantine.models import Cause, QuarantinedAddress, Reason, Status
from tests.factories import QuarantinedAddressFactory, UserFactory

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:quarantine_figures")
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
OPERATOR = Evidence(source=Source.OPERATOR, actor_name="op", reason="They asked")


@pytest.fixture
def by(client: Client) -> Client:
    client.force_login(UserFactory(admin=True))
    return client


def left_out(number: int, at: datetime, cause: Cause = Cause.BOUNCE, name: str = "p") -> None:
    escalation.quarantine(
        [target(f"{name}{n}.{at:%m%d%H}@example.org") for n in range(number)], cause=cause, evidence=OPERATOR, at=at
    )


def target(value: str) -> Target:
    row = QuarantinedAddressFactory.build(value=value)
    return Target(row.channel, row.digest, row.value, row.key)


def days(at: datetime = NOW) -> dict[int, tuple[int, int]]:
    """Return (days ago) → (newly left out, released), where there were any."""
    found = figures.growth(at)
    assert found is not None
    assert len(found) == 90
    return {(at.date() - one.day).days: (one.left_out, one.released) for one in found if one.left_out or one.released}


def test_each_day_has_who_was_newly_left_out_and_who_was_released() -> None:
    left_out(3, NOW - 100 * DAY)
    left_out(4, NOW - 2 * DAY)
    left_out(2, NOW - HOUR)
    # The person's own wish replaces the message that came back: nobody is newly left out by it.
    row = QuarantinedAddress.objects.filter(quarantined_at=NOW - 2 * DAY).first()
    assert row is not None
    escalation.quarantine([target(str(row.value))], cause=Cause.PERSON, evidence=OPERATOR, at=NOW - DAY)
    escalation.release([row], evidence=OPERATOR, at=NOW)
    assert days() == {2: (4, 0), 0: (2, 1)}


def test_the_sums_of_a_long_history_are_those_that_the_job_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "COUNTED_AT_ONCE", 3)
    left_out(4, NOW - 2 * DAY)
    left_out(2, NOW - HOUR)
    assert figures.growth(NOW) is None
    assert figures.standing(NOW) is None
    figures.count(NOW)
    assert days() == {2: (4, 0), 0: (2, 0)}
    standing = figures.standing(NOW)
    assert standing is not None
    assert standing.total == 6
    left_out(1, NOW, name="later")
    assert days()[0] == (2, 0), "what is kept is shown"
    figures.count(NOW)
    assert days()[0] == (3, 0)
    assert figures.standing(NOW) == standing, "the whole table is counted every few hours only"
    figures.count(NOW + figures.AGE)
    assert figures.standing(NOW).total == 7  # type: ignore[union-attr]


def test_the_standing_tells_causes_reasons_of_messages_that_came_back_and_domains() -> None:
    make = QuarantinedAddressFactory
    for number in range(3):
        make(value=f"{number}@a.example", reason=Reason.USER_UNKNOWN)
    make(value="full@b.example", reason=Reason.MAILBOX_FULL, release_at=NOW + DAY)
    make(value="over@b.example", reason=Reason.MAILBOX_FULL, release_at=NOW - DAY)
    make(value="spam@b.example", cause=Cause.COMPLAINT)
    make(value="fine@b.example", status=Status.VALID)
    found = figures.standing(NOW)
    assert found is not None
    assert found.total == 5
    assert found.causes == [(Cause.BOUNCE, 4), (Cause.COMPLAINT, 1)]
    assert found.reasons == [(Reason.USER_UNKNOWN, 3), (Reason.MAILBOX_FULL, 1)]
    assert found.domains == [("a.example", 3), ("b.example", 2)]


def test_the_page_counts_no_long_table(by: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out(5, timezone.now())
    shown = by.get(PAGE)
    assert "5" in shown.context["total"]
    monkeypatch.setattr(figures, "COUNTED_AT_ONCE", 3)
    cache.clear()
    with CaptureQueriesContext(connection) as asked:
        shown = by.get(PAGE)
    counted = [one["sql"] for one in asked if "COUNT(" in one["sql"] and "quarantine" in one["sql"]]
    assert [sql for sql in counted if "LIMIT 4" not in sql] == []
    assert "being counted in the background" in shown.content.decode()
    figures.count(timezone.now())
    assert "5" in by.get(PAGE).context["total"]


def came_back(number: int, at: datetime, domain: str = "down.example", **fields: Any) -> None:
    for n in range(number):
        QuarantinedAddressFactory(value=f"{n}.{at:%m%d%H}@{domain}", quarantined_at=at, **fields)


def test_a_domain_jumps_when_it_has_many_more_than_usual() -> None:
    came_back(20, NOW - 2 * HOUR, "down.example")
    came_back(19, NOW - 2 * HOUR, "few.example")
    came_back(20, NOW - 2 * HOUR, "usual.example")
    for day in range(1, 31):
        came_back(5, NOW - day * DAY - 2 * HOUR, "usual.example")
    assert figures.watch(NOW) == [Jump("down.example", 20, 0.0)]
    assert figures.jumps() == [Jump("down.example", 20, 0.0)]
    figures.forget_jumps()
    assert figures.jumps() == []


def test_five_times_the_usual_is_a_jump() -> None:
    came_back(20, NOW - 2 * HOUR)
    for day in range(1, 31):
        came_back(4, NOW - day * DAY - 2 * HOUR)
    assert figures.watch(NOW) == [Jump("down.example", 20, 4.0)]


def test_all_domains_together_jump_where_none_does() -> None:
    for number in range(25):
        came_back(1, NOW - 2 * HOUR, f"d{number}.example")
    assert figures.watch(NOW) == [Jump("", 25, 0.0)]


def test_what_people_say_and_what_is_released_is_no_jump() -> None:
    came_back(30, NOW - 2 * HOUR, cause=Cause.COMPLAINT)
    came_back(30, NOW - 3 * HOUR, cause=Cause.IMPORT)
    came_back(30, NOW - 4 * HOUR, status=Status.VALID)
    came_back(30, NOW - 26 * HOUR)
    assert figures.watch(NOW) == []


@pytest.mark.postgres
def test_the_job_reads_days_and_domains_by_their_indexes() -> None:
    came_back(3, NOW - HOUR)
    with CaptureQueriesContext(connection) as asked:
        figures.growth(NOW)
        figures.watch(NOW)
        figures.recent_domains(NOW)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for sql in [one["sql"] for one in asked if "quarantine_" in one["sql"] and one["sql"].startswith("SELECT")]:
            cursor.execute(f"EXPLAIN {sql}")
            assert "Seq Scan" not in "\n".join(row[0] for row in cursor.fetchall()), sql
