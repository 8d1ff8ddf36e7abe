"""From the home page, in at most three clicks: why did this delivery reach this person, or not?"""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from deliveries import analysis, sending
from deliveries.models import Delivery
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Source
from quarantine import escalation
from quarantine.models import Cause
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
