"""While a message is being written, its frame shows it; nothing is saved by that."""

from typing import Any

import pytest
from django.urls import reverse

from profiles.models import OutboxMessage, Service
from tests.browser.test_why import logged_in
from tests.factories import ServiceFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_message_is_shown_as_it_is_written_and_then_saved(page: Any, live_server: Any) -> None:
    service = ServiceFactory.create(label={"en": "Garden news"})
    logged_in(page, live_server).goto(reverse("admin:profiles_service_change", args=[service.pk]))
    frame = page.frame_locator("iframe[name=c-messages]")
    frame.get_by_text("You are subscribed to “Garden news”").first.wait_for()

    page.locator("#id_on_subscribe").select_option("own", force=True)
    page.fill("[name=subscribe_subject_en]", "Welcome to <b>us</b>")
    page.fill("[name=subscribe_text_en]", "First line.\n\n<img src=x onerror=parent.document.title='run'>")
    page.get_by_role("button", name="Show what is written now").click()
    frame.get_by_text("Welcome to <b>us</b>").wait_for()
    frame.get_by_text("First line.").wait_for()
    assert page.title() != "run"
    assert Service.objects.get().subscribe_subject == {}

    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/profiles/service/")
    assert Service.objects.get().subscribe_subject == {"en": "Welcome to <b>us</b>"}
    assert not OutboxMessage.objects.exists()


def test_the_enter_key_saves(page: Any, live_server: Any) -> None:
    service = ServiceFactory.create()
    logged_in(page, live_server).goto(reverse("admin:profiles_service_change", args=[service.pk]))
    page.fill("[name=label_en]", "Renamed")
    page.press("[name=label_en]", "Enter")
    page.wait_for_url("**/admin/profiles/service/")
    assert Service.objects.get().label["en"] == "Renamed"
