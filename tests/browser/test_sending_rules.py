"""Sending rules by pointing: contact pressure is added, put in order, and chosen for a delivery."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils.translation import gettext, ngettext, override

from deliveries.models import Audience, RuleKind, Typology
from tests.browser.test_public_screens import barriers
from tests.browser.test_why import logged_in
from tests.browser.visiting import DESKTOP, OVERFLOW
from tests.factories import DeliveryFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NARROW = {"width": 375, "height": 812}
MINORS = {"all": [{"field": "age", "op": "lte", "value": 15}]}


def words(language: str, english: str) -> str:
    with override(language):
        return gettext(english)


def nothing_is_in_the_way(page: Any) -> None:
    """Check what holds for every page: no barrier, and all of it on a phone, light and dark."""
    for scheme, size in (("light", DESKTOP), ("dark", NARROW), ("light", NARROW)):
        page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", scheme == "dark")
        page.set_viewport_size(size)
        assert [one for one in barriers(page) if one[1] in ("serious", "critical")] == []
        assert page.evaluate(OVERFLOW) <= 0


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_pressure_rule_is_added_by_pointing(page: Any, live_server: Any, language: str) -> None:
    rules = Typology.objects.create(name="Calm")
    logged_in(page, live_server, language)
    page.set_viewport_size(NARROW)
    page.goto(reverse("admin:deliveries_typology_change", args=[rules.pk]))
    always = "People who opted out and addresses not in use are always left out; no rule can change that."
    page.get_by_text(words(language, always)).wait_for()
    page.get_by_role("link", name=words(language, "Contact pressure")).click()
    page.locator("[name=label]").fill("Calm")
    page.locator("[name=most]").fill("2")
    page.locator("[name=period]").fill("2")
    page.locator("[name=unit]").select_option(label=words(language, "weeks"))
    page.get_by_label(words(language, "Email"), exact=True).check()
    nothing_is_in_the_way(page)
    page.get_by_role("button", name=words(language, "Save"), exact=True).click()
    page.wait_for_url(f"**/typology/{rules.pk}/change/")
    rule = rules.rules.get()
    assert (rule.kind, rule.most, rule.hours, rule.channels) == (RuleKind.FATIGUE, 2, 14 * 24, [1])
    assert rule.active
    with override(language):
        one, many = (f"At most %(most)s message{s} in any %(span)s, sent or to come." for s in ("", "s"))
        told = ngettext(one, many, 2)
    assert told.partition("%")[0].strip() in page.locator(".c-rule").inner_text()
    nothing_is_in_the_way(page)


def test_rules_are_put_in_order_by_their_buttons(page: Any, live_server: Any) -> None:
    rules = Typology.objects.create(name="Calm")
    for place, label in enumerate(("Minors", "Elders")):
        rules.rules.create(kind=RuleKind.FILTERING, label=label, place=place, criteria=MINORS)
    logged_in(page, live_server)
    page.goto(reverse("admin:deliveries_typology_change", args=[rules.pk]))
    with page.expect_navigation():
        page.get_by_role("button", name="Move “Elders” up").click()
    assert page.locator(".c-rule-name a").all_inner_texts() == ["Elders", "Minors"]
    assert page.get_by_role("button", name="Move “Elders” up").is_disabled()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_delivery_asks_only_for_what_its_target_needs(page: Any, live_server: Any, language: str) -> None:
    delivery = DeliveryFactory.create()
    readers = Audience.objects.create(name="Readers", criteria=MINORS)
    logged_in(page, live_server, language)
    page.goto(reverse("admin:deliveries_delivery_change", args=[delivery.pk]))
    audience, people, service = (page.locator(f"#id_{name}") for name in ("audience", "people_list", "service"))

    def shown() -> list[bool]:
        return [one.is_visible() for one in (audience, people, service)]

    assert shown() == [False, False, True]
    page.locator("#id_target").select_option("list")
    assert shown() == [False, True, True]
    page.locator("#id_target").select_option("audience")
    assert shown() == [True, False, True]
    audience.select_option(label="Readers")
    nothing_is_in_the_way(page)
    page.get_by_role("button", name=words(language, "Save"), exact=True).click()
    page.wait_for_url(f"**/{delivery.pk}/")
    delivery.refresh_from_db()
    assert delivery.audience == readers
