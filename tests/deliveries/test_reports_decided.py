"""Reports that wait: a person accepts or dismisses them, once, and says why."""

import pytest
from django.utils import timezone

from deliveries import reported
from deliveries.models import DeliveryLog
from deliveries.reported import Outcome
from profiles.consent import Evidence
from profiles.models import Source
from quarantine.inbound import reports
from quarantine.models import Cause, QuarantinedAddress, QuarantineEvent, Reason, Report, ReportState, Status

from .reporting import FULL, arf, come, dsn, history, left_out, sent_rows, text

pytestmark = pytest.mark.django_db
A, B, C = "a@example.org", "b@example.org", "c@example.org"
BY = Evidence(source=Source.OPERATOR, actor_name="emilie", reason="I called them")


@pytest.fixture
def rows() -> dict[str, DeliveryLog]:
    return sent_rows(A, B, C)


def test_accepting_a_report_acts_on_whom_it_names_and_says_who_vouched_for_it(rows: dict[str, DeliveryLog]) -> None:
    come(dsn(A, B))
    report = Report.objects.get()
    assert report.raw
    assert reported.accept(report, evidence=BY, at=timezone.now())
    assert left_out() == {A: Cause.BOUNCE, B: Cause.BOUNCE}
    report.refresh_from_db()
    assert (report.state, report.decided_by, report.note) == (ReportState.ACCEPTED, "emilie", "I called them")
    assert report.decided_at
    event = QuarantineEvent.objects.earliest("pk")
    assert (event.source, event.actor_name, event.note) == (Source.OPERATOR, "emilie", "I called them")
    before = history()
    QuarantinedAddress.objects.update(status=Status.VALID)
    assert not reported.accept(report, evidence=BY, at=timezone.now())
    assert not reported.dismiss(report, evidence=BY, at=timezone.now())
    assert (left_out(), history()) == ({}, before)


def test_accepting_a_complaint_leaves_the_address_out_for_it(rows: dict[str, DeliveryLog]) -> None:
    come(arf(A))
    assert reported.accept(Report.objects.get(), evidence=BY, at=timezone.now())
    assert left_out() == {A: Cause.COMPLAINT}


def test_accepting_a_soft_error_counts_it(rows: dict[str, DeliveryLog]) -> None:
    come(dsn(A, says=FULL))
    reported.accept(Report.objects.get(), evidence=BY, at=timezone.now())
    entry = QuarantinedAddress.objects.get()
    assert (entry.status, entry.errors, entry.reason) == (Status.ERRONEOUS, 1, Reason.MAILBOX_FULL)


def test_a_dismissed_report_stays_dismissed_when_it_comes_again() -> None:
    come(dsn(A))
    assert reported.dismiss(Report.objects.get(), evidence=BY, at=timezone.now())
    assert come(dsn(A, way="other"))[0].outcome == Outcome.REPEATED
    assert Report.objects.get().state == ReportState.DISMISSED
    assert left_out() == {}


def test_what_a_report_says_survives_being_stored() -> None:
    for raw in (dsn(A), dsn(A, says=FULL), dsn(A, action="delayed"), text(A), arf(A)):
        for who in reports.understand(raw).recipients:
            again = reported.recipient_of(reported.as_json(who))
            assert reported.as_json(again) == reported.as_json(who)
            assert (again.failure and again.failure.kind) == (who.failure and who.failure.kind)
