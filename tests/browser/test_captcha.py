"""The sum against robots in a real browser: nobody notices it, and without JavaScript the page says what to do."""

from typing import Any

import pytest
from django.urls import reverse

from landing.models import PendingOptIn
from tests.landing.visitors import published

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def address(settings: Any, live_server: Any) -> str:
    settings.CAPTCHA = "altcha"
    return str(live_server.url) + reverse("landing:page", args=[published(asks_name=False).slug])


def watched(page: Any) -> list[str]:
    """Return the list that everything goes into that the browser complains about."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def test_somebody_signs_up_without_noticing_the_sum(page: Any, address: str) -> None:
    complaints = watched(page)
    page.goto(address)
    assert not page.locator("#needs-script").is_visible()
    page.fill("#address", "zoe@example.org")
    page.wait_for_timeout(1_600)  # a person takes longer, and what is faster counts as a robot
    page.click("main form button")
    page.wait_for_selector("main form", state="detached")
    assert PendingOptIn.objects.count() == 1
    assert complaints == []


def test_who_presses_before_the_sum_is_done_waits_and_presses_no_second_time(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_timeout(1_600)
    said = page.evaluate("""() => {  // in one go: nothing is focused before, and the sum has not begun
        document.querySelector("#address").value = "zoe@example.org";
        document.querySelector("main form").requestSubmit();
        return document.querySelector("main form button").textContent;
    }""")
    assert said == "One moment…"
    page.wait_for_selector("main form", state="detached", timeout=60_000)
    assert PendingOptIn.objects.count() == 1


@pytest.mark.parametrize(("language", "said"), [("en-GB", "Write to us instead"), ("fr-FR", "Écrivez-nous plutôt")])
def test_without_javascript_the_page_says_what_to_do(browser: Any, address: str, language: str, said: str) -> None:
    context = browser.new_context(java_script_enabled=False, locale=language, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(address)
    note = page.locator("#needs-script")
    assert note.is_visible()
    assert said in note.inner_text()
    assert "bonjour@jardins.example" in note.inner_text()
    page.fill("#address", "zoe@example.org")
    page.click("main form button")
    page.wait_for_load_state()
    assert page.locator("#needs-script").is_visible()
    assert page.input_value("#address") == "zoe@example.org"
    assert not PendingOptIn.objects.exists()
    context.close()
