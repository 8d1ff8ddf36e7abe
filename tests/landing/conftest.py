"""Somebody who receives something: for the tests of the page of preferences and of its history."""

from datetime import timedelta

import pytest
from django.utils import timezone

from profiles import consent
from profiles.models import (
    Profile,
    Service,
)
from tests.factories import ProfileFactory, ServiceFactory
from tests.landing.preferring import OPERATOR


@pytest.fixture
def garden() -> Service:
    service: Service = ServiceFactory.create(
        name="garden", label={"en": "Garden news", "fr": "Nouvelles du jardin"},
        description={"en": "Once a month.", "fr": "Une fois par mois."},
    )  # fmt: skip
    return service


@pytest.fixture
def bees(garden: Service) -> Service:
    service: Service = ServiceFactory.create(name="bees", label={"en": "Bees", "fr": "Abeilles"})
    return service


@pytest.fixture
def zoe(garden: Service, bees: Service) -> Profile:
    """Somebody subscribed to one of two services, with an email address and a phone."""
    person: Profile = ProfileFactory.create(email="Zoe@example.org", sms="+33639980001")
    consent.subscribe([person.pk], garden, evidence=OPERATOR, at=timezone.now() - timedelta(days=3))
    return person
