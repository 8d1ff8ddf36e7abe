"""The page of a delivery: where each step stands, what may be done next, and numbers that never come from the log."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries import analysis, lifecycle, proofs, reports, scheduling, sending
from deliveries.models import (
    AnalysisRun,
    Delivery,
    DeliveryLog,
    Lease,
    Reason,
    RunReason,
    RunRule,
    State,
)
from profiles import consent
from profiles.models import Profile
from tests.deliveries.working import (
    BY,
    S,
    Slow,
    analysed,
    buttons,
    draft,
    marketer,
    ok,
    only_noted,
    rail,
    sent,
    shown,
    url,
    words,
)
from tests.factories import ProfileFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return marketer()


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    return only_noted(monkeypatch)


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
