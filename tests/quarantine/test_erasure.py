"""A suppression outlives the person: nothing is left of the address but that it must not be written to."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import analysis, reports
from deliveries import models as sent
from deliveries.exclusions import QUARANTINE_REASONS
from profiles import imports
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.digests import digest
from profiles.models import Address, Profile, Source
from quarantine import erasure, escalation
from quarantine.models import Cause, QuarantinedAddress, QuarantineEvent, Reason, Status
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory, UserFactory
from tests.profiles.importing import NOW, import_

pytestmark = pytest.mark.django_db
SECRETS = ("ann@", "of ann", "example.org", "secret")
BY = Evidence(source=Source.OPERATOR, actor_name="secret emilie", reason="secret reason", delivery_name="secret news")
ANN = "Ann@Example.org"


def target(value: str = ANN) -> escalation.Target:
    key = value.casefold()
    return escalation.Target(Channel.EMAIL, digest(Channel.EMAIL, key), value, key)


def left_out(cause: Cause = Cause.PERSON, *, at: datetime = NOW) -> QuarantinedAddress:
    escalation.quarantine([target()], cause=cause, evidence=BY, at=at, reason=Reason.REFUSED, text="secret text of ann")
    return QuarantinedAddress.objects.get()


def erased(cause: Cause = Cause.PERSON) -> Profile:
    """Leave the address of a person out and erase both."""
    profile = ProfileFactory.create(email=ANN)
    left_out(cause)
    profile.delete()
    assert erasure.forget([target().digest], at=NOW) == 1
    return profile


def everything(model: Any) -> str:
    return str(list(model.objects.values())).casefold()


def test_nothing_personal_is_left_and_all_that_suppresses_is() -> None:
    before = left_out()
    QuarantinedAddressFactory.create(value="other@example.net", text="of another")
    erasure.forget([before.digest], at=NOW)
    row = QuarantinedAddress.objects.get(pk=before.pk)
    assert (row.value, row.key, row.domain, row.text, row.delivery_name) == (None, None, "", "", "")
    kept = ("channel", "status", "cause", "reason", "quarantined_at", "release_at", "created_at")
    assert [getattr(row, name) for name in kept] == [getattr(before, name) for name in kept]
    assert bytes(row.digest) == bytes(before.digest)
    assert row.is_blocking(NOW)
    for model in (QuarantinedAddress, QuarantineEvent):
        assert not [secret for secret in SECRETS if secret in everything(model)]
    assert QuarantinedAddress.objects.exclude(pk=row.pk).get().text == "of another"


def test_it_can_be_said_again_of_many_and_of_nobody(django_assert_max_num_queries: Any) -> None:
    assert erasure.forget([], at=NOW) == 0
    rows = [QuarantinedAddressFactory.create() for _n in range(30)]
    with django_assert_max_num_queries(7):
        assert erasure.forget([bytes(row.digest) for row in rows], at=NOW) == 30
    assert erasure.forget([bytes(row.digest) for row in rows], at=NOW) == 30
    assert not QuarantinedAddress.objects.filter(value__isnull=False).exists()


@pytest.mark.parametrize("cause", list(Cause))
def test_the_address_stays_left_out_when_it_comes_back_and_every_place_says_why(cause: Cause) -> None:
    gone, service = erased(cause), ServiceFactory.create()
    job = import_("email\nann@example.org\nbob@example.org\n", service=service)
    note = job.notes.get()
    assert (note.line, note.code) == (2, f"left_out_{cause.name.lower()}")
    again = Address.objects.get(digest=target().digest).profile
    assert again.pk != gone.pk

    delivery = DeliveryFactory.create(service=service)
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.current_run is not None
    found = reports.waterfall(delivery.current_run)
    assert (found.targeted, found.to_send) == (2, 1)
    assert {line.reason: line.first for line in found.lines if line.first} == {QUARANTINE_REASONS[cause]: 1}
    assert sent.DeliveryLog.objects.get(reason=QUARANTINE_REASONS[cause]).profile_id == again.pk

    client = Client()
    client.force_login(UserFactory.create(admin=True))
    html = client.get(reverse("admin:person", args=[again.pk])).content.decode()
    assert str(Cause(cause).label) in html
    assert target().digest.hex() not in html


def test_the_wish_of_the_person_is_told_as_such() -> None:
    erased(Cause.PERSON)
    note = import_("email\nann@example.org\n").notes.get()
    assert "asked earlier" in str(imports.note_words(note.code).message)


def test_a_later_report_changes_nothing_and_a_return_of_the_person_fills_it_again() -> None:
    erased(Cause.PERSON)
    bare = escalation.Target(Channel.EMAIL, target().digest)
    assert escalation.quarantine([bare], cause=Cause.COMPLAINT, evidence=BY, at=NOW) == 0
    assert QuarantinedAddress.objects.get().value is None
    entry = QuarantinedAddress.objects.get()
    escalation.release([entry], evidence=BY, at=NOW + timedelta(days=1))
    escalation.quarantine([target()], cause=Cause.OPERATOR, evidence=BY, at=NOW + timedelta(days=2))
    entry.refresh_from_db()
    assert (entry.status, entry.value, entry.domain) == (Status.QUARANTINED, ANN, "example.org")
