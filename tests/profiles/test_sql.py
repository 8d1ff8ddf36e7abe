"""The fast ways of PostgreSQL do what the portable ones do."""

from datetime import datetime

import pytest
from django.utils import timezone

from profiles import sql
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, ConsentEvent, Source, UnsealedEvent

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
