"""The form of a delivery: whom it is for, what limits it, and what is refused with a remedy."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deliveries import analysis
from deliveries.models import Audience, Delivery, PeopleList, State, Target, Typology
from tests.factories import DeliveryFactory, ProfileFactory, UserFactory

pytestmark = pytest.mark.django_db
FRENCH = {"all": [{"field": "language", "op": "in", "value": ["fr"]}]}


@pytest.fixture
def client() -> Client:
    user, client = UserFactory.create(), Client()
    user.groups.add(Group.objects.get(name="marketer"))
    client.force_login(user)
    return client


@pytest.fixture
def delivery() -> Delivery:
    return DeliveryFactory.create()


@pytest.fixture
def readers() -> Audience:
    return Audience.objects.create(name="Readers", criteria=FRENCH)


@pytest.fixture
def guests() -> PeopleList:
    return PeopleList.objects.create(name="Guests")


def change_url(delivery: Delivery) -> str:
    return reverse("admin:deliveries_delivery_change", args=[delivery.pk])


def posted(delivery: Delivery, **changes: Any) -> dict[str, Any]:
    data = {
        "label": delivery.label, "brand": delivery.brand_id, "channel": delivery.channel, "target": delivery.target,
        "service": delivery.service_id, "addresses": delivery.addresses, "message_class": delivery.message_class,
        "in_doubt_policy": delivery.in_doubt_policy, "seen_version": delivery.version,
        "audience": delivery.audience_id or "", "people_list": delivery.people_list_id or "",
    }  # fmt: skip
    return {**data, **changes}


def save(client: Client, delivery: Delivery, **changes: Any) -> dict[str, list[str]]:
    """Send the form; return its errors, {} once it is saved."""
    answer = client.post(change_url(delivery), posted(delivery, **changes))
    delivery.refresh_from_db()
    if answer.status_code == 302:
        return {}
    errors: dict[str, list[str]] = answer.context["adminform"].form.errors
    return errors


def test_a_delivery_can_be_for_an_audience_or_a_list(
    client: Client, delivery: Delivery, readers: Audience, guests: PeopleList
) -> None:
    service = delivery.service
    assert save(client, delivery, target="audience", audience=readers.pk, addresses="every") == {}
    assert (delivery.target, delivery.audience, delivery.addresses) == (Target.AUDIENCE, readers, "every")
    assert save(client, delivery, target="list", people_list=guests.pk) == {}
    assert (delivery.target, delivery.people_list) == (Target.LIST, guests)
    assert delivery.audience is None  # it is not used any more, and can be deleted
    assert delivery.service == service  # what people leave by opting out


REFUSED = [
    ({"target": "service", "service": ""}, "service", "Choose the service"),
    ({"target": "audience"}, "audience", "Choose the audience"),
    ({"target": "list"}, "people_list", "Choose the list of people"),
    ({"control_percent": "101"}, "control_percent", "from 0 to 100"),
    ({"control_percent": "-1"}, "control_percent", "from 0 to 100"),
    ({"control_percent": "10", "control_count": "5"}, "control_count", "leave the other empty"),
    ({"size_limit": "0"}, "size_limit", "Write 1 or more"),
    ({"audience": "987654", "target": "audience"}, "audience", "Select a valid choice"),
]


@pytest.mark.parametrize(("changes", "field", "told"), REFUSED)
def test_what_cannot_be_is_refused_with_a_remedy_and_nothing_is_saved(
    client: Client, delivery: Delivery, changes: dict[str, Any], field: str, told: str
) -> None:
    errors = save(client, delivery, label="Another name", **changes)
    assert list(errors) == [field]  # no word of the database's own
    assert told in errors[field][0]
    assert delivery.label != "Another name"


def test_everybody_needs_nothing(client: Client, delivery: Delivery) -> None:
    assert save(client, delivery, target="everybody", service="") == {}
    assert (delivery.target, delivery.service) == (Target.EVERYBODY, None)


def test_a_control_group_and_a_limit_are_kept(client: Client, delivery: Delivery) -> None:
    rules = Typology.objects.create(name="Strict")
    assert save(client, delivery, control_percent="12.5", size_limit="1000", typology=rules.pk) == {}
    assert (str(delivery.control_percent), delivery.size_limit, delivery.typology) == ("12.50", 1000, rules)


def test_what_is_archived_is_offered_only_where_it_is_chosen(
    client: Client, readers: Audience, guests: PeopleList
) -> None:
    rules = Typology.objects.create(name="Strict")
    chosen = DeliveryFactory.create(target=Target.AUDIENCE, audience=readers, people_list=guests, typology=rules)
    for one in (readers, guests, rules):
        type(one).objects.filter(pk=one.pk).update(archived_at=timezone.now())

    def offered(url: str) -> list[bool]:
        form = client.get(url).context["adminform"].form
        pairs = (("audience", readers), ("people_list", guests), ("typology", rules))
        return [one in form.fields[name].queryset for name, one in pairs]

    assert offered(reverse("admin:deliveries_delivery_add")) == [False] * 3
    assert offered(change_url(DeliveryFactory.create())) == [False] * 3
    assert offered(change_url(chosen)) == [True] * 3
    assert save(client, chosen, label="Renamed", typology=rules.pk) == {}
    assert chosen.label == "Renamed"
    other = DeliveryFactory.create()
    assert "audience" in save(client, other, target="audience", audience=readers.pk)


def test_changing_the_target_voids_the_analysis(client: Client, delivery: Delivery, readers: Audience) -> None:
    ProfileFactory.create(services=[delivery.service])
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    assert save(client, delivery) == {}
    assert delivery.state == State.ANALYSED
    assert save(client, delivery, target="audience", audience=readers.pk) == {}
    assert (delivery.state, delivery.current_run) == (State.DRAFT, None)


def test_the_form_takes_as_many_queries_however_much_there_is_to_choose(client: Client, delivery: Delivery) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(change_url(delivery))
        return len(captured)

    before = queries()
    for number in range(5):
        Audience.objects.create(name=f"Audience {number}", criteria=FRENCH)
        PeopleList.objects.create(name=f"List {number}")
        Typology.objects.create(name=f"Rules {number}")
    assert queries() == before
