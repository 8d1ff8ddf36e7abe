"""A provider breaks down: from the first page to released in at most six clicks, and undone; and the pages around."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from quarantine import figures, tasks
from quarantine.models import Cause, Outage, QuarantinedAddress, Reason
from tests.browser.test_sending_rules import NARROW, nothing_is_in_the_way, words
from tests.browser.test_why import logged_in
from tests.browser.visiting import DESKTOP
from tests.factories import ProfileFactory, QuarantinedAddressFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AT_MOST = 6
HOUR = timedelta(hours=1)


def broken_down(number: int = 24) -> None:
    """Have the messages to a domain come back for an hour, and a few others as ever."""
    now = timezone.now()
    for n in range(number):
        QuarantinedAddressFactory(
            value=f"person{n}@down.example", quarantined_at=now - HOUR - n * timedelta(minutes=1),
            reason=Reason.USER_UNKNOWN if n % 3 else Reason.INVALID_DOMAIN,
            text="550 5.1.1 <person> recipient rejected: user lookup failed",
        )  # fmt: skip
    for n in range(3):
        QuarantinedAddressFactory(value=f"gone{n}@other.example", quarantined_at=now - 3 * HOUR)
    QuarantinedAddressFactory(value="spam@down.example", cause=Cause.COMPLAINT)


class Clicks:
    """Clicks on a page, counted."""

    def __init__(self, page: Any, language: str) -> None:
        self.page, self.language, self.number = page, language, 0

    def on(self, element: Any) -> None:
        self.number += 1
        element.click()

    def on_button(self, name: str) -> None:
        self.on(self.page.get_by_role("button", name=words(self.language, name), exact=True))

    def on_link(self, name: str) -> None:
        self.on(self.page.get_by_role("link", name=words(self.language, name), exact=True))


def left_out(domain: str) -> int:
    return QuarantinedAddress.objects.blocking(timezone.now()).filter(domain=domain, cause=Cause.BOUNCE).count()


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("told", [True, False], ids=["by the alert", "by hand"])
def test_what_an_outage_left_out_is_released_in_six_clicks(
    page: Any, live_server: Any, language: str, told: bool
) -> None:
    broken_down()
    if told:
        figures.watch(timezone.now())
    logged_in(page, live_server, language).goto("/admin/")
    clicks = Clicks(page, language)
    if told:
        clicks.on(page.locator(".c-alert a", has_text="down.example"))
    else:
        clicks.on_link("Release after an outage")
        nothing_is_in_the_way(page)
        clicks.on(page.get_by_role("button", name="down.example (24)"))
    page.locator("#seen").wait_for()
    assert "24" in page.locator("#seen h2").inner_text()
    nothing_is_in_the_way(page)
    reason = page.locator("#seen textarea")
    clicks.on(reason)
    reason.fill("Their server was down")
    clicks.on_button("Release these addresses")
    page.wait_for_url("**/outage/*/change/")
    assert clicks.number <= AT_MOST
    page.get_by_text(words(language, "Running"), exact=True).wait_for()
    nothing_is_in_the_way(page)
    tasks.release_after_outage(Outage.objects.get().pk)
    page.get_by_text(words(language, "Done"), exact=True).wait_for()
    assert (left_out("down.example"), left_out("other.example")) == (0, 3)
    assert QuarantinedAddress.objects.blocking(timezone.now()).filter(value="spam@down.example").exists()
    nothing_is_in_the_way(page)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_release_is_undone_after_a_page_that_says_what_follows(page: Any, live_server: Any, language: str) -> None:
    broken_down()
    window = {"since": timezone.now() - 24 * HOUR, "until": timezone.now()}
    outage = Outage.objects.create(domain="down.example", reason="Down", by="emilie", **window)
    tasks.release_after_outage(outage.pk)
    logged_in(page, live_server, language).goto(reverse("admin:quarantine_outage_changelist"))
    nothing_is_in_the_way(page)
    page.get_by_role("link", name="down.example").first.click()
    page.get_by_role("button", name=words(language, "Undo…"), exact=True).click()
    again = page.get_by_role("button", name=words(language, "Leave them out again"), exact=True)
    again.wait_for()
    nothing_is_in_the_way(page)
    again.click()
    page.get_by_text(words(language, "Being undone"), exact=True).wait_for()
    tasks.undo_release(outage.pk)
    page.get_by_text(words(language, "Undone"), exact=True).wait_for()
    assert left_out("down.example") == 24


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_page_of_addresses_left_out_has_a_barrier(page: Any, live_server: Any, language: str) -> None:
    broken_down()
    ProfileFactory(email="person1@down.example")
    entry = QuarantinedAddress.objects.get(value="person1@down.example")
    logged_in(page, live_server, language)
    page.set_default_timeout(30_000)  # many pages, each looked at three times, on machines that may be busy
    names = ("changelist", "add")
    pages = [reverse(f"admin:quarantine_quarantinedaddress_{name}") for name in names]
    pages += [reverse(f"admin:quarantine_{name}", args=[entry.pk]) for name in ("release", "date", "allow")]
    pages += [reverse(f"admin:quarantine_{name}") for name in ("figures", "import")]
    pages.append(reverse("admin:quarantine_quarantinedaddress_change", args=[entry.pk]))
    for url in pages:
        page.set_viewport_size(DESKTOP)
        page.goto(url)
        nothing_is_in_the_way(page)


def test_the_list_is_narrowed_by_days_and_keeps_the_search(page: Any, live_server: Any) -> None:
    broken_down()
    QuarantinedAddressFactory(value="old@down.example", quarantined_at=timezone.now() - 900 * HOUR)
    logged_in(page, live_server)
    page.set_viewport_size({"width": 1700, "height": 900})
    page.goto(reverse("admin:quarantine_quarantinedaddress_changelist"))
    page.fill("#searchbar", "@down.example")
    page.press("#searchbar", "Enter")
    page.get_by_text("old@down.example").wait_for()
    assert "down.example" not in page.url
    page.fill("#c-until", (timezone.localdate() - timedelta(days=10)).isoformat())
    page.locator(".c-days button").click()
    page.wait_for_url("**until=*")
    assert page.locator("#result_list tbody tr").count() == 1
    assert page.input_value("#searchbar") == "@down.example"
    page.set_viewport_size(NARROW)
    nothing_is_in_the_way(page)
