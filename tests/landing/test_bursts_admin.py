"""The page of a burst: what happened in plain words, and two buttons for those who may press them."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deliveries.models import DeliveryLog, LogStatus
from landing import restoring
from landing.models import OptOutBurst
from landing.tasks import restore_burst
from profiles.models import Act, AuditEvent, ConsentEvent, Source
from tests.factories import DeliveryFactory, ProfileFactory, UserFactory

from .visitors import consents

pytestmark = pytest.mark.django_db

State = OptOutBurst.State


@pytest.fixture
def burst() -> OptOutBurst:
    """Twelve people who left a service, as their events and their log rows tell it."""
    delivery, left_at = DeliveryFactory.create(label="Spring"), timezone.now() - timedelta(minutes=5)
    events = []
    for n in range(12):
        person = ProfileFactory.create(email=f"zoe{n}@filtered.example")
        address = person.addresses.get()
        DeliveryLog.objects.create(
            run_id=1, delivery=delivery, profile=person, status=LogStatus.SENT, address=address.value,
            digest=address.digest, finished_at=left_at,
        )  # fmt: skip
        events.append(
            ConsentEvent.objects.create(
                act=Act.UNSUBSCRIBE,
                at=left_at + timedelta(seconds=n),
                profile_id=person.pk,
                delivery_id=delivery.pk,
                service_id=delivery.service_id,
                source=Source.ONE_CLICK,
                ip="192.0.2.1",
                user_agent="Scanner/1.0",
            )
        )
    return OptOutBurst.objects.create(
        delivery_id=delivery.pk, delivery_name="Spring", domain="filtered.example", first_at=events[0].at,
        last_at=events[-1].at, events=[event.pk for event in events], people=12, within=11, share=92,
    )  # fmt: skip


def somebody(client: Client, role: str) -> Any:
    user = UserFactory()
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return user


def url(name: str, burst: OptOutBurst) -> str:
    return reverse(f"admin:landing_optoutburst_{name}", args=[burst.pk])


def text(client: Client, burst: OptOutBurst) -> str:
    return client.get(url("change", burst)).content.decode()


def test_the_page_says_what_happened_and_shows_no_address_in_clear(client: Client, burst: OptOutBurst) -> None:
    somebody(client, "administrator")
    page = text(client, burst)
    for words in (
        "12 people at filtered.example opted out by the link of “Spring”, each at most 11 seconds",
        "92 percent", "z•••@filtered.example", "Scanner/1.0 (12)", "1 network address", "6 to 15 seconds",
    ):  # fmt: skip
        assert words in page, words
    assert "zoe1@" not in page
    assert "192.0.2.1" not in page


def test_the_first_page_of_the_back_office_tells_of_it_until_it_is_decided(client: Client, burst: OptOutBurst) -> None:
    user = somebody(client, "administrator")
    home = client.get(reverse("admin:index")).content.decode()
    assert "Spring: 12 people at filtered.example opted out within seconds" in home
    assert url("change", burst) in home
    restoring.dismiss(burst, user, at=timezone.now())
    assert "filtered.example" not in client.get(reverse("admin:index")).content.decode()


def test_taking_back_by_the_button_ends_with_a_page_that_says_how_many(
    client: Client, burst: OptOutBurst, settings: Any
) -> None:
    user = somebody(client, "administrator")
    response = client.post(url("take_back", burst), {"reason": "Their filter, says their IT"}, follow=True)
    assert "These opt-outs are being taken back." in response.content.decode()
    burst.refresh_from_db()
    assert (burst.state, burst.handled_by) == (State.RESTORING, user.username)
    assert client.get(url("live", burst))["X-Moving"] == "yes"
    restore_burst(burst.pk)
    live = client.get(url("live", burst))
    assert live["X-Moving"] == "no"
    assert "12 profiles are as they were before" in live.content.decode()
    assert AuditEvent.objects.get().rows == 12
    page = text(client, burst)
    assert "Their filter, says their IT" in page
    assert url("take_back", burst) not in page


def test_a_second_press_is_told_that_it_is_decided(client: Client, burst: OptOutBurst) -> None:
    somebody(client, "administrator")
    client.post(url("take_back", burst), {"reason": "filter"})
    for name in ("take_back", "leave"):
        response = client.post(url(name, burst), {"reason": "filter"}, follow=True)
        assert "Somebody has decided already" in response.content.decode()
    assert OptOutBurst.objects.get().state == State.RESTORING
    assert AuditEvent.objects.count() == 1


def test_without_a_reason_the_page_asks_for_one(client: Client, burst: OptOutBurst) -> None:
    somebody(client, "administrator")
    for reason in ("", "   "):
        page = client.post(url("take_back", burst), {"reason": reason}).content.decode()
        assert "Write down why these opt-outs are no wishes of people." in page
    assert OptOutBurst.objects.get().state == State.NEW


def test_leaving_them_as_they_are_changes_nothing_for_anybody(client: Client, burst: OptOutBurst) -> None:
    somebody(client, "administrator")
    before = consents()
    assert "These opt-outs stay as they are." in client.post(url("leave", burst), follow=True).content.decode()
    assert OptOutBurst.objects.get().state == State.DISMISSED
    assert AuditEvent.objects.get().action == AuditEvent.Action.DISMISSED
    assert consents() == before


@pytest.mark.parametrize("role", ["viewer", "operator", "marketer"])
def test_other_roles_see_it_and_decide_nothing(client: Client, burst: OptOutBurst, role: str) -> None:
    somebody(client, role)
    page = text(client, burst)
    assert "An administrator decides." in page
    assert url("take_back", burst) not in page
    assert client.post(url("take_back", burst), {"reason": "x"}).status_code == 403
    assert client.post(url("leave", burst)).status_code == 403
    assert OptOutBurst.objects.get().state == State.NEW


def test_without_a_role_there_is_nothing_to_see(client: Client, burst: OptOutBurst) -> None:
    client.force_login(UserFactory())
    assert client.get(url("change", burst)).status_code == 403
    assert client.get(url("live", burst)).status_code == 403
    assert "filtered.example" not in client.get(reverse("admin:index")).content.decode()


def test_looking_changes_nothing(client: Client, burst: OptOutBurst) -> None:
    somebody(client, "administrator")
    for name in ("take_back", "leave"):
        assert client.get(url(name, burst)).status_code == 405
    client.get(url("change", burst))
    client.get(url("live", burst))
    assert OptOutBurst.objects.get().state == State.NEW


def test_the_page_reads_as_much_for_many_as_for_few(client: Client, burst: OptOutBurst) -> None:
    somebody(client, "administrator")

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert client.get(url("change", burst)).status_code == 200
        return len(seen)

    client.get(url("change", burst))
    every = burst.events
    OptOutBurst.objects.update(events=every[:2])
    few = queries()
    OptOutBurst.objects.update(events=every)
    assert queries() == few <= 14
