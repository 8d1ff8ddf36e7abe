"""Every screen that subscribers may come to: no barrier, in any colours, and each in one language."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.gallery import BRAND_WORDS, garden, tour
from tests.browser.visiting import DESKTOP, OVERFLOW, PHONE, Kind, Visit
from tests.landing.visitors import link, opt_out_url, published

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Visitors = Callable[..., Visit]
SCREENS = 38
# The size of what is pressed is a rule of WCAG 2.2 that axe leaves out unless asked.
AXE = {"rules": {"target-size": {"enabled": True}}, "resultTypes": ["violations"]}
# WCAG 2.2, 1.4.10: the narrowest is what a screen of 1280 shows at 400 %. The other is a phone at 200 %.
NARROWEST, PHONE_AT_200 = {"width": 320, "height": 640}, {"width": 195, "height": 422}
VIEWS = {"en": [("light", DESKTOP), ("dark", PHONE)], "fr": [("light", PHONE), ("dark", DESKTOP)]}
NUMBERS = re.compile(r"[\d\s:./,+•-]*")


def barriers(page: Any) -> list[tuple[str, str, str]]:
    """Return what axe finds, of any gravity: the rule, how grave it is, and where."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate("async options => (await axe.run(options)).violations", AXE)
    return [(rule["id"], rule["impact"], rule["nodes"][0]["html"]) for rule in found]


def see(visit: Visit, scheme: str, size: dict[str, int]) -> None:
    visit.page.emulate_media(color_scheme=scheme)
    visit.page.set_viewport_size(size)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_screen_has_a_barrier_and_all_fit_narrow_screens(visitors: Visitors, language: str) -> None:
    garden()
    visit = visitors(Kind(language, phone=True))
    found: list[Any] = []
    number = 0
    for number, name in enumerate(tour(visit), start=1):  # noqa: B007
        for scheme, size in VIEWS[language]:
            see(visit, scheme, size)
            found += [(name, scheme, size["width"], *barrier) for barrier in barriers(visit.page)]
        for size in (NARROWEST, PHONE_AT_200):
            see(visit, "light", size)
            found += [(name, size["width"], wider) for wider in [visit.page.evaluate(OVERFLOW)] if wider > 0]
    assert found == []
    assert number == SCREENS


def test_no_french_screen_says_anything_in_english(visitors: Visitors) -> None:
    garden()
    said: dict[str, dict[str, set[str]]] = {"en": {}, "fr": {}}
    for language, screens in said.items():
        visit = visitors(Kind(language))
        screens |= {name: set(visit.texts()) for name in tour(visit)}
    assert set(said["en"]) == set(said["fr"])
    alike = {(name, text) for name, english in said["en"].items() for text in english & said["fr"][name]}
    assert {one for one in alike if not NUMBERS.fullmatch(one[1]) and not BRAND_WORDS.fullmatch(one[1])} == set()
    assert all(said["fr"][name] - english for name, english in said["en"].items())


@pytest.mark.parametrize("color", ["#ffff00", "#ffffff", "#000000", "#ff7a00", "#777777"])
def test_any_colours_of_a_brand_can_be_read(visitors: Visitors, color: str) -> None:
    letter, visit = garden(color=color, page_color=color), visitors(Kind(phone=True))
    for url in (f"/p/{published(service=letter).slug}/", opt_out_url(link("zoe@example.org", letter))):
        visit.to(url)
        for scheme in ("light", "dark"):
            see(visit, scheme, PHONE)
            assert barriers(visit.page) == []
