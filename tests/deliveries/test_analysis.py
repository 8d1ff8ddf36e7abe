"""The analysis: who is left out and why, whatever happens to the task that does it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deliveries import analysis, reports
from deliveries.exclusions import reasons_of
from deliveries.models import AnalysisRun, Delivery, DeliveryLog, LogStatus, MessageClass, Reason, State, Target
from profiles.channels import Channel
from profiles.models import Subscription
from quarantine.models import Cause, Status
from tests.deliveries.oracle import judge
from tests.factories import (
    DeliveryFactory,
    ProfileFactory,
    QuarantinedAddressFactory,
    ServiceFactory,
    add_address,
)

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def run_analysis(delivery: Delivery) -> AnalysisRun:
    run = analysis.start(delivery, at=timezone.now())
    while analysis.work(delivery.pk):
        pass
    run.refresh_from_db()
    delivery.refresh_from_db()
    return run


def found(run: AnalysisRun) -> dict[int, tuple[Reason, frozenset[Reason]]]:
    return {
        row.profile_id: (Reason(row.reason), reasons_of(row.reasons)) for row in DeliveryLog.objects.filter(run=run)
    }


PERSON = st.fixed_dictionaries(
    {
        "email": st.sampled_from(
            [None, "a@example.org", "A@example.org", "b@example.org", "c@example.org", "not an address"]
        ),
        "sms": st.sampled_from([None, "+33639980001", "06 39 98 00 01", "+33639980002"]),
        "subscribed": st.sampled_from([None, "for good", "still", "over"]),
        "flags": st.sets(st.sampled_from(["blacklisted", "blacklisted_email", "blacklisted_sms"])),
    }
)
ENTRY = st.fixed_dictionaries(
    {
        "value": st.sampled_from(["a@example.org", "b@example.org", "+33639980001", "z@example.org"]),
        "status": st.sampled_from(list(Status)),
        "cause": st.sampled_from(list(Cause)),
        "release": st.sampled_from([None, timedelta(days=1), timedelta(days=-1)]),
    }
)


def populate(people: list[dict[str, Any]], entries: list[dict[str, Any]], service: Any) -> None:
    for drawn in people:
        person = ProfileFactory.create(email="", **dict.fromkeys(drawn["flags"], True))
        for channel, name in ((Channel.EMAIL, "email"), (Channel.SMS, "sms")):
            if drawn[name]:
                add_address(person, channel, drawn[name])
        if drawn["subscribed"]:
            expires = {"for good": None, "still": NOW + timedelta(days=1), "over": NOW - timedelta(days=1)}
            Subscription.objects.create(
                service=service, profile=person, source="import", expires_at=expires[drawn["subscribed"]]
            )
    for drawn in {entry["value"]: entry for entry in entries}.values():
        channel = Channel.EMAIL if "@" in drawn["value"] else Channel.SMS
        QuarantinedAddressFactory.create(
            channel=channel, value=drawn["value"], status=drawn["status"], cause=drawn["cause"],
            release_at=NOW + drawn["release"] if drawn["release"] else None,
        )  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people=st.lists(PERSON, max_size=9),
    entries=st.lists(ENTRY, max_size=4),
    channel=st.sampled_from([Channel.EMAIL, Channel.SMS]),
    target=st.sampled_from([Target.SERVICE, Target.EVERYBODY]),
    message_class=st.sampled_from(list(MessageClass)),
    step=st.sampled_from([1, 3, 1000]),
    lease=st.sampled_from([1, 2, 1000]),
)
def test_sql_and_oracle_agree_for_any_population(
    db: None, settings: Any, people: Any, entries: Any, channel: Channel, target: Target, message_class: str,
    step: int, lease: int,
) -> None:  # fmt: skip
    from django.db import transaction

    with transaction.atomic():
        service = ServiceFactory.create(channel=channel)
        populate(people, entries, service)
        delivery = DeliveryFactory.create(
            service=service, channel=channel, target=target, message_class=message_class, contents=False
        )
        settings.ANALYSIS_RANGE, settings.LEASE_SIZE = step, lease
        run = run_analysis(delivery)
        assert found(run) == judge(delivery, run.at)
        rows = DeliveryLog.objects.filter(run=run)
        table = reports.waterfall(run)
        assert table.targeted == len(rows) == sum(reports.outcomes(run).values())
        assert table.to_send == rows.filter(status=LogStatus.PENDING).count()
        for line in table.lines:
            assert line.first == rows.filter(reason=line.reason).count()
            assert line.in_all == sum(line.reason in reasons_of(row.reasons) for row in rows)
        assert delivery.state == State.ANALYSED
        transaction.set_rollback(True)
