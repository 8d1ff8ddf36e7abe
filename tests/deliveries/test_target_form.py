"""The target of a delivery in its form: what is offered, and what does not go together."""

from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries.models import Audience, Delivery, PeopleList, Target, Typology
from tests.deliveries.test_admin import form_of
from tests.factories import DeliveryFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(UserFactory.create(admin=True))
    return client


@pytest.fixture
def delivery() -> Delivery:
    return DeliveryFactory.create()


def save(client: Client, delivery: Delivery, **changes: Any) -> str:
    """Send the form; return the page that comes back, or nothing when it was saved."""
    url = reverse("admin:deliveries_delivery_change", args=[delivery.pk])
    answer = client.post(url, form_of(delivery, **changes))
    delivery.refresh_from_db()
    return "" if answer.status_code == 302 else unescape(answer.content.decode())


def test_a_delivery_goes_to_an_audience_or_a_list(client: Client, delivery: Delivery) -> None:
    audience, guests = Audience.objects.create(name="Readers"), PeopleList.objects.create(name="Guests")
    rules = Typology.objects.create(name="Careful rules")
    chosen = {"typology": rules.pk, "addresses": "every", "control_percent": "12.5", "size_limit": "100"}
    assert save(client, delivery, target="audience", audience=audience.pk, **chosen) == ""
    assert (delivery.target, delivery.audience, delivery.typology) == (Target.AUDIENCE, audience, rules)
    assert (delivery.addresses, float(delivery.control_percent or 0), delivery.size_limit) == ("every", 12.5, 100)
    assert save(client, delivery, target="list", people_list=guests.pk, addresses="every", control_count="5") == ""
    assert (delivery.target, delivery.people_list, delivery.control_count) == (Target.LIST, guests, 5)
    assert (delivery.control_percent, delivery.size_limit, delivery.typology) == (None, None, None)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"target": "audience"}, "Choose the audience that is to get it."),
    ({"target": "list"}, "Choose the list of people that are to get it."),
    ({"control_percent": "101"}, "Write a percentage between 0 and 100."),
    ({"control_percent": "-1"}, "Write a percentage between 0 and 100."),
    ({"control_percent": "10", "control_count": "10"}, "Give a percentage or a number of people, not both."),
    ({"size_limit": "0"}, "With 0, nobody would get it."),
]


@pytest.mark.parametrize(("changes", "told"), WRONG)
def test_what_does_not_go_together_is_refused_at_its_field(
    client: Client, delivery: Delivery, changes: Any, told: str
) -> None:
    assert told in save(client, delivery, **changes)


@pytest.mark.parametrize(
    ("model", "name"), [(Audience, "audience"), (PeopleList, "people_list"), (Typology, "typology")]
)
def test_what_is_archived_is_offered_where_it_is_chosen_already(
    client: Client, delivery: Delivery, model: Any, name: str
) -> None:
    chosen, other, opened = (model.objects.create(name=f"{word} thing") for word in ("Chosen", "Other", "Open"))
    model.objects.filter(pk__in=[chosen.pk, other.pk]).update(archived_at=timezone.now())
    Delivery.objects.filter(pk=delivery.pk).update(**{f"{name}_id": chosen.pk})
    html = client.get(reverse("admin:deliveries_delivery_change", args=[delivery.pk])).content.decode()
    assert "Chosen thing" in html
    assert "Open thing" in html
    assert "Other thing" not in html
    assert "Chosen thing" not in client.get(reverse("admin:deliveries_delivery_add")).content.decode()
    delivery.refresh_from_db()
    refused = "Select a valid choice. That choice is not one of the available choices."
    assert refused in save(client, delivery, **{name: other.pk})
    assert save(client, delivery, **{name: opened.pk}) == ""
