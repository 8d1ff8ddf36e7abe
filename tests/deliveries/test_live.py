"""What people see while a delivery is being sent, and what they do about messages of unknown outcome."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries import domains, reports, sending
from deliveries.admin import live
from deliveries.held import Held, held
from deliveries.models import (
    Delivery,
    DeliveryLog,
    Lease,
    MailDomain,
    Reason,
    RunDomain,
    SendingMinute,
    State,
)
from deliveries.reports import Drift
from profiles.models import AuditEvent
from tests.deliveries.test_doubt import Lost
from tests.deliveries.working import (
    S,
    Slow,
    analysed,
    buttons,
    draft,
    marketer,
    ok,
    only_noted,
    sent,
    shown,
    url,
    words,
)
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return marketer()


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    return only_noted(monkeypatch)


def under_way(people: int = 6, *, done: int = 2, started: timedelta = timedelta(minutes=2)) -> Delivery:
    """Return a delivery that is being sent, of which some messages have left and a worker holds the lease."""
    now = timezone.now()
    delivery = analysed(draft(people))
    sending.start(delivery, at=now - started)
    Lease.objects.filter(run=delivery.current_run).update(
        pending=people - done, sent=done, owner="w", expires_at=now + timedelta(seconds=119)
    )
    return delivery


def seen(client: Client, delivery: Delivery) -> str:
    return words(shown(client, delivery, "live"))


# -- how long it still takes -----------------------------------------------------------------------------------------


def test_messages_that_wait_for_a_new_try_count_in_the_time_left(client: Client) -> None:
    delivery = under_way(6, done=2)
    assert "about 4 minutes left" in seen(client, delivery)
    later = timezone.now() + timedelta(minutes=50)
    Lease.objects.update(pending=F("pending") - 1, retry=1, not_before=later)
    told = seen(client, delivery)
    assert "about 50 minutes left" in told
    assert "1 message waits to be tried again: at" in told


def test_a_mail_domain_at_rest_counts_in_the_time_left(client: Client) -> None:
    delivery = under_way(6, done=2)
    now = timezone.now()
    Lease.objects.update(not_before=now + timedelta(seconds=40))
    RunDomain.objects.create(run=delivery.current_run, domain="slow.example", deferred=5, trouble=5, answer="451 later")
    MailDomain.objects.create(domain="slow.example", deferrals=3, not_before=now + timedelta(minutes=30))
    told = seen(client, delivery)
    assert "about 30 minutes left" in told
    assert "Some messages wait for their mail domain" in told


# -- who was left out since the analysis -----------------------------------------------------------------------------


def test_who_was_left_out_since_the_analysis_is_told_by_kind() -> None:
    found = [
        Drift(Reason.BLACKLISTED, 4), Drift(Reason.BLACKLISTED_CHANNEL, 10), Drift(Reason.UNSUBSCRIBED, 1),
        Drift(Reason.QUARANTINED_BOUNCE, 1), Drift(Reason.QUARANTINED_PERSON, 1), Drift(Reason.PROFILE_GONE, 2),
    ]  # fmt: skip
    assert live.drift(found) == (
        "15 opt-outs, 2 addresses not in use, 2 for another reason (No longer in the database)"
    )
    assert live.drift([Drift(Reason.UNSUBSCRIBED, 1)]) == "1 opt-out"


# -- mail domains ----------------------------------------------------------------------------------------------------


def test_the_worst_mail_domains_are_shown_with_where_they_stand(client: Client) -> None:
    delivery = under_way()
    run, until = delivery.current_run, timezone.now() + timedelta(minutes=20)
    RunDomain.objects.create(run=run, domain="rests.example", sent=3, deferred=7, trouble=7, answer="421 too fast")
    RunDomain.objects.create(run=run, domain="blocks.example", blocked=2, failed=1, trouble=3, answer="550 listed")
    RunDomain.objects.create(run=run, domain="fine.example", sent=90)
    RunDomain.objects.create(run=run, domain="mostly.example", sent=90, failed=1, trouble=1, answer="550 <b>no</b>")
    MailDomain.objects.create(domain="rests.example", deferrals=1, not_before=until)
    told = seen(client, delivery)
    assert told.index("rests.example") < told.index("blocks.example") < told.index("mostly.example")
    assert "fine.example" not in told
    assert "rests.example 3 0 7 0 Waits until" in told
    assert "421 too fast" in told
    assert "blocks.example 0 1 0 2 Has taken none 550 listed" in told
    assert "mostly.example 90 1 0 0 Takes messages 550 <b>no</b>" in told
    assert "<b>no</b>" not in shown(client, delivery, "live")


# -- a pause says why ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "why", "todo"),
    [
        (held(Held.HARD, number=30, of=400), "30 of 400 addresses do not exist", "See the addresses that were refused"),
        (held(Held.COMPLAINTS, number=9, of=2000), "9 of 2,000 people reported", "See whom it is for"),
        (held(Held.BLOCKED, number=10), "10 times, a receiving side refused us", "See what the mail domains answer"),
        ("550 5.7.1 not you", "It answered: 550 5.7.1 not you", "Then press “Go on”"),
        ("", "Somebody has paused it. 4 messages are still to go.", "None of them leaves before"),
    ],
)
def test_a_paused_delivery_says_why_and_what_to_do(client: Client, error: str, why: str, todo: str) -> None:
    delivery = under_way(6, done=2)
    Delivery.objects.update(state=State.PAUSED, error=error)
    told = seen(client, delivery)
    assert why in told
    assert todo in told
    assert told.count(why) == 1
    answer = client.get(url("live", delivery.pk))
    assert answer["X-Moving"] == "no"


# -- buttons ---------------------------------------------------------------------------------------------------------


def test_pause_and_stop_say_how_many_may_still_leave(client: Client, settings: Any) -> None:
    settings.SENDING_TASKS, settings.SENDING_CONNECTIONS, settings.HAND_OFF_GROUP = 2, 4, 5
    delivery = under_way()
    assert buttons(client, delivery)[:2] == ["Pause", "Stop for good"]
    told = words(shown(client, delivery))
    assert told.count("At most 40 messages that are already leaving may still arrive.") == 3
    told = words(client.post(url("do", delivery.pk, "pause"), follow=True).content.decode())
    assert "Paused. At most 40 messages that are already leaving may still arrive." in told
    assert "4 messages still to go leave from now on." in told
    settings.SENDING_TASKS, settings.SENDING_CONNECTIONS, settings.HAND_OFF_GROUP = 1, 1, 1
    client.post(url("do", delivery.pk, "resume"))
    assert "At most 1 message that is already leaving may still arrive." in words(shown(client, delivery))


def test_no_button_takes_up_a_finished_delivery(client: Client) -> None:
    delivery = sent(draft())
    assert buttons(client, delivery) == ["Duplicate"]
    client.post(url("do", delivery.pk, "resume"))
    client.post(url("do", delivery.pk, "send"))
    assert Delivery.objects.get().state == State.FINISHED


# -- the page of messages of unknown outcome -------------------------------------------------------------------------


def doubtful(many: int = 2, people: int = 3) -> Delivery:
    return sent(draft(people), Lost(many))


def rows() -> list[int]:
    return list(DeliveryLog.objects.filter(status=S.IN_DOUBT).order_by("profile").values_list("pk", flat=True))


def post(client: Client, delivery: Delivery, **data: Any) -> str:
    answer = client.post(url("doubt", delivery.pk), data, follow=True)
    assert answer.status_code == 200
    return words(answer.content.decode())


def test_the_workspace_leads_to_the_messages_of_unknown_outcome(client: Client) -> None:
    delivery = doubtful()
    assert url("doubt", delivery.pk) in shown(client, delivery)
    told = words(shown(client, delivery, "doubt"))
    for address in DeliveryLog.objects.filter(status=S.IN_DOUBT).values_list("address", flat=True):
        assert address in told
    assert told.count("The line broke before the mail server answered. (connection lost after the message)") == 2
    assert told.count("Identifier: <") == 2
    assert "All: 2 messages" in told


def test_a_message_whose_worker_died_says_what_is_known(client: Client) -> None:
    delivery = doubtful(1)
    DeliveryLog.objects.filter(status=S.IN_DOUBT).update(answer="")
    assert "The worker stopped while it was leaving" in words(shown(client, delivery, "doubt"))


def test_nothing_is_done_before_the_consequences_are_agreed_to(
    client: Client, rung: list[tuple[str, int]], django_capture_on_commit_callbacks: Any
) -> None:
    delivery = doubtful()
    rung.clear()
    told = post(client, delivery, to="again", row=rows()[:1])
    assert "Send 1 message again?" in told
    assert "whoever has opted out since does not get it" in told
    assert "may get it twice" in told
    assert "The delivery, which had finished, is being sent again" in told
    assert len(rows()) == 2
    with django_capture_on_commit_callbacks(execute=True):
        told = post(client, delivery, to="again", row=rows()[:1], agreed="yes")
    assert "1 message is sent again." in told
    assert len(rows()) == 1
    assert rung == [("send_delivery", delivery.pk)]
    assert Delivery.objects.get().state == State.SENDING


def test_all_are_said_to_have_arrived_and_the_history_tells(client: Client) -> None:
    delivery = doubtful()
    assert "Did 2 messages arrive?" in post(client, delivery, to="arrived", which="all")
    told = post(client, delivery, to="arrived", which="all", agreed="yes")
    assert "2 messages now count as sent." in told
    assert "2 messages whose outcome was unknown were said to have arrived" in told
    assert rows() == []
    assert AuditEvent.objects.get(subject_id=str(delivery.pk)).rows == 2
    assert "The outcome of every message is known." in words(shown(client, delivery, "doubt"))


def test_what_a_paused_delivery_sends_again_waits(
    client: Client, rung: list[tuple[str, int]], django_capture_on_commit_callbacks: Any
) -> None:
    delivery = doubtful()
    Delivery.objects.update(state=State.PAUSED)
    rung.clear()
    assert "they leave once somebody presses “Go on”" in post(client, delivery, to="again", which="all")
    with django_capture_on_commit_callbacks(execute=True):
        post(client, delivery, to="again", which="all", agreed="yes")
    assert (rows(), rung) == ([], [])


def test_a_stopped_delivery_offers_no_second_sending(client: Client) -> None:
    delivery = doubtful()
    Delivery.objects.update(state=State.STOPPED)
    assert "send it again…" not in words(shown(client, delivery, "doubt"))
    assert "was stopped for good" in post(client, delivery, to="again", which="all", agreed="yes")
    assert len(rows()) == 2


@pytest.mark.parametrize("data", [{}, {"to": "arrived"}, {"to": "lost", "which": "all"}, {"to": "again", "row": "x"}])
def test_what_makes_no_sense_changes_nothing(client: Client, data: dict[str, str]) -> None:
    assert "Tick the messages" in post(client, doubtful(), agreed="yes", **data)
    assert len(rows()) == 2


def test_a_decision_that_comes_second_is_told_so(client: Client) -> None:
    delivery, chosen = doubtful(), rows()
    DeliveryLog.objects.filter(pk__in=chosen).update(status=S.SENT)
    Lease.objects.update(in_doubt=0, sent=3)
    assert "Nothing was changed" in post(client, delivery, to="again", row=chosen, agreed="yes")


def test_only_whoever_may_send_decides(client: Client) -> None:
    delivery = doubtful()
    viewer = UserFactory.create(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(viewer)
    assert "It arrived…" not in words(shown(client, delivery, "doubt"))
    assert client.post(url("doubt", delivery.pk), {"to": "arrived", "which": "all"}).status_code == 403
    assert client.get(url("doubt", delivery.pk), {"to": "arrived", "which": "all", "agreed": "yes"}).status_code == 200
    assert len(rows()) == 2


def test_the_page_goes_by_keys_and_costs_the_same_whatever_the_size(client: Client) -> None:
    delivery = doubtful(60, 60)
    client.get(url("doubt", delivery.pk))
    costs, place = [], ""
    for size in (50, 10):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(url("doubt", delivery.pk) + place)
        assert len(answer.context["rows"]) == size
        costs.append(len(queries))
        place = f"?after={answer.context['next']}"
    assert abs(costs[0] - costs[1]) <= 1
    assert max(costs) <= 18


# -- nobody works on it ----------------------------------------------------------------------------------------------


def test_a_delivery_that_nobody_works_on_is_found() -> None:
    delivery, now = under_way(started=timedelta(minutes=30)), timezone.now()
    delivery.refresh_from_db()
    assert reports.stalled([delivery], at=now) == set()
    Lease.objects.update(owner="", expires_at=None)
    assert reports.stalled([delivery], at=now) == {delivery.pk}
    Lease.objects.update(owner="dead", expires_at=now - timedelta(minutes=10))
    assert reports.stalled([delivery], at=now) == {delivery.pk}


@pytest.mark.parametrize("why", ["it waits for a new try", "something left lately", "it has just begun", "all is done"])
def test_a_delivery_that_has_nothing_due_or_is_worked_on_is_not(why: str) -> None:
    delivery, now = under_way(started=timedelta(minutes=2 if why == "it has just begun" else 30)), timezone.now()
    delivery.refresh_from_db()
    Lease.objects.update(owner="", expires_at=None)
    if why == "it waits for a new try":
        Lease.objects.update(not_before=now + timedelta(hours=1))
    if why == "something left lately":
        SendingMinute.objects.create(run=delivery.current_run, at=now - timedelta(minutes=3), sent=2)
    if why == "all is done":
        Lease.objects.update(pending=0, sent=6)
    assert reports.stalled([delivery], at=now) == set()


def test_how_many_rests_make_a_day() -> None:
    number = domains.rests_within(timedelta(days=1))
    lasted = [min(domains.FIRST_REST * 2**n, domains.LONGEST_REST) for n in range(number)]
    assert sum(lasted[:-1], timedelta()) < timedelta(days=1) <= sum(lasted, timedelta())


def test_what_was_paused_is_sent_to_its_end(client: Client) -> None:
    delivery = analysed(draft(3))
    sending.start(delivery, at=timezone.now())
    client.post(url("do", delivery.pk, "pause"))
    sending.work(delivery.pk, transport=Slow(ok))
    assert DeliveryLog.objects.filter(status=S.SENT).count() == 0
    client.post(url("do", delivery.pk, "resume"))
    sending.work(delivery.pk, transport=Slow(ok))
    assert "100%" in shown(client, Delivery.objects.get())
