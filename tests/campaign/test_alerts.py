"""What waits for a human on the first page: each alert leads to where it is solved, and costs little."""

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import domains, sending
from deliveries.held import Held, held
from deliveries.models import AnalysisRun, Delivery, Lease, LogStatus, MailDomain, State
from quarantine import figures
from tests.campaign.test_backoffice import delivery_about
from tests.deliveries.working import analysed, draft
from tests.factories import ProfileFactory, QuarantinedAddressFactory, UserFactory

pytestmark = pytest.mark.django_db
S = LogStatus


@pytest.fixture(autouse=True)
def _admin(client: Client) -> None:
    client.force_login(UserFactory(admin=True))


def alerts(client: Client) -> dict[str, str]:
    """Return what is said → where it leads."""
    return {unescape(str(alert.text)): alert.url for alert in client.get(reverse("admin:index")).context["alerts"]}


def workspace(delivery: Delivery) -> str:
    return reverse("admin:deliveries_delivery_workspace", args=[delivery.pk])


def test_a_delivery_that_paused_by_itself_says_why(client: Client) -> None:
    delivery = delivery_about(ProfileFactory(), S.PENDING, label="News")
    Delivery.objects.update(state=State.PAUSED, error=held(Held.HARD, number=30, of=400))
    (told,) = alerts(client)
    assert told.startswith("News: Paused by itself: 30 of 400 addresses do not exist.")
    assert alerts(client)[told] == workspace(delivery)
    Delivery.objects.update(error="550 who are you")
    assert list(alerts(client)) == ["News has paused by itself: the receiving side refuses us, whatever the address"]
    Delivery.objects.update(error="")
    assert list(alerts(client)) == ["News is paused"]


def test_messages_of_unknown_outcome_lead_to_their_page(client: Client) -> None:
    delivery = delivery_about(ProfileFactory(), S.IN_DOUBT, label="News")
    url = reverse("admin:deliveries_delivery_doubt", args=[delivery.pk])
    assert alerts(client) == {"News: the outcome of 1 message is unknown": url}


@pytest.mark.parametrize(("complaints", "days", "told"), [(1, 1, True), (0, 1, False), (1, 40, False)])
def test_complaints_are_told_while_they_are_recent(client: Client, complaints: int, days: int, told: bool) -> None:
    delivery = delivery_about(ProfileFactory(), S.SENT, label="News")
    Lease.objects.update(size=1_000, sent=1_000)
    AnalysisRun.objects.update(complaints=complaints)
    Delivery.objects.update(started_at=timezone.now() - timedelta(days=days))
    found = {"News: 1 person of 1,000 reported it as spam (0.10%)": workspace(delivery)}
    assert alerts(client) == (found if told else {})


def test_fewer_complaints_than_usual_are_not_told(client: Client) -> None:
    delivery_about(ProfileFactory(), S.SENT)
    Lease.objects.update(size=1_001, sent=1_001)
    AnalysisRun.objects.update(complaints=1)
    Delivery.objects.update(started_at=timezone.now())
    assert alerts(client) == {}


def test_a_delivery_that_nobody_works_on_is_told(client: Client) -> None:
    delivery = analysed(draft(3, label="News"))
    sending.start(delivery, at=timezone.now() - timedelta(minutes=4))
    assert alerts(client) == {}
    Delivery.objects.update(started_at=timezone.now() - timedelta(minutes=6))
    told = "News is being sent, but nothing has left for 5 minutes. See whether the workers run"
    assert alerts(client) == {told: workspace(delivery)}


def test_a_domain_that_has_been_at_rest_for_a_day_is_told(client: Client) -> None:
    now, many = timezone.now(), domains.rests_within(timedelta(days=1))
    MailDomain.objects.create(domain="long.example", deferrals=many, answered_at=now)
    MailDomain.objects.create(domain="short.example", deferrals=many - 1, answered_at=now)
    MailDomain.objects.create(domain="former.example", deferrals=many, answered_at=now - timedelta(days=3))
    assert list(alerts(client)) == ["long.example has been asking us to wait for more than a day"]
    viewer = UserFactory.create(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(viewer)
    assert alerts(client) == {}


def test_alerts_take_the_same_queries_whatever_there_is(client: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(6):
        delivery = analysed(draft(2))
        sending.start(delivery, at=timezone.now() - timedelta(hours=1))
        AnalysisRun.objects.update(complaints=9)
        MailDomain.objects.create(domain=f"{number}.example", deferrals=90, answered_at=timezone.now())
    with django_assert_max_num_queries(13):
        found = alerts(client)
    assert len(found) == 6 + 5


def test_a_domain_whose_messages_come_back_is_told_and_leads_to_its_release(client: Client) -> None:
    at = timezone.now() - timedelta(hours=1)
    for number in range(20):
        QuarantinedAddressFactory(value=f"{number}@down.example", quarantined_at=at)
    assert alerts(client) == {}
    figures.watch(timezone.now())
    told = "down.example: 20 addresses were left out within a day (usually none). It may have broken down"
    url = reverse("admin:quarantine_outage_add") + "?domain=down.example"
    assert alerts(client) == {told: url}
    assert client.get(url).context["seen"].count == 20
    viewer = UserFactory.create(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_quarantinedaddress"))
    client.force_login(viewer)
    assert alerts(client) == {told: reverse("admin:quarantine_quarantinedaddress_changelist")}


def test_all_domains_together_are_told_where_none_jumps(client: Client) -> None:
    for number in range(20):
        QuarantinedAddressFactory(value=f"a@d{number}.example")
    figures.watch(timezone.now())
    told = "20 addresses were left out within a day because messages came back (usually none)"
    assert alerts(client) == {told: reverse("admin:quarantine_outage_add")}
