"""A scanner opens every link of a thousand messages, and of every page that they lead to: nothing changes.

Filters of mail servers do so before people read their mail: a link that acted when opened would opt out companies.
"""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from deliveries import analysis, composing, confirmations, sending
from deliveries.models import Delivery, DeliveryContent, DeliveryLog, LogStatus, State
from landing.models import Kind, LandingPage
from landing.tasks import handle_requests
from profiles.channels import Channel
from profiles.models import Address, Confirmation, Profile, Service, Subscription
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory
from tests.landing.crawling import Scanner, counts, in_message, state
from tests.landing.visitors import link, one_click_url, opt_out_url, published, send, visitor
from tests.sink import running_sink

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
PEOPLE, SENT = 1_000, 20
# Every path that a scanner comes to. One that is new here is a page that nobody has thought about: look at it first.
PATHS = {
    "/o/<token>/", "/u/<token>", "/c/<token>/", "/undo/<token>/", "/m/<token>/", "/m/<token>/history.json",
    "/p/page-#/", "/static/landing/public.css", "/accent/<colour>.css",
}  # fmt: skip


def subscribers(service: Service, number: int, name: str) -> None:
    profiles = Profile.objects.bulk_create(
        Profile(first_name="Zoé", last_name=f"Martin{n}", language="fr" if n % 2 else "en") for n in range(number)
    )
    Address.objects.bulk_create(
        Address.make(Channel.EMAIL, f"{name}{n}@example.org", profile=profile) for n, profile in enumerate(profiles)
    )
    Subscription.objects.bulk_create(
        Subscription(service=service, profile=profile, source="import") for profile in profiles
    )


def analysed(service: Service, pages: list[LandingPage]) -> Delivery:
    """Return a delivery to the subscribers of a service, whose messages lead to all kinds of page as well."""
    delivery: Delivery = DeliveryFactory.create(service=service)
    links = " ".join(f'<a href="{page.public_address}">{page.kind}</a>' for page in pages)
    for content in DeliveryContent.objects.filter(delivery=delivery):
        content.html += f"<p>{links}</p>"
        content.save(update_fields=["html"])
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def composed(delivery: Delivery) -> list[EmailMessage]:
    """Return the messages of a delivery as its sending makes them, one for each row to send."""
    composer = composing.Composer(delivery)
    people = Profile.objects.in_bulk()
    found = []
    for row in DeliveryLog.objects.filter(run=delivery.current_run, status=LogStatus.PENDING):
        person = people[row.profile_id]
        envelope = composer.compose(row, person)
        message = message_from_bytes(envelope.body, policy=policy.default)
        assert isinstance(message, EmailMessage)
        found.append(message)
    return found


def ask_for_confirmations(pages: list[LandingPage], service: Service) -> None:
    """Have each kind of confirmation sent: to confirm, subscribed, unsubscribed, the link to the preferences."""
    for address in ("leaves@example.org", "chooses@example.org"):
        ProfileFactory.create(email=address, services=[service])
    at_once = published(service=service)
    at_once.published.double_opt_in = False
    at_once.published.save()
    typed = {
        Kind.SUBSCRIPTION: "asks@example.org", Kind.OPT_IN: "asks.too@example.org",
        Kind.UNSUBSCRIPTION: "leaves@example.org", Kind.PREFERENCES: "chooses@example.org",
    }  # fmt: skip
    visitor().post(one_click_url(link("chooses@example.org", service)))  # something to read in their history
    for page in pages:
        if page.kind in typed:
            assert send(visitor(), page, typed[Kind(page.kind)]).status_code == 200
    assert send(visitor(), at_once, "joins@example.org").status_code == 200
    handle_requests()
    confirmations.drain()


@pytest.fixture
def sent() -> list[EmailMessage]:
    """Twenty messages sent by the engine, and one confirmation of each kind."""
    service = ServiceFactory.create(on_subscribe=Confirmation.DEFAULT, on_unsubscribe=Confirmation.DEFAULT)
    pages = [published(kind, service=service) for kind in Kind]
    subscribers(service, SENT, "sent")
    delivery = analysed(service, pages)
    with running_sink() as sink:
        sending.start(delivery, at=timezone.now())
        sending.work(delivery.pk)
        ask_for_confirmations(pages, service)
    delivery.refresh_from_db()
    assert delivery.state == State.FINISHED
    return [caught.message for caught in sink.caught]


def test_a_scanner_that_opens_every_link_changes_nothing(
    sent: list[EmailMessage], django_capture_on_commit_callbacks: Any
) -> None:
    crowd = ServiceFactory.create()
    subscribers(crowd, PEOPLE, "made")
    messages = sent + composed(analysed(crowd, list(LandingPage.objects.filter(name__startswith="Page"))))
    subjects = {str(message["Subject"]) for message in messages}
    assert len(messages) >= PEOPLE + SENT + 5
    assert len(subjects) > 5
    held = {url for message in messages for url in in_message(message)}
    assert len(held) >= 2 * (PEOPLE + SENT)
    ProfileFactory.create(email="undoes@example.org")
    stopped = visitor().post(opt_out_url(link("undoes@example.org", delivery=1)), {"choice": "channel"})
    held.add(settings.PUBLIC_URL + stopped.context["undo"])
    before, looks = state(), counts()
    scanner = Scanner(settings.PUBLIC_URL)
    with django_capture_on_commit_callbacks() as rung:
        scanner.scan(sorted(held))
    assert state() == before
    assert rung == [], "no task was rung"
    assert counts() != looks, "what is looked at is counted in the cache, and nowhere else"
    assert held == scanner.opened_whole | scanner.foreign
    assert scanner.paths == PATHS
    assert scanner.foreign == set()
    assert set(scanner.statuses) == {200}
    assert scanner.scripts == 0


def test_a_scanner_notices_a_page_that_acts_when_opened(sent: list[EmailMessage]) -> None:
    """The test above would fail: a link that acts leaves its mark in the state that is compared."""
    before = state()
    url = next(url for url in sorted(in_message(sent[0])) if "/u/" in url)
    visitor().post(url.removeprefix(settings.PUBLIC_URL))
    assert state()[0] != before[0]
    send(visitor(), published(), "somebody@example.org")
    assert state()[1] != before[1]
