"""An audience in the browser: built by pointing or by the keyboard alone, counted meanwhile, without scripts too."""

from typing import Any

import pytest
from django.utils.translation import gettext, ngettext, override

from deliveries.models import Audience
from profiles.models import Service
from tests.browser.test_public_screens import barriers
from tests.browser.test_why import logged_in
from tests.browser.visiting import DESKTOP, FOCUS, OVERFLOW
from tests.factories import ProfileFactory, ServiceFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SMALL_PHONE = {"width": 375, "height": 800}
ADD = "/admin/deliveries/audience/add/"


@pytest.fixture
def garden() -> Service:
    """A newsletter with three subscribers, one of whom lives in Belgium, and somebody else."""
    service: Service = ServiceFactory.create(label={"en": "Garden news", "fr": "Nouvelles du jardin"})
    for country in ("FR", "FR", "BE"):
        ProfileFactory.create(services=[service], country=country)
    ProfileFactory.create(first_name="Ada", last_name="Lovelace", email="ada@example.org", country="GB", language="en")
    return service


def words(language: str, english: str, **names: object) -> str:
    with override(language):
        return gettext(english) % names


def people(language: str, number: int) -> str:
    with override(language):
        return ngettext("%(number)s person", "%(number)s people", number) % {"number": number}


def counts(page: Any, language: str, number: int) -> None:
    """Wait until the summary says so."""
    page.locator(".c-crit-size").get_by_text(people(language, number), exact=True).wait_for()


def complaints(page: Any) -> list[str]:
    """Return what the page complains of from now on."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_audience_is_built_by_pointing(page: Any, live_server: Any, garden: Service, language: str) -> None:
    logged_in(page, live_server, language)
    wrong = complaints(page)
    page.goto(ADD)
    counts(page, language, 4)
    page.get_by_label(words(language, "Name")).fill("Neighbours")
    page.get_by_role("button", name=words(language, "Add a condition"), exact=True).click()
    field = page.locator("#criteria-1-field")
    page.wait_for_function("() => document.activeElement.id === 'criteria-1-field'")
    field.select_option("subscription")
    page.get_by_label(str(garden.label[language])).check()
    counts(page, language, 3)

    page.get_by_role("button", name=words(language, "Add a group of conditions"), exact=True).click()
    page.wait_for_function("() => document.activeElement.id === 'criteria-2-how'")
    page.locator("#criteria-2-how").select_option("none")
    page.locator("[id='criteria-2.1-field']").select_option("country")
    find = page.get_by_label(words(language, "Find a choice"))
    find.fill("belg")
    page.locator("[id='criteria-2.1-values'] .c-choice:visible").get_by_role("checkbox").check()
    counts(page, language, 2)
    assert page.locator(".c-crit-sum li").count() == 2
    assert "•••@example.org" in page.locator(".c-crit-sum").inner_text()
    assert page.locator("[role=status][data-said]").inner_text() == people(language, 2)

    page.locator("button[name=_save]").click()
    page.wait_for_url("**/admin/deliveries/audience/")
    assert Audience.objects.get().criteria == {
        "all": [
            {"field": "subscription", "op": "in", "value": [garden.pk]},
            {"not": {"any": [{"field": "country", "op": "in", "value": ["BE"]}]}},
        ]
    }
    assert wrong == []


def reach(page: Any, selector: str) -> None:
    """Press Tab until something has the focus, and see the frame around it."""
    for _n in range(80):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            assert page.evaluate(FOCUS), selector
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{selector} is not reached by Tab")


def test_an_audience_is_built_by_the_keyboard_alone(page: Any, live_server: Any, garden: Service) -> None:
    logged_in(page, live_server)
    page.goto(ADD)
    counts(page, "en", 4)
    page.locator("#id_name").focus()
    page.keyboard.type("English")
    reach(page, "button[value='row:']")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.id === 'criteria-1-field'")
    page.keyboard.type("Language")
    page.locator("#criteria-1-op").wait_for()
    assert page.evaluate("() => document.activeElement.id") == "criteria-1-field"
    reach(page, "#criteria-1-value-en")
    page.keyboard.press("Space")
    counts(page, "en", 1)
    reach(page, "button[value='drop:1']")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.value === 'row:'")
    counts(page, "en", 4)
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.id === 'criteria-1-field'")
    page.keyboard.type("Name")
    page.locator("#criteria-1-op").wait_for()
    reach(page, "#criteria-1-value")
    page.keyboard.type("ada")
    counts(page, "en", 1)
    page.keyboard.press("Enter")  # saves, as in any other form
    page.wait_for_url("**/admin/deliveries/audience/")
    assert Audience.objects.get().criteria == {"all": [{"field": "search", "op": "contains", "value": "ada"}]}


def test_an_audience_is_built_without_scripts(browser: Any, live_server: Any, garden: Service) -> None:
    context = browser.new_context(base_url=live_server.url, locale="en-GB", java_script_enabled=False)
    context.set_default_timeout(10_000)
    page = logged_in(context.new_page(), live_server)
    page.goto(ADD)
    page.locator("#id_name").fill("French")
    page.locator("#id_name").press("Enter")  # the first button of the form: nothing is saved by accident
    assert not Audience.objects.exists()
    page.get_by_role("button", name="Add a condition", exact=True).click()
    page.locator("#criteria-1-field").select_option("language")
    page.get_by_role("button", name="Show its choices").click()
    page.get_by_label("French", exact=True).check()
    page.get_by_role("button", name="Show how many people").click()
    counts(page, "en", 3)
    assert page.locator("#id_name").input_value() == "French"
    page.locator("button[name=_save]").click()
    assert Audience.objects.get().criteria == {"all": [{"field": "language", "op": "in", "value": ["fr"]}]}
    context.close()


def test_a_refused_form_shows_where_and_keeps_what_was_typed(page: Any, live_server: Any, garden: Service) -> None:
    logged_in(page, live_server)
    page.goto(ADD)
    page.locator("#id_name").fill("Grown-ups")
    page.locator("button[value='row:']").click()
    page.locator("#criteria-1-field").select_option("age")
    page.locator("#criteria-1-op").select_option("between")
    page.locator("#criteria-1-value").fill("30")
    page.locator("#criteria-1-value-2").fill("18")
    page.locator("button[name=_save]").click()
    page.locator("#criteria-1-problem").get_by_text("The first value must not be above the second.").wait_for()
    assert page.locator("#criteria-1-value-2").input_value() == "18"
    page.locator("#criteria-1-value-2").fill("48")
    page.locator("button[name=_save]").click()
    page.wait_for_url("**/admin/deliveries/audience/")
    assert Audience.objects.get().criteria["all"][0]["value"] == [30, 48]


DEEP = {
    "any": [
        {"field": "country", "op": "in", "value": ["FR"]},
        {"all": [{"field": "age", "op": "between", "value": [18, 30]}, {"not": {"any": [
            {"field": "received", "op": "last_days", "value": 30},
            {"field": "birth_date", "op": "between", "value": ["1980-01-01", "1990-01-01"]},
            {"field": "external_id", "op": "in", "value": ["A", "B"]},
        ]}}]},
    ]
}  # fmt: skip


@pytest.mark.parametrize(("language", "scheme"), [("en", "dark"), ("fr", "light")])
def test_the_builder_has_no_barrier_and_fits_a_phone(
    page: Any, live_server: Any, garden: Service, language: str, scheme: str
) -> None:
    logged_in(page, live_server, language)
    audience = Audience.objects.create(name="Deep", criteria=DEEP)
    page.emulate_media(color_scheme=scheme)
    for size in (DESKTOP, SMALL_PHONE):
        page.set_viewport_size(size)
        page.goto(f"/admin/deliveries/audience/{audience.pk}/change/")
        page.locator(".c-crit-size").wait_for()
        assert [one for one in barriers(page) if one[1] in ("serious", "critical")] == []
        assert page.evaluate(OVERFLOW) <= 0
