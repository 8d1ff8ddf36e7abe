"""The pages of reports that wait: what each says, whom it touches, what follows; accepted or dismissed by who may."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import reported
from deliveries.admin.raw_text import LONGEST, shown
from deliveries.reported import as_json
from deliveries.tasks import purge_reports
from profiles.models import ConsentEvent
from quarantine import report_words
from quarantine.inbound.reports import Recipient
from quarantine.kinds import Failure, Kind
from quarantine.models import (
    Cause,
    QuarantinedAddress,
    QuarantineEvent,
    Reason,
    Report,
    ReportKind,
    ReportState,
    Status,
    Triage,
)
from tests.factories import ProfileFactory, QuarantinedAddressFactory
from tests.quarantine.test_blocked_domains import of_role

pytestmark = pytest.mark.django_db
LIST = reverse("admin:quarantine_report_changelist")
HARD, SOFT = Failure(Kind.HARD, Reason.USER_UNKNOWN), Failure(Kind.SOFT, Reason.MAILBOX_FULL)
IGNORED = Failure(Kind.IGNORED, Reason.REFUSED)
_numbers = iter(range(1, 10_000))


def waiting(*recipients: Recipient, kind: ReportKind = ReportKind.BOUNCE, **fields: Any) -> Report:
    return Report.objects.create(
        fingerprint=next(_numbers).to_bytes(16, "big"), kind=kind, source="mail",
        recipients=[as_json(one) for one in recipients],
        **{"state": ReportState.WAITING, "triage": Triage.NO_TOKEN, "raw": b"Subject: x\r\n\r\nHello", **fields},
    )  # fmt: skip


def about(address: str, failure: Failure | None = HARD, text: str = "550 5.1.1 No such user") -> Recipient:
    return Recipient(address, failure, "5.1.1", "failed", text)


def page_of(report: Report) -> str:
    return reverse("admin:quarantine_report_change", args=[report.pk])


def accept(report: Report) -> str:
    return reverse("admin:deliveries_report_accept", args=[report.pk])


def dismiss(report: Report) -> str:
    return reverse("admin:deliveries_report_dismiss", args=[report.pk])


def read(client: Client, url: str) -> str:
    return client.get(url).content.decode()


def test_the_list_shows_what_waits_and_the_rest_when_it_is_asked_for() -> None:
    waiting(about("a@example.org"), about("b@example.org"), about("c@example.org"))
    waiting(about("done@example.org"), state=ReportState.DISMISSED)
    waiting(about("spam@example.org", None), kind=ReportKind.COMPLAINT, triage=Triage.FORGED)
    client = of_role("operator")
    page = read(client, LIST)
    assert "a@example.org and 2 more" in page
    assert "spam@example.org" in page
    assert "done@example.org" not in page
    assert "done@example.org" in read(client, f"{LIST}?state={ReportState.DISMISSED}")
    assert "done@example.org" in read(client, f"{LIST}?state=all")
    assert "a@example.org" not in read(client, f"{LIST}?kind=complaint")
    assert "a@example.org" not in read(client, f"{LIST}?triage={Triage.FORGED}")


def test_the_list_never_reads_messages_or_counts(django_assert_max_num_queries: Any) -> None:
    client = of_role("operator")
    for _n in range(60):
        waiting(about("a@example.org"))
    with django_assert_max_num_queries(8) as queries:
        assert client.get(LIST).status_code == 200
    texts = [query["sql"] for query in queries.captured_queries]
    assert not [text for text in texts if "COUNT(" in text.upper()]
    assert not [text for text in texts if '"raw"' in text.split("FROM")[0]]


def test_a_report_says_whom_it_touches_and_what_would_follow() -> None:
    profile = ProfileFactory.create(email="bob@example.org", first_name="Bob", last_name="Builder")
    QuarantinedAddressFactory.create(value="out@example.org")
    allowed = QuarantinedAddressFactory.create(value="always@example.org")
    QuarantinedAddress.objects.filter(pk=allowed.pk).update(status=Status.ALLOWLISTED)
    report = waiting(
        about("Bob@Example.org"), about("full@example.org", SOFT), about("out@example.org"),
        about("always@example.org"), about("spam@example.org", IGNORED), about("no address"),
        about("fine@example.org", None),
    )  # fmt: skip
    page = read(of_role("operator"), page_of(report))
    rows = [row.split("</tr>")[0] for row in page.split("<tbody>")[1].split("<tr>")[1:]]
    expected = [
        ("Failed for good: No such mailbox", str(profile), "Nothing is sent to this address any more."),
        ("Failed for now: Mailbox full", "Nobody", "An error is noted."),
        ("Failed for good", "Nobody", "Nothing: this address is left out already."),
        ("Failed for good", "Nobody", "Nothing: this address is always written to."),
        ("Says nothing against the address: Refused", "Nobody", "Nothing."),
        ("Failed for good", "Nobody", "Nothing: this is no email address."),
        ("Nothing failed", "Nobody", "Nothing."),
    ]
    for row, words in zip(rows, expected, strict=True):
        assert [word for word in words if word not in row] == []
    assert "550 5.1.1 No such user" in page
    assert "It does not prove which message it is about" in page


@pytest.mark.parametrize("kind", [ReportKind.BOUNCE, ReportKind.COMPLAINT])
def test_what_the_page_says_would_follow_follows(kind: ReportKind) -> None:
    ProfileFactory.create(email="bob@example.org")
    QuarantinedAddressFactory.create(value="out@example.org")
    allowed = QuarantinedAddressFactory.create(value="always@example.org")
    QuarantinedAddress.objects.filter(pk=allowed.pk).update(status=Status.ALLOWLISTED)
    failures = [HARD, SOFT, IGNORED, None]
    named = ["bob@example.org", "full@example.org", "spam@example.org", "fine@example.org"]
    people = [about(name, failure) for name, failure in zip(named, failures, strict=True)]
    report = waiting(*people, about("out@example.org"), about("always@example.org"), about("nonsense"), kind=kind)
    said = report_words.look(report, at=timezone.now())
    before = {bytes(e.digest): (e.status, e.errors, e.cause) for e in QuarantinedAddress.objects.all()}
    client = of_role("operator")
    assert client.post(accept(report), {"reason": "Seen at the counter"}).status_code == 302
    after = {bytes(e.digest): (e.status, e.errors, e.cause) for e in QuarantinedAddress.objects.all()}
    changed = {digest for digest in after if after[digest] != before.get(digest)}
    assert changed == {one.target.digest for one in said if one.acts and one.target}


def test_accepting_needs_a_reason_happens_once_and_is_told_in_the_history() -> None:
    report = waiting(about("bob@example.org"))
    client = of_role("operator")
    page = client.post(accept(report), {"reason": " "}).content.decode()
    assert "Write down why this report is to be believed." in page
    assert not QuarantinedAddress.objects.exists()
    for _again in range(2):
        assert client.post(accept(report), {"reason": "Seen at the counter"}).status_code == 302
    entry = QuarantinedAddress.objects.get()
    assert (entry.status, entry.cause, entry.text) == (Status.QUARANTINED, Cause.BOUNCE, "550 5.1.1 No such user")
    event = QuarantineEvent.objects.get()
    assert (event.actor_name, event.note) == ("a-operator", "Seen at the counter")
    assert ConsentEvent.objects.get().reason == "Seen at the counter"
    report.refresh_from_db()
    assert (report.state, report.decided_by, report.note) == (ReportState.ACCEPTED, "a-operator", "Seen at the counter")
    assert "Somebody has decided already" in client.post(dismiss(report), follow=True).content.decode()
    assert "Believe it" not in read(client, page_of(report))


def test_dismissing_changes_no_address_one_by_one_or_together() -> None:
    first, *others = (waiting(about(f"{n}@example.org")) for n in range(4))
    client = of_role("operator")
    client.post(dismiss(first))
    posted = {"action": "dismiss_action", "_selected_action": [one.pk for one in (first, *others[:2])]}
    assert "2 reports dismissed." in client.post(LIST, posted, follow=True).content.decode()
    states = list(Report.objects.order_by("pk").values_list("state", flat=True))
    assert states == [ReportState.DISMISSED] * 3 + [ReportState.WAITING]
    assert not QuarantinedAddress.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "marketer"])
def test_who_may_not_decide_sees_and_cannot(role: str) -> None:
    report = waiting(about("bob@example.org"))
    client = of_role(role)
    page = read(client, page_of(report))
    assert "bob@example.org" in page
    assert "An operator decides" in page
    assert client.post(accept(report), {"reason": "x"}).status_code == 403
    assert client.post(dismiss(report)).status_code == 403
    posted = {"action": "dismiss_action", "_selected_action": [report.pk]}
    client.post(LIST, posted)
    report.refresh_from_db()
    assert report.state == ReportState.WAITING
    assert Client().get(page_of(report)).status_code == 302


def test_looking_decides_nothing() -> None:
    report = waiting(about("bob@example.org"))
    client = of_role("operator")
    assert client.get(page_of(report)).status_code == 200
    assert client.get(accept(report)).status_code == 405
    assert client.get(dismiss(report)).status_code == 405
    assert client.get(reverse("admin:quarantine_report_change", args=[10**17])).status_code == 404
    report.refresh_from_db()
    assert report.state == ReportState.WAITING


def test_what_came_in_is_shown_as_text_and_as_nothing_else() -> None:
    raw = b"Subject: <script>alert(1)</script>\r\n\r\n\xff\xfe\x00\x1b[31m\xe2\x80\xaetxt.exe <img src=x onerror=a()>"
    evil = about("<svg/onload=alert(3)>@example.org", HARD, "<b>bold</b>")
    page = read(of_role("operator"), page_of(waiting(evil, raw=raw)))
    for part in ("<script>alert(1)", "<img src=x", "<svg/onload", "<b>bold", "\x1b", "\x00", "\u202e"):
        assert part not in page
    assert "&lt;script&gt;alert(1)" in page


def test_what_is_shown_of_a_message_is_bounded() -> None:
    assert len(shown(b"x" * 10_000_000)) <= LONGEST + 2
    assert len(shown("é".encode() * 300_000)) <= LONGEST + 2
    assert shown(None) == shown(b"") == ""
    assert shown(memoryview(b"a\r\nb\rc")) == "a\nb\nc"


def test_a_report_about_thousands_is_shown_in_part() -> None:
    report = waiting(*(about(f"{n}@example.org") for n in range(3_000)))
    page = read(of_role("operator"), page_of(report))
    assert page.count("@example.org") <= report_words.SHOWN
    assert "And 2980 more addresses." in page.replace(",", "")


@pytest.mark.parametrize(
    "stored",
    [
        [], ["x"], [{}], [{"address": None, "failure": "new", "reason": "new", "status": 5}], [None],
        [{"address": "a@example.org", "failure": "hard"}],
    ],
)  # fmt: skip
def test_what_another_version_has_stored_is_shown_as_far_as_it_is_known(stored: list[Any]) -> None:
    report = waiting()
    Report.objects.filter(pk=report.pk).update(recipients=stored)
    client = of_role("operator")
    assert client.get(page_of(report)).status_code == 200
    assert client.get(LIST).status_code == 200


def test_a_message_that_could_not_be_dealt_with_can_be_read_and_dismissed() -> None:
    reported.keep_aside(b"Subject: odd\r\n\r\nwords", source="mail", at=timezone.now())
    report = Report.objects.get()
    client = of_role("operator")
    page = read(client, page_of(report))
    assert "It could not be read" in page
    assert "Subject: odd" in page
    client.post(dismiss(report))
    report.refresh_from_db()
    assert report.state == ReportState.DISMISSED


def test_old_reports_go_and_the_messages_of_decided_ones_before_them(settings: Any) -> None:
    settings.REPORT_DAYS = 90
    now = timezone.now()

    def aged(days: int, decided: int | None = None) -> Report:
        report = waiting(about("a@example.org"), received_at=now - timedelta(days=days))
        if decided is not None:
            taken = {"state": ReportState.DISMISSED, "decided_at": now - timedelta(days=decided)}
            Report.objects.filter(pk=report.pk).update(**taken)
        return report

    gone, gone_too = aged(100), aged(91, decided=1)
    blanked, kept, waits = aged(80, decided=8), aged(70, decided=6), aged(60)
    purge_reports()
    left = {report.pk: report.raw is not None for report in Report.objects.all()}
    assert left == {blanked.pk: False, kept.pk: True, waits.pk: True}
    assert gone.pk not in left
    assert gone_too.pk not in left
    assert report_words.purge(at=now) == 0


def test_the_home_page_says_how_many_wait_up_to_a_hundred() -> None:
    operator, marketer = of_role("operator"), of_role("marketer")
    home = reverse("admin:index")
    assert "waits for a decision" not in read(operator, home)
    waiting(about("a@example.org"))
    assert "1 report about your messages waits for a decision" in read(operator, home)
    for _n in range(100):
        waiting(about("a@example.org"))
    assert "More than 99 reports about your messages wait for a decision" in read(operator, home)
    assert "reports about your messages" not in read(marketer, home)
