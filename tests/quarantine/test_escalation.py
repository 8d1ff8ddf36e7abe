"""What is learnt about an address: errors counted, quarantined, released, forgotten."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.digests import digest
from profiles.models import Act, ConsentEvent, Source
from quarantine import escalation, failures
from quarantine.escalation import Target
from quarantine.failures import Failure, Kind
from quarantine.models import Cause, QuarantinedAddress, QuarantineEvent, Reason, Status
from tests.factories import QuarantinedAddressFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now()
BY = Evidence(source=Source.BOUNCE, delivery_id=3, delivery_name="Spring")
WHO = Target(Channel.EMAIL, digest(Channel.EMAIL, "a@example.org"), "A@example.org", "a@example.org")
HARD = Failure(Kind.HARD, Reason.USER_UNKNOWN)
SOFT = Failure(Kind.SOFT, Reason.UNREACHABLE)
FULL = Failure(Kind.SOFT, Reason.MAILBOX_FULL)
DAY = timedelta(days=1)


def fail(failure: Failure, *, after: timedelta = timedelta(0), text: str = "") -> None:
    escalation.note_failure(WHO, failure, evidence=BY, at=NOW + after, text=text)


def entry() -> QuarantinedAddress:
    return QuarantinedAddress.objects.get(digest=WHO.digest)


def test_a_hard_failure_quarantines_at_once_with_its_history_and_its_event() -> None:
    fail(HARD, text="550 5.1.1 No such user")
    row = entry()
    assert (row.status, row.cause, row.reason) == (Status.QUARANTINED, Cause.BOUNCE, Reason.USER_UNKNOWN)
    assert (row.value, row.text, row.release_at) == ("A@example.org", "550 5.1.1 No such user", None)
    assert QuarantineEvent.objects.get(entry_id=row.pk).delivery_id == 3
    event = ConsentEvent.objects.get()
    assert (event.act, event.channel, bytes(event.digest or b"")) == (Act.QUARANTINE, Channel.EMAIL, WHO.digest)


def test_the_fifth_soft_failure_quarantines_when_each_is_a_day_after_the_last() -> None:
    for day in range(4):
        fail(SOFT, after=day * DAY)
        assert (entry().status, entry().errors) == (Status.ERRONEOUS, day + 1)
        assert not entry().is_blocking(NOW + day * DAY)
    fail(SOFT, after=4 * DAY)
    assert (entry().status, entry().errors) == (Status.QUARANTINED, 5)
    assert QuarantinedAddress.objects.blocking(NOW + 4 * DAY).exists()


def test_failures_within_a_day_count_once() -> None:
    for hour in range(20):
        fail(SOFT, after=timedelta(hours=hour))
    assert entry().errors == 1


def test_ten_days_without_a_failure_start_the_count_again() -> None:
    for day in (0, 1, 2, 12):
        fail(SOFT, after=day * DAY)
    assert entry().errors == 1


def test_a_success_forgets_the_errors() -> None:
    fail(SOFT)
    escalation.note_success(WHO, evidence=BY, at=NOW)
    assert (entry().status, entry().errors) == (Status.VALID, 0)


def test_what_is_not_the_fault_of_the_address_is_not_noted() -> None:
    fail(Failure(Kind.IGNORED, Reason.REFUSED))
    assert not QuarantinedAddress.objects.exists()


def test_a_full_mailbox_is_written_to_again_after_thirty_days() -> None:
    for day in range(5):
        fail(FULL, after=day * DAY)
    row = entry()
    assert row.release_at == NOW + 34 * DAY
    assert row.is_blocking(NOW + 33 * DAY)
    assert not row.is_blocking(NOW + 34 * DAY)
    assert not QuarantinedAddress.objects.blocking(NOW + 34 * DAY).exists()


@pytest.mark.parametrize("cause", list(Cause))
def test_an_allowlisted_address_yields_to_people_and_not_to_machines(cause: Cause) -> None:
    QuarantinedAddressFactory.create(value="a@example.org", status=Status.ALLOWLISTED, cause=None, quarantined_at=None)
    escalation.quarantine([WHO], cause=cause, evidence=BY, at=NOW)
    wins = cause in (Cause.COMPLAINT, Cause.PERSON, Cause.OPERATOR, Cause.STOP)
    assert (entry().status == Status.QUARANTINED) == wins


def test_quarantining_again_changes_nothing_and_writes_nothing() -> None:
    assert escalation.quarantine([WHO, WHO], cause=Cause.OPERATOR, evidence=BY, at=NOW) == 1
    assert escalation.quarantine([WHO], cause=Cause.OPERATOR, evidence=BY, at=NOW) == 0
    assert QuarantineEvent.objects.count() == 1


def test_a_release_is_written_with_its_reason() -> None:
    escalation.quarantine([WHO], cause=Cause.BOUNCE, evidence=BY, at=NOW)
    why = Evidence(source=Source.OPERATOR, actor_name="emilie", reason="The provider was down")
    assert escalation.release([entry()], evidence=why, at=NOW) == 1
    assert escalation.release([entry()], evidence=why, at=NOW) == 0
    assert entry().status == Status.VALID
    assert QuarantineEvent.objects.latest("pk").note == "The provider was down"
    assert ConsentEvent.objects.latest("pk").act == Act.RELEASE


def test_many_addresses_take_few_queries_each(django_assert_max_num_queries: Any) -> None:
    targets = [
        Target(Channel.EMAIL, digest(Channel.EMAIL, f"{n}@example.org"), f"{n}@example.org", f"{n}@example.org")
        for n in range(40)
    ]
    with django_assert_max_num_queries(40 * 3 + 10):
        assert escalation.quarantine(targets, cause=Cause.IMPORT, evidence=BY, at=NOW) == 40


@pytest.mark.parametrize(
    ("code", "text", "kind", "reason"),
    [
        (550, "5.1.1 <a@b.example>: Recipient address rejected: User unknown", Kind.HARD, Reason.USER_UNKNOWN),
        (550, "No such user here", Kind.HARD, Reason.USER_UNKNOWN),
        (550, "5.1.2 Host unknown", Kind.HARD, Reason.INVALID_DOMAIN),
        (556, "5.1.10 Recipient address has null MX", Kind.HARD, Reason.INVALID_DOMAIN),
        (550, "5.2.1 The email account that you tried to reach is disabled", Kind.HARD, Reason.ACCOUNT_DISABLED),
        (452, "4.2.2 Mailbox full", Kind.SOFT, Reason.MAILBOX_FULL),
        (552, "5.2.2 Over quota", Kind.SOFT, Reason.MAILBOX_FULL),
        (550, "5.7.1 Message rejected due to content restrictions", Kind.IGNORED, Reason.REFUSED),
        (554, "5.7.26 DMARC", Kind.IGNORED, Reason.REFUSED),
        (550, "Blocked: see our policy, user unknown to our reputation service", Kind.IGNORED, Reason.REFUSED),
        (552, "5.3.4 Message too big", Kind.IGNORED, Reason.REFUSED),
        (553, "5.1.8 Sender address rejected", Kind.IGNORED, Reason.REFUSED),
        (451, "4.4.1 No answer from host", Kind.SOFT, Reason.UNREACHABLE),
        (550, "Requested action not taken", Kind.SOFT, Reason.NOT_DEFINED),
        (599, "???", Kind.SOFT, Reason.NOT_DEFINED),
    ],
)
def test_answers_are_told_apart(code: int, text: str, kind: Kind, reason: Reason) -> None:
    failure = failures.classify(code, text)
    assert (failure.kind, failure.reason) == (kind, reason)
