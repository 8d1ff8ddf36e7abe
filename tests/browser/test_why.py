"""From the home page, in at most three clicks: why did this delivery reach this person, or not?"""

from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.utils import timezone

from deliveries import analysis, sending
from deliveries.models import Delivery, Reason
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Source
from quarantine import escalation
from quarantine.models import Cause
from tests.browser.test_public_screens import AXE
from tests.browser.visiting import DESKTOP, OVERFLOW, PHONE
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory, UserFactory
from tests.sink import running_sink

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def logged_in(page: Any, live_server: Any, language: str = "en") -> Any:
    client = Client()
    client.force_login(UserFactory.create(admin=True, language=language, email="emilie@jardins.example"))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    return page


@pytest.fixture
def story() -> Delivery:
    """A sent delivery: one got it, one had opted out by an operator, one address had come back."""
    service = ServiceFactory.create()
    ProfileFactory.create(email="got.it@example.org", services=[service])
    out = ProfileFactory.create(email="opted.out@example.org", services=[service])
    gone = ProfileFactory.create(email="gone@example.org", services=[service])
    before = timezone.now() - timedelta(days=3)
    by = Evidence(source=Source.OPERATOR, actor_name="pierre", reason="Asked at the counter")
    consent.opt_out([out.pk], channel=Channel.EMAIL, evidence=by, at=before)
    address = gone.addresses.get()
    target = escalation.Target(Channel.EMAIL, bytes(address.digest), address.value, address.key)
    escalation.quarantine(
        [target], cause=Cause.BOUNCE, evidence=Evidence(source=Source.BOUNCE), at=before, text="550 5.1.1 No such user"
    )
    delivery = DeliveryFactory.create(service=service, label="Spring at last")
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    with running_sink():
        sending.start(delivery, at=timezone.now())
        sending.work(delivery.pk)
    return delivery


EXPECTED = {
    "en": {
        "got.it@example.org": ["Spring at last", "Sent"],
        "opted.out@example.org": ["Spring at last", "Opted out of this channel", "Opted out", "Operator", "pierre"],
        "gone@example.org": ["Spring at last", "messages came back", "Message returned", "550 5.1.1"],
    },
    "fr": {
        "got.it@example.org": ["Spring at last", "Envoyé"],
        "opted.out@example.org": ["Spring at last", "Ne plus contacter (ce canal)", "Équipe", "pierre"],
        "gone@example.org": ["Spring at last", "550 5.1.1"],
    },
}
CASES = [(language, who) for language, people in EXPECTED.items() for who in people]


@pytest.mark.parametrize(("language", "who"), CASES)
def test_two_clicks_from_home_tell_why(page: Any, live_server: Any, story: Delivery, language: str, who: str) -> None:
    logged_in(page, live_server, language).goto("/admin/")
    page.fill("#c-find", who)  # one click into the box
    page.locator("form:has(#c-find) button").click()  # and one to search
    page.wait_for_url("**/admin/person/*/")
    assert "example.org" not in page.url
    section = page.locator("main, #content, body").first.inner_text()
    for part in EXPECTED[language][who]:
        assert part in section
    if "opted" in who:
        opted_on = timezone.localtime(timezone.now() - timedelta(days=3))
        assert str(opted_on.year) in section
        assert str(opted_on.day) in section


ANYWHERE = [
    "/admin/", "/admin/profiles/profile/", "/admin/profiles/profile/{gone}/change/", "/admin/person/{gone}/",
    "/admin/deliveries/delivery/{delivery}/", "/admin/deliveries/delivery/{delivery}/who/{reason}/",
    "/admin/quarantine/quarantinedaddress/", "/admin/landing/landingpage/", "/admin/profiles/service/add/",
    "/admin/campaign/user/",
]  # fmt: skip
TOLD = {
    "en": {"Spring at last", "Left out", "Address not in use: messages came back", "550 5.1.1", "Every rule"},
    "fr": {"Spring at last", "Écarté", "Adresse écartée : messages revenus", "550 5.1.1", "Toutes les règles"},
}


class Hand:
    """A hand on the mouse that counts its clicks."""

    def __init__(self, page: Any) -> None:
        self.page, self.clicks = page, 0

    def press(self, what: str) -> None:
        self.page.locator(what).first.click()
        self.clicks += 1


def barriers(page: Any) -> list[tuple[str, str]]:
    """Return what axe finds in the page's own content: the rule, and where."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate("async options => (await axe.run('#content', options)).violations", AXE)
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in found]


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_three_clicks_from_anywhere_tell_why(
    page: Any, live_server: Any, story: Delivery, language: str, size: dict[str, int]
) -> None:
    page.set_viewport_size(size)
    gone = ProfileFactory._meta.model.objects.get(addresses__value="gone@example.org")
    ids = {"gone": gone.pk, "delivery": story.pk, "reason": int(Reason.QUARANTINED_BOUNCE)}
    logged_in(page, live_server, language)
    for start in ANYWHERE if size == DESKTOP else ANYWHERE[:3]:
        page.goto(live_server.url + start.format(**ids))
        hand = Hand(page)
        if size == PHONE:
            hand.press("span[x-on\\:click^=sidebarMobileOpen]:visible")
        hand.press("#nav-sidebar a[href='/admin/why/']:visible")
        page.locator("#c-who").press_sequentially("gone@example.org")
        page.select_option("#c-delivery", label="Spring at last")
        hand.press("form:has(#c-who) button")
        page.locator(".c-became").wait_for()
        assert hand.clicks <= 3
        assert "gone" not in page.url
        shown = page.locator("#content").inner_text().replace("\u202f", " ").replace("\xa0", " ")
        assert {part for part in TOLD[language] if part not in shown} == set()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_one_click_in_the_list_of_people_tells_every_rule(
    page: Any, live_server: Any, story: Delivery, language: str
) -> None:
    reason = int(Reason.QUARANTINED_BOUNCE)
    logged_in(page, live_server, language).goto(f"/admin/deliveries/delivery/{story.pk}/who/{reason}/")
    page.locator("#content a[href*='/admin/why/']").click()
    page.locator(".c-became").wait_for()
    page.locator(".c-rules summary").first.click()
    assert page.locator(".c-rules[open] li").count() >= 10


@pytest.mark.parametrize("language", ["en", "fr"])
def test_neither_page_has_a_barrier_or_is_wider_than_a_phone(
    page: Any, live_server: Any, story: Delivery, language: str
) -> None:
    out = ProfileFactory._meta.model.objects.get(addresses__value="opted.out@example.org")
    ProfileFactory.create(email="opted.out@example.org")
    logged_in(page, live_server, language)
    found: list[Any] = []
    for path in ("/admin/why/", f"/admin/why/?profile={out.pk}&delivery={story.pk}", f"/admin/person/{out.pk}/"):
        for scheme, size in (("light", DESKTOP), ("dark", PHONE)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(size)
            page.goto(live_server.url + path)
            for summary in page.locator(".c-rules summary").all():
                summary.click()
            found += [(path, scheme, *barrier) for barrier in barriers(page)]
            found += [(path, wider) for wider in [page.evaluate(OVERFLOW)] if wider > 0]
    assert found == []


def test_a_marketer_goes_from_nothing_to_a_reviewed_delivery(page: Any, live_server: Any) -> None:
    """Write, save and analyse, see who is left out, and stand before the last button."""
    from deliveries.tasks import analyse_delivery

    service = ServiceFactory.create(label={"en": "Garden news"})
    for _n in range(3):
        ProfileFactory.create(services=[service])
    logged_in(page, live_server).goto("/admin/deliveries/delivery/add/")
    page.fill("#id_label", "First delivery")
    page.select_option("#id_brand", label=str(service.brand))
    page.select_option("#id_service", label="Garden news")
    page.fill("#id_contents-0-subject", "Hello {{ profile.first_name }}")
    page.get_by_role("button", name="Save and analyse").click()
    page.wait_for_url("**/admin/deliveries/delivery/*/")
    analyse_delivery(Delivery.objects.get().pk)  # what the worker does when it is rung
    page.get_by_role("link", name="Check and send…").click()
    page.get_by_role("heading", name="3 messages will be sent.").wait_for()
    assert page.get_by_role("button", name="Send 3 messages").is_visible()
