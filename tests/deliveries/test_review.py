"""Before sending: everything is told once more, and it goes now or on a date."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import control, scheduling
from deliveries.models import (
    Delivery,
    PeopleList,
    State,
)
from tests.deliveries.working import (
    analysed,
    draft,
    marketer,
    only_noted,
    rail,
    shown,
    url,
    words,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return marketer()


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    return only_noted(monkeypatch)


def test_it_is_scheduled_on_the_clock_of_whoever_does(client: Client, rung: list[Any]) -> None:
    delivery = analysed(draft())
    assert "Europe/Paris" in shown(client, delivery, "review")
    page = client.post(
        url("schedule", delivery.pk),
        {"day": "2050-07-01", "hour": "09:30", "run": delivery.current_run_id},
        follow=True,
    )
    assert "Scheduled for Friday 1 Jul 2050, 09:30 (Europe/Paris)" in words(page.content.decode())
    delivery.refresh_from_db()
    assert (delivery.state, delivery.approved) == (State.SCHEDULED, 3)
    assert delivery.scheduled_at == datetime(2050, 7, 1, 7, 30, tzinfo=UTC)
    client.post(url("do", delivery.pk, "unschedule"))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.scheduled_at) == (State.ANALYSED, None)
    assert rung == []


@pytest.mark.parametrize(
    ("day", "hour", "told"),
    [
        ("2020-01-01", "10:00", "has passed"),
        ("", "10:00", "required"),
        ("2050-03-27", "02:30", "interpreted in time zone"),  # skipped by the change of clocks
    ],
)
def test_a_moment_that_cannot_be_is_told_beside_it(client: Client, day: str, hour: str, told: str) -> None:
    delivery = analysed(draft())
    page = client.post(url("schedule", delivery.pk), {"day": day, "hour": hour, "run": delivery.current_run_id})
    assert told in page.content.decode()
    assert "Send 3 messages" in page.content.decode()
    delivery.refresh_from_db()
    assert delivery.state == State.ANALYSED


def test_numbers_of_a_former_analysis_are_not_agreed_to(client: Client, rung: list[Any]) -> None:
    delivery = analysed(draft())
    seen = delivery.current_run_id
    analysed(delivery)
    client.post(url("do", delivery.pk, "send"), {"run": seen})
    page = client.post(url("schedule", delivery.pk), {"day": "2050-07-01", "hour": "09:30", "run": seen}, follow=True)
    assert "Look at it again" in page.content.decode()
    delivery.refresh_from_db()
    assert (delivery.state, rung) == (State.ANALYSED, [])


def test_warnings_are_told_apart_from_errors_and_do_not_block(client: Client, monkeypatch: Any) -> None:
    delivery = analysed(draft())
    warning = SimpleNamespace(text="The subject is long.", remedy="Make it shorter.", blocks=False)
    monkeypatch.setattr(control, "check", lambda delivery: [warning])
    page = words(shown(client, delivery, "review"))
    assert "Warnings: it can be sent all the same. The subject is long. Make it shorter." in page
    assert "Send 3 messages" in page
    assert rail(client, delivery)["Checks"] == ("Done", "1 warning")
    error = SimpleNamespace(text="The text is empty.", remedy="Write one.", blocks=True)
    monkeypatch.setattr(control, "check", lambda delivery: [warning, error])
    page = words(shown(client, delivery, "review"))
    assert "Errors: it cannot be sent before they are put right. The text is empty. Write one." in page
    assert "Send 3 messages" not in page
    assert rail(client, delivery)["Checks"] == ("Needs attention", "1 error, 1 warning")


def test_control_group_limit_and_rules_are_told_before_sending(client: Client) -> None:
    delivery = analysed(draft(size_limit=2000, control_percent=5))
    for page in ("review", "workspace"):
        told = words(shown(client, delivery, page))
        assert "5% of those who could get it do not" in told
        assert "At most 2,000 messages, drawn by lot" in told


def test_the_form_says_that_the_date_goes_away_with_a_change(client: Client) -> None:
    delivery = analysed(draft())
    scheduling.schedule(delivery, at=datetime(2050, 7, 1, 7, 30, tzinfo=UTC), now=timezone.now())
    form = words(client.get(reverse("admin:deliveries_delivery_change", args=[delivery.pk])).content.decode())
    assert "scheduled for 1 Jul 2050, 09:30. That date goes away" in form


def test_a_list_says_its_size_without_counting(client: Client) -> None:
    people = PeopleList.objects.create(name="Volunteers", size=1204)
    delivery = draft()
    Delivery.objects.update(target="list", people_list=people)
    delivery.refresh_from_db()
    assert rail(client, delivery)["Target"] == ("Done", "1,204 people of the list “Volunteers”")
