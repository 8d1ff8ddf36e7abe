"""The fast ways of PostgreSQL do what the portable ones do."""

from datetime import datetime

import pytest
from django.utils import timezone

from profiles import sql
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, ConsentEvent, Source, UnsealedEvent
from quarantine.models import QuarantinedAddress, Status
from tests.factories import QuarantinedAddressFactory

pytestmark = pytest.mark.django_db
ODD = ["", "\\N", "a\tb\nc\rd", "\\.", '"quoted"', "héhé 😀", "NULL", "x" * 9_000]


def events(at: datetime) -> list[ConsentEvent]:
    evidence = Evidence(source=Source.IMPORT, actor_id=7, actor_name="ann", ip="2001:db8::1", user_agent="B\\rowser")
    bare = [
        evidence.event(Act.OPT_OUT, at, reason=text, digest=bytes(range(n, n + 16)), channel=Channel.SMS)
        for n, text in enumerate(ODD)
    ]
    full = evidence.event(
        Act.SUBSCRIBE, at, profile_id=2**40, service_id=3, service_name="news", expires_at=at, channel=None
    )
    return [*bare, full]


def test_rows_added_by_the_fast_way_are_those_of_the_portable_one_in_the_same_order() -> None:
    at = timezone.now()
    sql.bulk_create(events(at))
    fast = list(ConsentEvent.objects.order_by("pk"))
    ConsentEvent.objects.bulk_create(events(at))
    portable = list(ConsentEvent.objects.order_by("pk"))[len(fast) :]
    names = [field.attname for field in ConsentEvent._meta.concrete_fields if not field.primary_key]
    as_text = [[(name, str(getattr(row, name))) for name in names] for row in fast]
    assert len(fast) == len(ODD) + 1
    assert as_text == [[(name, str(getattr(row, name))) for name in names] for row in portable]
    assert [bytes(row.digest or b"") for row in fast] == [bytes(row.digest or b"") for row in portable]
    assert UnsealedEvent.objects.filter(event_id__in=[row.pk for row in fast]).count() == len(fast)


def test_adding_no_rows_adds_none() -> None:
    sql.bulk_create([])
    assert not ConsentEvent.objects.exists()


def test_rows_changed_by_the_fast_way_are_those_of_the_portable_one() -> None:
    at, names = timezone.now(), ("value", "cause", "errors", "last_error_at", "text", "status")
    written = [
        QuarantinedAddressFactory.create(text="before", digest=bytes(range(n, n + 16))) for n in range(len(ODD) + 2)
    ]
    for row, text in zip(written, ODD, strict=False):
        row.text, row.value, row.errors, row.last_error_at = text[:500], text[:500] or None, 3, at
    odd = written[len(ODD)]
    odd.status, odd.cause, odd.delivery_name = Status.VALID, None, "not among the names"
    sql.bulk_update(written[:-1], names)
    found = list(QuarantinedAddress.objects.order_by("pk"))
    wanted = [[getattr(row, name) for name in names] for row in written]
    assert [[getattr(row, name) for name in names] for row in found] == wanted
    assert [bytes(row.digest) for row in found] == [bytes(row.digest) for row in written]
    assert not found[len(ODD)].delivery_name
    sql.bulk_update([], names)
