"""Reports that wait, and the page to try one on: from home to a decision in a few presses, without a barrier."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils.translation import gettext, override

from quarantine.models import AnswerRule, QuarantinedAddress, Report, ReportKind, ReportState, Status
from tests.browser.test_why import barriers, logged_in
from tests.browser.visiting import DESKTOP, OVERFLOW, PHONE
from tests.deliveries.reporting import dsn
from tests.deliveries.test_report_admin import IGNORED, SOFT, about, waiting
from tests.factories import ProfileFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
TRY, ADD = reverse("admin:what_it_says"), reverse("admin:quarantine_answerrule_add")
REPORT = dsn("bob@example.org", "full@example.org", says=("5.2.2", "552 5.2.2 <{address}>: mailbox full, try in May"))


@pytest.fixture
def report() -> Report:
    ProfileFactory.create(email="bob@example.org", first_name="Bob", last_name="Builder")
    waiting(about("spam@example.org", None), kind=ReportKind.COMPLAINT)
    return waiting(
        about("bob@example.org"), about("full@example.org", SOFT, "552 5.2.2 Mailbox full"),
        about("spam@example.org", IGNORED, "554 5.7.1 Rejected as spam by a filter whose words are long " * 4),
        raw=REPORT,
    )  # fmt: skip


@pytest.mark.parametrize("language", ["en", "fr"])
def test_from_home_a_report_is_believed_in_four_presses(
    page: Any, live_server: Any, report: Report, language: str
) -> None:
    logged_in(page, live_server, language).goto("/admin/")
    page.locator(f"#content a[href='{reverse('admin:quarantine_report_changelist')}']").click()
    page.locator(f"#result_list a[href*='/report/{report.pk}/change']").first.click()
    with override(language):
        page.get_by_text(gettext("Nothing is sent to this address any more.")).first.wait_for()
        page.fill("#id_reason", "Seen at the counter")
        page.get_by_role("button", name=gettext("Believe it"), exact=True).click()
        page.get_by_text(gettext("The report is believed. What follows from it was done.")).wait_for()
    assert Report.objects.get(pk=report.pk).state == ReportState.ACCEPTED
    assert QuarantinedAddress.objects.get(value="bob@example.org").status == Status.QUARANTINED


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_pasted_answer_becomes_a_rule_that_then_decides(page: Any, live_server: Any, language: str) -> None:
    answer = "550 5.9.9 <bob@example.org> has gone to greener pastures (12ab)"
    logged_in(page, live_server, language).goto(TRY)
    with override(language):
        page.fill("#id_text", answer)
        page.get_by_role("button", name=gettext("What does it say?")).click()
        page.get_by_role("button", name=gettext("Make a rule from this answer")).click()
        page.locator("#id_pattern").wait_for()
        assert page.input_value("#id_pattern") == "5.9.9 * has gone to greener pastures"
        assert "bob" not in page.url
        page.select_option("#id_effect", "hard")
        page.select_option("#id_reason", label=gettext("Mailbox closed"))
        page.locator("[name=_save]").first.click()
        page.wait_for_url("**/answerrule/")
        assert AnswerRule.objects.get().pattern == "5.9.9 * has gone to greener pastures"
        page.goto(TRY)
        page.fill("#id_text", "554 5.9.9 Eve has gone to greener pastures")
        page.get_by_role("button", name=gettext("What does it say?")).click()
        decided = page.locator("section:has(#c-understood)").inner_text()
        assert gettext("Failed for good: %(reason)s") % {"reason": gettext("Mailbox closed")} in decided
        assert gettext("Own rule") in decided


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_page_has_a_barrier_or_is_wider_than_a_phone(
    page: Any, live_server: Any, report: Report, language: str
) -> None:
    logged_in(page, live_server, language)
    AnswerRule.objects.create(pattern="greener pastures", effect="hard")
    found: list[Any] = []
    paths = [
        reverse("admin:quarantine_report_changelist"),
        reverse("admin:quarantine_report_change", args=[report.pk]),
        TRY,
        reverse("admin:quarantine_answerrule_changelist"),
        ADD,
    ]
    for scheme, size in (("light", DESKTOP), ("dark", PHONE)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        for path in paths:
            page.goto(live_server.url + path)
            if path == TRY:
                page.fill("#id_text", REPORT.decode())
                page.locator(".c-page form button").first.click()
                page.locator("#c-understood").wait_for()
            found += [(path, scheme, *barrier) for barrier in barriers(page)]
            found += [(path, wider) for wider in [page.evaluate(OVERFLOW)] if wider > 0]
    assert found == []
