"""Writing a message: it is shown, and checked, while it is typed; fields go where the caret is."""

from typing import Any

import pytest
from django.urls import reverse

from deliveries.models import Delivery, DeliveryContent
from profiles.channels import Channel
from tests.browser.test_public_screens import barriers
from tests.browser.test_why import logged_in
from tests.browser.visiting import DESKTOP, OVERFLOW, PHONE
from tests.factories import DeliveryFactory, ServiceFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def writing(page: Any, live_server: Any, delivery: Delivery, language: str = "en") -> Any:
    logged_in(page, live_server, language)
    page.goto(reverse("admin:deliveries_delivery_content", args=[delivery.pk, language]))
    page.locator("#c-insert").wait_for()  # the script has run
    return page


def light(page: Any) -> Any:
    return page.frame_locator(".c-view-light iframe")


def test_preview_and_checks_follow_what_is_typed_and_nothing_is_saved_by_that(page: Any, live_server: Any) -> None:
    delivery = DeliveryFactory.create()
    before = list(DeliveryContent.objects.order_by("pk").values())
    writing(page, live_server, delivery)
    light(page).get_by_text("Hello Camille").wait_for()
    page.get_by_text("✓ The checks find nothing.").wait_for()

    page.get_by_label("HTML", exact=True).fill("<p>Spring, {{ profile.first_name }} {{ profile.frist_name }}</p>")
    page.get_by_label("Subject", exact=True).fill("At last, {{ profile.first_name }}")
    light(page).get_by_text("Spring, Camille").wait_for()
    page.locator(".c-inbox").get_by_text("At last, Camille").wait_for()
    page.get_by_text("The part “HTML” has no opt-out link.").wait_for()
    page.get_by_text("Did you mean {{ profile.first_name }}?").wait_for()
    assert page.locator("#c-status").inner_text() == "2 errors, 1 warning"
    page.get_by_text("Not saved yet").wait_for()

    page.get_by_label("HTML", exact=True).fill("<p>\n{% if profile.first_name %}")
    page.locator(".c-view-light").get_by_text("HTML, line 2").wait_for()
    assert list(DeliveryContent.objects.order_by("pk").values()) == before


def test_a_frame_that_has_not_changed_is_left_alone(page: Any, live_server: Any) -> None:
    writing(page, live_server, DeliveryFactory.create())
    page.eval_on_selector(".c-view-light iframe", "frame => { frame.kept = true }")
    page.get_by_label("Subject", exact=True).fill("Another")
    page.locator(".c-inbox").get_by_text("Another").wait_for()
    assert page.eval_on_selector(".c-view-light iframe", "frame => frame.kept")


def test_scripts_of_a_message_do_not_run(page: Any, live_server: Any) -> None:
    writing(page, live_server, DeliveryFactory.create())
    evil = "<p>Here</p><img src=x onerror=\"parent.document.title='run'\"><script>parent.document.title='run'</script>"
    page.get_by_label("HTML", exact=True).fill(evil)
    light(page).get_by_text("Here").wait_for()
    assert page.title() != "run"


def test_a_field_is_inserted_by_keyboard_where_the_caret_was(page: Any, live_server: Any) -> None:
    writing(page, live_server, DeliveryFactory.create())
    html, subject = page.get_by_label("HTML", exact=True), page.get_by_label("Subject", exact=True)
    html.fill('<p></p><a href=""></a>')
    for _press in range(len("</p>") + len('<a href=""></a>')):
        html.press("ArrowLeft")
    html.press("Home")
    for _press in range(len("<p>")):
        html.press("ArrowRight")
    for _press in range(30):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.textContent") == "Postal address":
            break
    page.keyboard.press("Enter")
    assert html.evaluate("field => field === document.activeElement")
    page.keyboard.type("!")
    assert html.input_value() == '<p>{{ brand.postal_address | newline_to_br }}!</p><a href=""></a>'

    assert page.locator("#c-into").inner_text() == "HTML"
    html.evaluate("field => { const at = field.value.indexOf('href=\"') + 6; field.setSelectionRange(at, at) }")
    page.get_by_role("button", name="Opt-out link").press("Space")
    assert 'href="{{ opt_out_url }}"' in html.input_value()
    subject.fill("Hello ")
    page.get_by_role("button", name="First name").press("Enter")
    assert subject.input_value() == "Hello {{ profile.first_name }}"
    page.keyboard.press("Control+z")
    assert subject.input_value() == "Hello "
    html.press("Control+End")
    page.get_by_role("button", name="Opt-out link").press("Enter")
    assert html.input_value().endswith('<a href="{{ opt_out_url }}">Unsubscribe</a>')
    light(page).get_by_text("1 rue des Lilas").wait_for()


def test_the_message_is_shown_on_a_desktop_on_a_phone_in_the_dark_and_as_text(page: Any, live_server: Any) -> None:
    writing(page, live_server, DeliveryFactory.create())
    frame, width = page.locator(".c-view-light iframe"), "document.documentElement.clientWidth"
    assert light(page).locator("body").evaluate(width) >= 600
    page.get_by_role("radio", name="Desktop").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="Phone").is_checked()
    assert frame.evaluate("frame => frame.offsetWidth") == 375
    page.keyboard.press("ArrowRight")
    page.get_by_text("A simulation").wait_for()
    dark = page.frame_locator(".c-view-dark iframe")
    dark.get_by_text("Hello Camille").wait_for()
    assert "invert" in dark.locator("html").evaluate("root => getComputedStyle(root).filter")
    assert not frame.is_visible()
    page.keyboard.press("ArrowRight")
    page.locator("pre.c-plain").get_by_text("Hello Camille").wait_for()

    page.get_by_role("textbox", name="Text").fill("Only text")
    page.locator("pre.c-plain").get_by_text("Only text").wait_for()
    assert page.get_by_role("radio", name="Text only").is_checked()


def test_saving_keeps_what_was_typed_and_leaving_without_it_asks(page: Any, live_server: Any) -> None:
    delivery = DeliveryFactory.create()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    writing(page, live_server, delivery)
    page.get_by_label("Subject", exact=True).press("End")
    page.keyboard.type("!")
    page.get_by_role("link", name="French").click()
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    assert "/content/en/" in page.url

    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("English is saved.").wait_for()
    assert delivery.contents.get(language="en").subject.endswith("!")
    page.get_by_role("link", name="French").click()
    page.wait_for_url("**/content/fr/")
    assert asked == ["beforeunload"]


def test_a_refused_text_is_still_unsaved(page: Any, live_server: Any) -> None:
    delivery = DeliveryFactory.create()
    writing(page, live_server, delivery)
    page.get_by_role("textbox", name="Text").fill("Hello\n{% endif %}")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("#id_text_errors").get_by_text("Text, line 2").wait_for()
    assert page.get_by_role("textbox", name="Text").input_value() == "Hello\n{% endif %}"
    assert page.locator("#c-unsaved").is_visible()


def test_the_preview_works_without_scripts(browser: Any, live_server: Any) -> None:
    delivery = DeliveryFactory.create()
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False, locale="en-GB")
    page = logged_in(context.new_page(), live_server)
    page.goto(reverse("admin:deliveries_delivery_content", args=[delivery.pk, "en"]))
    page.get_by_label("HTML", exact=True).fill("<p>Typed by hand</p>")
    page.get_by_role("button", name="Show the preview").click()
    light(page).get_by_text("Typed by hand").wait_for()
    page.locator("label", has_text="Phone").click()
    assert page.locator(".c-view-light iframe").bounding_box()["width"] == 375
    assert page.get_by_label("HTML", exact=True).input_value() == "<p>Typed by hand</p>"
    assert not delivery.contents.filter(html__contains="Typed").exists()
    context.close()


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.SMS])
def test_nothing_is_in_the_way_of_anybody(page: Any, live_server: Any, language: str, channel: Channel) -> None:
    service = ServiceFactory.create(channel=channel)
    delivery = DeliveryFactory.create(channel=channel, service=service, contents=channel == Channel.EMAIL)
    page.set_viewport_size(DESKTOP)
    writing(page, live_server, delivery, language)
    with page.expect_response("**/preview/"):
        page.locator("[name=text]").fill("{{ nope }}{% if %}")
    page.locator(".c-note-bad").first.wait_for()
    for scheme, size in (("light", DESKTOP), ("dark", PHONE), ("light", {"width": 375, "height": 812})):
        page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", scheme == "dark")
        page.set_viewport_size(size)
        serious = [one for one in barriers(page) if one[1] in ("serious", "critical")]
        assert serious == []
        assert page.evaluate(OVERFLOW) <= 0
