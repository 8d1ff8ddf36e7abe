"""The page of a delivery: where each step stands, what may be done next, and numbers that never come from the log."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from deliveries import analysis, control, durations, lifecycle, pace, proofs, reports, scheduling, sending
from deliveries.admin import standing
from deliveries.messages import Envelope
from deliveries.models import (
    AnalysisRun,
    Delivery,
    DeliveryLog,
    Lease,
    LogStatus,
    PeopleList,
    Reason,
    RunReason,
    RunRule,
    SendingMinute,
    State,
)
from deliveries.pace import Slice
from deliveries.transports import Outcome
from deliveries.transports.base import Blame
from profiles import consent
from profiles.consent import Evidence
from profiles.models import Profile, Source
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory, UserFactory

pytestmark = pytest.mark.django_db
S = LogStatus
BY = Evidence(source=Source.OPERATOR, actor_name="pierre", reason="asked")
STATEMENTS_PER_MESSAGE = {"sqlite": 12, "postgresql": 15}  # PostgreSQL locks what a claim depends on


class Slow:
    """A transport that takes its time, and longer where it refuses."""

    def __init__(self, outcome: Callable[[str], Outcome], *, refusing: float = 0.03) -> None:
        self.outcome, self.refusing = outcome, refusing

    def send(self, envelope: Envelope) -> Outcome:
        found = self.outcome(envelope.recipient)
        if found.status != S.SENT:
            time.sleep(self.refusing)
        return found

    def close(self) -> None: ...


def ok(recipient: str) -> Outcome:
    return Outcome(S.SENT, 250, "OK")


@pytest.fixture
def client() -> Client:
    client = Client()
    user = UserFactory.create(admin=True, email="me@example.org", username="emilie", time_zone="Europe/Paris")
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    from deliveries import tasks

    calls: list[tuple[str, int]] = []
    for name in ("analyse_delivery", "send_delivery", "send_proof"):
        monkeypatch.setattr(getattr(tasks, name), "delay", lambda pk, name=name: calls.append((name, pk)))
    return calls


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:deliveries_delivery_{name}", args=args)


def draft(people: int = 3, **fields: Any) -> Delivery:
    service = ServiceFactory.create(label={"en": "Garden news"})
    for _n in range(people):
        ProfileFactory.create(services=[service])
    return DeliveryFactory.create(service=service, **fields)


def analysed(delivery: Delivery) -> Delivery:
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def sent(delivery: Delivery, transport: Any = None) -> Delivery:
    sending.start(analysed(delivery), at=timezone.now())
    sending.work(delivery.pk, transport=transport or Slow(ok))
    delivery.refresh_from_db()
    return delivery


def shown(client: Client, delivery: Delivery, page: str = "workspace") -> str:
    return str(client.get(url(page, delivery.pk)).content.decode())


def words(html: str) -> str:
    return " ".join(unescape(strip_tags(html)).split())


def rail(client: Client, delivery: Delivery) -> dict[str, tuple[str, str]]:
    """Return step → (where it stands, its fact), as they are read."""
    found = re.findall(r'<li class="c-rail-step c-rail-\w+">(.*?)</li>', shown(client, delivery), re.DOTALL)
    rows = [[words(part) for part in re.findall(r"<(?:a|span) class=.*?(?:</a>|</span>\n)", step)] for step in found]
    return {name.lstrip("○✓!…·– "): (word, fact) for name, word, fact in rows}


def buttons(client: Client, delivery: Delivery) -> list[str]:
    page = shown(client, delivery)
    section = page[page.index('id="now"') : page.index('id="part-now"')]
    return [words(label) for label in re.findall(r'<(?:button|a) class="c-button[^>]*>(.*?)</', section)]


# -- the steps -------------------------------------------------------------------------------------------------------


def test_the_steps_of_a_draft(client: Client) -> None:
    assert rail(client, draft()) == {
        "Target": ("Done", "3 subscribers of Garden news"),
        "Content": ("Done", "written in English, French"),
        "Checks": ("Done", "nothing found"),
        "Analysis": ("To do", "nobody is looked at yet"),
        "Tests": ("To do", "none sent yet"),
        "Send": ("Later", "after the analysis"),
        "Results": ("Later", "once it is sent"),
    }


def test_what_is_missing_from_a_draft_needs_attention(client: Client) -> None:
    delivery = draft(0, contents=False)
    found = rail(client, delivery)
    assert found["Target"] == ("Needs attention", "0 subscribers of Garden news")
    assert found["Content"] == ("To do", "nothing is written yet")
    assert found["Checks"] == ("Needs attention", "1 error")
    assert "Nobody is in the target at the moment" in words(shown(client, delivery))


def test_the_steps_of_an_analysis_its_schedule_and_its_sending(client: Client) -> None:
    delivery = draft(4)
    consent.opt_out([Profile.objects.earliest("pk").pk], channel=None, evidence=BY, at=timezone.now())
    analysed(delivery)
    found = rail(client, delivery)
    assert found["Analysis"][0] == "Done"
    assert re.fullmatch(r"\d\d:\d\d: 3 to send, 1 left out", found["Analysis"][1])
    assert found["Send"] == ("To do", "ready, now or on a date")
    at = datetime(2050, 3, 1, 9, 0, tzinfo=UTC)
    scheduling.schedule(delivery, at=at, now=timezone.now())
    assert rail(client, delivery)["Send"] == ("Under way", "scheduled for 1 Mar 2050, 10:00")
    assert "on Tuesday 1 Mar 2050, 10:00 (Europe/Paris)" in words(shown(client, delivery))
    scheduling.unschedule(delivery)
    sending.start(delivery, at=timezone.now())
    assert rail(client, delivery)["Send"] == ("Under way", "0 of 3")
    sending.pause(delivery)
    assert rail(client, delivery)["Send"] == ("Needs attention", "paused, 3 to go")
    sending.resume(delivery)
    sending.work(delivery.pk, transport=Slow(ok))
    found = rail(client, delivery)
    assert found["Send"][0] == "Done"
    assert found["Results"] == ("Done", "100% sent")
    assert found["Tests"] == ("Skipped", "none was sent")


def test_an_error_of_the_message_or_of_a_schedule_stands_in_the_steps(client: Client) -> None:
    delivery = analysed(draft())
    delivery.contents.filter(language="en").update(subject="")
    found = rail(client, delivery)
    assert found["Checks"] == ("Needs attention", "1 error")
    assert found["Send"] == ("Later", "once the checks find no error")
    Delivery.objects.update(error='{"held": "grew", "before": 1000, "after": 1100}')
    assert rail(client, delivery)["Send"] == ("Needs attention", "it waits for you")
    assert "The target has grown from 1,000 to 1,100" in words(shown(client, delivery))


def test_a_test_that_was_refused_needs_attention(client: Client) -> None:
    delivery = draft()
    proof = proofs.ask(delivery, "me@example.org", language="en", by=None, at=timezone.now())
    assert rail(client, delivery)["Tests"] == ("Done", "1 test sent")
    type(proof).objects.update(status=S.FAILED, answer="550 no")
    assert rail(client, delivery)["Tests"] == ("Needs attention", "the last one was refused")


# -- what may be done next -------------------------------------------------------------------------------------------


def test_only_what_may_be_pressed_next_is_there(client: Client) -> None:
    delivery = draft()
    assert buttons(client, delivery) == ["Analyse", "Send a test to me", "Duplicate"]
    assert "Nothing is sent. About 3 people are looked at." in words(shown(client, delivery))
    analysis.start(delivery, at=timezone.now())
    assert buttons(client, delivery) == ["Stop the analysis", "Duplicate"]
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    assert buttons(client, delivery) == ["Check and send…", "Analyse again", "Send a test to me", "Duplicate"]
    scheduling.schedule(delivery, at=timezone.now() + timedelta(days=1), now=timezone.now())
    assert buttons(client, delivery) == ["Take the date away", "Send a test to me", "Duplicate"]
    scheduling.unschedule(delivery)
    sending.start(delivery, at=timezone.now())
    assert buttons(client, delivery) == ["Pause", "Stop for good", "Duplicate"]
    sending.pause(delivery)
    assert buttons(client, delivery) == ["Go on", "Stop for good", "Duplicate"]
    sending.stop(delivery)
    assert buttons(client, delivery) == ["Duplicate"]


def test_a_copy_is_made_by_its_button_and_shown(client: Client) -> None:
    delivery = sent(draft())
    page = client.post(url("do", delivery.pk, "duplicate"), follow=True)
    copy = Delivery.objects.latest("pk")
    assert page.redirect_chain[-1][0] == url("workspace", copy.pk)
    assert f"Copy of {delivery.label}" in page.content.decode()
    assert copy.created_by is not None
    assert copy.created_by.username == "emilie"


# -- before sending --------------------------------------------------------------------------------------------------


def test_it_is_scheduled_on_the_clock_of_whoever_does(client: Client, rung: list[Any]) -> None:
    delivery = analysed(draft())
    assert "Europe/Paris" in shown(client, delivery, "review")
    page = client.post(
        url("schedule", delivery.pk),
        {"day": "2050-07-01", "hour": "09:30", "run": delivery.current_run_id},
        follow=True,
    )
    assert "Scheduled for Friday 1 Jul 2050, 09:30 (Europe/Paris)" in words(page.content.decode())
    delivery.refresh_from_db()
    assert (delivery.state, delivery.approved) == (State.SCHEDULED, 3)
    assert delivery.scheduled_at == datetime(2050, 7, 1, 7, 30, tzinfo=UTC)
    client.post(url("do", delivery.pk, "unschedule"))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.scheduled_at) == (State.ANALYSED, None)
    assert rung == []


@pytest.mark.parametrize(
    ("day", "hour", "told"),
    [
        ("2020-01-01", "10:00", "has passed"),
        ("", "10:00", "required"),
        ("2050-03-27", "02:30", "interpreted in time zone"),  # skipped by the change of clocks
    ],
)
def test_a_moment_that_cannot_be_is_told_beside_it(client: Client, day: str, hour: str, told: str) -> None:
    delivery = analysed(draft())
    page = client.post(url("schedule", delivery.pk), {"day": day, "hour": hour, "run": delivery.current_run_id})
    assert told in page.content.decode()
    assert "Send 3 messages" in page.content.decode()
    delivery.refresh_from_db()
    assert delivery.state == State.ANALYSED


def test_numbers_of_a_former_analysis_are_not_agreed_to(client: Client, rung: list[Any]) -> None:
    delivery = analysed(draft())
    seen = delivery.current_run_id
    analysed(delivery)
    client.post(url("do", delivery.pk, "send"), {"run": seen})
    page = client.post(url("schedule", delivery.pk), {"day": "2050-07-01", "hour": "09:30", "run": seen}, follow=True)
    assert "Look at it again" in page.content.decode()
    delivery.refresh_from_db()
    assert (delivery.state, rung) == (State.ANALYSED, [])


def test_warnings_are_told_apart_from_errors_and_do_not_block(client: Client, monkeypatch: Any) -> None:
    delivery = analysed(draft())
    warning = SimpleNamespace(text="The subject is long.", remedy="Make it shorter.", blocks=False)
    monkeypatch.setattr(control, "check", lambda delivery: [warning])
    page = words(shown(client, delivery, "review"))
    assert "Warnings: it can be sent all the same. The subject is long. Make it shorter." in page
    assert "Send 3 messages" in page
    assert rail(client, delivery)["Checks"] == ("Done", "1 warning")
    error = SimpleNamespace(text="The text is empty.", remedy="Write one.", blocks=True)
    monkeypatch.setattr(control, "check", lambda delivery: [warning, error])
    page = words(shown(client, delivery, "review"))
    assert "Errors: it cannot be sent before they are put right. The text is empty. Write one." in page
    assert "Send 3 messages" not in page
    assert rail(client, delivery)["Checks"] == ("Needs attention", "1 error, 1 warning")


def test_control_group_limit_and_rules_are_told_before_sending(client: Client) -> None:
    delivery = analysed(draft(size_limit=2000, control_percent=5))
    for page in ("review", "workspace"):
        told = words(shown(client, delivery, page))
        assert "5% of those who could get it do not" in told
        assert "At most 2,000 messages, drawn by lot" in told


def test_the_form_says_that_the_date_goes_away_with_a_change(client: Client) -> None:
    delivery = analysed(draft())
    scheduling.schedule(delivery, at=datetime(2050, 7, 1, 7, 30, tzinfo=UTC), now=timezone.now())
    form = words(client.get(reverse("admin:deliveries_delivery_change", args=[delivery.pk])).content.decode())
    assert "scheduled for 1 Jul 2050, 09:30. That date goes away" in form


def test_a_list_says_its_size_without_counting(client: Client) -> None:
    people = PeopleList.objects.create(name="Volunteers", size=1204)
    delivery = draft()
    Delivery.objects.update(target="list", people_list=people)
    delivery.refresh_from_db()
    assert rail(client, delivery)["Target"] == ("Done", "1,204 people of the list “Volunteers”")


# -- who is left out -------------------------------------------------------------------------------------------------


def test_what_changed_since_the_analysis_before(client: Client) -> None:
    delivery = analysed(draft(5))
    assert delivery.current_run is not None
    assert reports.changes(delivery.current_run) is None
    first, second = Profile.objects.order_by("pk")[:2]
    consent.opt_out([first.pk, second.pk], channel=None, evidence=BY, at=timezone.now())
    ProfileFactory.create(services=[delivery.service])
    before = delivery.current_run
    analysed(delivery)
    analysis.start(delivery, at=timezone.now())
    analysis.stop(delivery, at=timezone.now())  # one that was stopped is none to compare with
    analysed(delivery)
    run = delivery.current_run
    third = reports.changes(run)
    assert third is not None
    assert (third.targeted, third.to_send, third.reasons) == (0, 0, [])
    second_run = AnalysisRun.objects.get(delivery=delivery, number=before.number + 1)
    found = reports.changes(second_run)
    assert found is not None
    assert (found.since, found.targeted, found.to_send) == (before, 1, -1)
    assert found.reasons == [(Reason.BLACKLISTED, 2)]
    Delivery.objects.update(current_run=second_run)
    told = words(shown(client, delivery).replace("<", " <"))
    assert "What changed since the analysis before" in told
    assert "Targeted +1 Opted out of everything +2 To send −1" in told


def test_reasons_of_nobody_are_folded_but_still_in_the_table(client: Client) -> None:
    delivery = draft()
    consent.opt_out([Profile.objects.earliest("pk").pk], channel=None, evidence=BY, at=timezone.now())
    page = shown(client, analysed(delivery))
    table = page[page.index('<table class="c-bars c-waterfall">') : page.index("</section>", page.index("c-waterfall"))]
    lines = reports.waterfall(delivery.current_run).lines
    assert f"{len(lines) - 1} other reasons: nobody" in table
    folded = table[table.index("<details") : table.index("</details>")]
    for line in lines:
        assert line.label in (folded if not line.first else table.replace(folded, ""))


def test_sending_rules_are_named_and_lead_to_people(client: Client) -> None:
    delivery = analysed(draft())
    run = delivery.current_run
    RunReason.objects.create(run=run, reason=Reason.DUPLICATE, first=1, in_all=1)
    RunRule.objects.create(run=run, rule=7, reason=Reason.DUPLICATE, label="No minors", number=1)
    page = shown(client, delivery)
    assert f"{url('left_out', delivery.pk, int(Reason.DUPLICATE))}?rule=7" in page
    assert "No minors: 1" in words(page)


# -- while it moves --------------------------------------------------------------------------------------------------


def test_progress_is_told_in_numbers_and_in_words(client: Client) -> None:
    delivery = analysed(draft(4))
    sending.start(delivery, at=timezone.now() - timedelta(minutes=1))
    run = delivery.current_run
    assert run
    assert sending.take_lease(run, at=timezone.now())
    Lease.objects.update(pending=F("pending") - 1, sent=F("sent") + 1)
    answer = client.get(url("live", delivery.pk))
    told = words(answer.content.decode())
    assert "25% Sending: 1 sent, 3 to go, of 4." in told
    assert "About 1 a minute, about 3 minutes left." in told
    assert "If you pause or stop it, no further message leaves" in told
    assert 'data-part="part-rail"' in answer.content.decode()
    assert answer["X-Moving"] == "yes"
    page = shown(client, delivery)
    assert 'id="part-rail"' in page
    assert 'id="part-now"' in page
    assert "Refresh" in page
    assert "http-equiv" not in page


def test_the_progress_of_an_analysis_counts_addresses(client: Client, settings: Any) -> None:
    settings.ANALYSIS_RANGE = 2
    delivery = draft(6)
    run = analysis.start(delivery, at=timezone.now() - timedelta(minutes=10))
    assert analysis._take(run, at=timezone.now())
    while run.upto < run.last_profile - 2:
        step = analysis._next_step(run)
        assert step is not None
        assert step(run)
    told = words(shown(client, delivery, "live"))
    assert re.search(r"\d\d% Analysing: 4 addresses looked at\. Nothing is sent\.", told)
    assert "about 4 minutes left" in told
    Delivery.objects.update(approved=6, scheduled_at=timezone.now())
    assert "If you stop it, the date goes away too" in words(shown(client, delivery, "live"))


# -- results, and what errors cost -----------------------------------------------------------------------------------


def test_hand_offs_are_timed_by_how_they_end(client: Client) -> None:
    delivery = draft(6)
    refused, later = (person.addresses.get().value for person in Profile.objects.order_by("pk")[:2])
    gone = Profile.objects.order_by("pk")[2].addresses.get().value
    QuarantinedAddressFactory.create(value=gone)

    def outcome(recipient: str) -> Outcome:
        if recipient == refused:
            return Outcome(S.FAILED, 550, "no")
        return Outcome(S.RETRY, 451, "later") if recipient == later else ok(recipient)

    sent(delivery, Slow(outcome))
    Delivery.objects.update(state=State.SENDING)
    DeliveryLog.objects.filter(status=S.RETRY).update(not_before=None)
    Lease.objects.update(not_before=None)
    sending.work(delivery.pk, transport=Slow(outcome))
    found = pace.cost(delivery.current_run)
    assert (found.sent, found.failed) == (3, 3), "one refused for good, one tried twice"
    assert found.failed_time >= timedelta(seconds=0.09)
    assert found.sent_time < found.failed_time
    assert found.rate == 0.5
    assert found.each_failed is not None
    assert found.each_failed >= timedelta(seconds=0.03)
    Lease.objects.update(failed_ms=48_000, sent_ms=3_000)
    told = words(shown(client, delivery))
    assert "Error rate: 50.0%. 3 of 6 attempts failed." in told
    assert "took 48 s of the 51 s of handing over: 16 s each, against 1.0 s for one that worked." in told
    assert "1 address in error had been left out before." in told
    assert "has saved about 16 seconds." in told


def test_what_was_never_handed_over_costs_nothing() -> None:
    delivery = sent(draft(2), Slow(lambda recipient: Outcome(S.SUPPRESSED, 0, "SMTPUTF8")))
    found = pace.cost(delivery.current_run)
    assert (found.handed_over, found.rate, found.each_failed, found.each_sent) == (0, 0.0, None, None)


def test_measuring_takes_no_statement_of_its_own_per_message() -> None:
    taken = []
    for people in (2, 5):
        delivery = analysed(draft(people))
        sending.start(delivery, at=timezone.now())
        with CaptureQueriesContext(connection) as statements:
            sending.work(delivery.pk, transport=Slow(ok))
        taken.append(len(statements))
    assert taken[1] - taken[0] == 3 * STATEMENTS_PER_MESSAGE[connection.vendor]


def test_what_was_sent_is_kept_by_the_minute_and_adds_up_over_workers(client: Client) -> None:
    delivery = draft(4)
    refused = Profile.objects.earliest("pk").addresses.get().value
    sent(delivery, Slow(lambda to: Outcome(S.FAILED, 550, "no") if to == refused else ok(to)))
    rows = SendingMinute.objects.filter(run=delivery.current_run)
    assert (sum(row.sent for row in rows), sum(row.failed for row in rows)) == (3, 1)
    one, other = (pace.Minutes(delivery.current_run) for _n in range(2))
    at = rows[0].at - timedelta(minutes=10, seconds=-7)
    for worker in (one, other, one):
        worker.note(S.SENT, at=at)
        worker.note(S.RETRY, at=at)
    one.add_up()
    other.add_up()
    one.add_up()  # nothing twice
    assert SendingMinute.objects.get(at=at.replace(second=0, microsecond=0)).sent == 3
    assert "Messages over time, in slices of 1 minute" in shown(client, delivery)


def test_minutes_are_drawn_as_few_slices_with_those_in_which_nothing_was_sent() -> None:
    start = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    width, slices = pace.over_time([Slice(start, 5, 1), Slice(start + timedelta(minutes=3), 7, 0)])
    assert width == timedelta(minutes=1)
    assert [(one.sent, one.failed) for one in slices] == [(5, 1), (0, 0), (0, 0), (7, 0)]
    long = [Slice(start + timedelta(minutes=n), 1, 0) for n in range(0, 84 * 60, 7)]
    width, slices = pace.over_time(long)
    assert width == timedelta(hours=6)
    assert len(slices) <= pace.MOST_SLICES
    assert sum(one.sent for one in slices) == len(long)
    assert pace.over_time([])[1] == []


def test_the_present_speed_is_that_of_the_last_minutes() -> None:
    at = datetime(2026, 3, 1, 10, 0, 30, tzinfo=UTC)
    lately = [Slice(at.replace(second=0) - timedelta(minutes=n), 60, 0) for n in range(2, 7)]
    long_ago = [Slice(at.replace(second=0) - timedelta(minutes=40), 60_000, 0)]
    started = at - timedelta(hours=1)
    assert pace.per_second([*long_ago, *lately], started_at=started, done=60_300, at=at) == 1.0
    assert pace.per_second(long_ago, started_at=started, done=60_000, at=at) == 0.0
    assert pace.per_second([], started_at=at - timedelta(seconds=10), done=50, at=at) == 5.0


def test_a_refusal_of_who_we_are_counts_as_a_failed_try() -> None:
    delivery = sent(draft(3), Slow(lambda to: Outcome(S.RETRY, 535, "who are you", Blame.SENDER), refusing=0))
    assert delivery.state == State.PAUSED
    assert pace.cost(delivery.current_run).failed == 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "less than a second"),
        (1, "1 second"),
        (38, "38 seconds"),
        (60, "1 minute"),
        (1900, "32 minutes"),
        (7200, "2 hours"),
        (200_000, "2 days"),
    ],
)
def test_spans_in_words(seconds: float, said: str) -> None:
    assert durations.in_words(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "0%"), (0, 9, "0%"), (9, 9, "100%"), (99_999, 100_000, "99.9%"), (1, 100_000, "0.1%"), (1, 3, "33.3%")],
)
def test_only_all_is_a_hundred_percent(part: int, whole: int, said: str) -> None:
    assert standing.percent(part, whole) == said


# -- who did what ----------------------------------------------------------------------------------------------------


def test_the_history_says_who_did_what(client: Client) -> None:
    delivery = draft()
    client.post(url("do", delivery.pk, "analyse"))
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    client.post(url("schedule", delivery.pk), {"day": "2050-07-01", "hour": "09:30"})
    for step in ("unschedule", "send", "pause", "resume", "stop"):
        client.post(url("do", delivery.pk, step))
    sending.work(delivery.pk, transport=Slow(ok))
    page = shown(client, delivery)
    history = page[page.index('id="history"') :]
    told = [re.sub(r" \d+ \w+ 20\d\d, \d\d:\d\d(, )?(?=emilie|$)", " ", words(one)).strip() for one in
            re.findall(r"<li>(.*?)</li>", history, re.DOTALL)]  # fmt: skip
    assert told == [
        "Stopped",
        "Stopped for good emilie",
        "Taken up again emilie",
        "Paused emilie",
        "Sending began emilie",
        "Date taken away emilie",
        "Scheduled for 1 Jul 2050, 09:30 emilie",
        "Analysed: 3 addresses targeted emilie",
        "Written",
    ]


def test_a_start_by_itself_is_nobodys(client: Client) -> None:
    delivery = analysed(draft())
    now = timezone.now()
    scheduling.schedule(delivery, at=now + timedelta(minutes=1), now=now)
    scheduling.start_due(now + timedelta(minutes=2))
    analysis.work(delivery.pk)
    scheduling.start_due(now + timedelta(minutes=2))
    assert "Sending began by itself, as scheduled" in shown(client, delivery)


# -- what the page costs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["draft", "analysed", "sending", "finished"])
def test_the_page_takes_the_same_queries_whatever_the_size_and_reads_no_log(
    client: Client, settings: Any, stage: str
) -> None:
    settings.LEASE_SIZE = 5
    taken: list[int] = []
    for people in (2, 40):
        delivery = draft(people)
        if stage != "draft":
            analysed(delivery)
        if stage in ("sending", "finished"):
            sending.start(delivery, at=timezone.now())
        if stage == "finished":
            sending.work(delivery.pk, transport=Slow(ok))
        for page in ("workspace", "live"):
            client.get(url(page, delivery.pk))  # what is cached is cached now
            with CaptureQueriesContext(connection) as statements:
                client.get(url(page, delivery.pk))
            taken.append(len(statements))
            assert [one["sql"] for one in statements if DeliveryLog._meta.db_table in one["sql"]] == []
    assert taken[:2] == taken[2:]
    assert max(taken) <= 34


def test_no_query_of_the_page_reads_a_table_from_end_to_end_for_a_delivery(client: Client) -> None:
    """Each table that grows with deliveries has an index for what the page asks of it."""
    if connection.vendor != "postgresql":
        pytest.skip("about the plans of PostgreSQL")
    delivery = sent(draft())
    with CaptureQueriesContext(connection) as statements:
        shown(client, delivery)
    grown = ("deliveries_lease", "deliveries_runreason", "deliveries_runrule", "deliveries_sendingminute",
             "deliveries_analysisrun", "deliveries_proof", "deliveries_deliverylog", "profiles_auditevent")  # fmt: skip
    asked = [one["sql"] for one in statements if any(f'"{table}"' in one["sql"] for table in grown)]
    assert len(asked) >= 8
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for sql in asked:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert [table for table in grown if f"Seq Scan on {table}" in plan] == [], plan


def test_a_change_of_the_message_voids_the_analysis_and_clears_what_was_told(client: Client) -> None:
    delivery = analysed(draft())
    Delivery.objects.update(error='{"held": "grew", "before": 1, "after": 2}')
    lifecycle.void_analysis(delivery)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == (State.DRAFT, "")
