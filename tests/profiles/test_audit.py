"""Acts of the back-office leave a line that nobody can change."""

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from profiles import audit
from profiles.models import AuditEvent, Profile
from tests.factories import ServiceFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_an_act_says_who_did_what_to_what() -> None:
    service, user, at = ServiceFactory(), UserFactory(username="lea"), timezone.now()
    before = audit.values_of(service)
    service.is_public, service.archived_at = False, at
    old, new = audit.difference(before, audit.values_of(service))
    event = audit.record(audit.Action.ARCHIVED, user, service, at=at, before=old, after=new, reason="Over.")
    event.refresh_from_db()
    assert (event.subject, event.subject_id, event.actor_name) == ("profiles.Service", str(service.pk), "lea")
    assert event.before == {"is_public": True, "archived_at": None}
    assert event.after == {"is_public": False, "archived_at": str(at)}


def test_an_export_says_how_many_rows_it_held() -> None:
    event = audit.record(audit.Action.EXPORTED, UserFactory(), Profile, at=timezone.now(), rows=3)
    assert (event.subject, event.subject_id, event.rows) == ("profiles.Profile", "", 3)


@pytest.mark.parametrize("change", [{"label": "other"}, {"actor_name": "somebody else"}, {"rows": 4}])
def test_it_can_not_be_changed_or_deleted(change: dict[str, object]) -> None:
    event = audit.record(audit.Action.EXPORTED, UserFactory(), Profile, at=timezone.now(), rows=3)
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEvent.objects.filter(pk=event.pk).update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEvent.objects.all().delete()


def test_erasure_may_blank_the_name() -> None:
    event = audit.record(audit.Action.EXPORTED, UserFactory(), Profile, at=timezone.now())
    assert AuditEvent.objects.filter(pk=event.pk).update(actor_name="", reason="") == 1
