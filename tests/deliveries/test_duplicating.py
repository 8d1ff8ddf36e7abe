"""A duplicate has the content and the settings of a delivery, and nothing of what became of it."""

from typing import Any

import pytest
import time_machine
from django.utils.translation import override

from deliveries import duplicating
from deliveries.models import (
    Delivery,
    State,
)
from tests.deliveries.test_scheduling import NOW, scheduled
from tests.factories import DeliveryFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def travel() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def test_a_duplicate_has_the_content_and_the_settings_and_nothing_of_what_became_of_it(travel: Any) -> None:
    delivery = scheduled(2)
    Delivery.objects.filter(pk=delivery.pk).update(size_limit=7, control_percent=5, in_doubt_policy="resend")
    delivery.refresh_from_db()
    copy = duplicating.duplicate(delivery, by=UserFactory.create(username="marion"))
    copy = Delivery.objects.get(pk=copy.pk)
    assert copy.label == f"Copy of {delivery.label}"
    assert (copy.state, copy.scheduled_at, copy.approved, copy.current_run) == (State.DRAFT, None, None, None)
    assert (copy.size_limit, copy.control_percent, copy.in_doubt_policy) == (7, 5, "resend")
    assert (copy.service, copy.brand, copy.target) == (delivery.service, delivery.brand, delivery.target)
    assert copy.created_by is not None
    assert copy.created_by.username == "marion"
    assert copy.salt != delivery.salt
    assert (copy.version, copy.runs.count()) == (1, 0)
    words = ("language", "subject", "html", "text")
    assert list(copy.contents.values_list(*words)) == list(delivery.contents.values_list(*words))
    assert delivery.contents.count() == 2
    with override("fr"):
        assert duplicating.duplicate(delivery, by=None).label == f"Copie de {delivery.label}"


def test_the_name_of_a_duplicate_fits() -> None:
    delivery = DeliveryFactory.create(label="x" * 200)
    assert len(duplicating.duplicate(delivery, by=None).label) == 200
