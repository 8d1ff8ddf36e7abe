"""A delivery in the browser: from nothing to its results on one page, whoever looks at it and with whatever."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django.utils.translation import gettext, ngettext, override

from deliveries import analysis, scheduling, sending, tasks
from deliveries.models import Delivery, Proof, State
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile, Service, Source
from tests.browser.test_public_screens import barriers
from tests.browser.test_why import logged_in
from tests.browser.visiting import DESKTOP, OVERFLOW
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory
from tests.sink import Sink

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SMALL_PHONE = {"width": 375, "height": 800}
BY = Evidence(source=Source.OPERATOR, actor_name="pierre", reason="Asked at the counter")


class Reader:
    """Somebody who works in the back-office in one language; words are given in English."""

    def __init__(self, page: Any, live_server: Any, language: str = "en") -> None:
        self.page, self.language = logged_in(page, live_server, language), language
        self.clicks = 0

    def words(self, english: str, **names: object) -> str:
        with override(self.language):
            return gettext(english) % names

    def counted(self, one: str, many: str, number: int) -> str:
        with override(self.language):
            return ngettext(one, many, number) % {"number": number, "n": number}

    def press(self, name: str) -> None:
        self.clicks += 1
        self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        self.clicks += 1
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def reads(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def open(self, delivery: Delivery) -> None:
        self.page.goto(f"/admin/deliveries/delivery/{delivery.pk}/")


@pytest.fixture
def garden() -> Service:
    """A newsletter with four subscribers, one of whom has opted out."""
    service: Service = ServiceFactory.create(label={"en": "Garden news", "fr": "Nouvelles du jardin"})
    for _n in range(4):
        ProfileFactory.create(services=[service])
    out = Profile.objects.earliest("pk")
    consent.opt_out([out.pk], channel=Channel.EMAIL, evidence=BY, at=timezone.now())
    return service


def analysed(service: Service) -> Delivery:
    delivery = DeliveryFactory.create(service=service, label="Spring at last")
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    return delivery


@pytest.mark.parametrize("language", ["en", "fr"])
def test_from_nothing_to_a_finished_delivery(
    page: Any, live_server: Any, sink: Sink, garden: Service, language: str
) -> None:
    reader = Reader(page, live_server, language)
    page.goto("/admin/deliveries/delivery/add/")
    page.fill("#id_label", "Spring at last")
    page.select_option("#id_brand", label=str(garden.brand))
    page.select_option("#id_service", value=str(garden.pk))
    page.fill("#id_contents-0-subject", "Hello {{ profile.first_name }}")
    page.fill("#id_contents-1-subject", "Bonjour {{ profile.first_name }}")
    page.locator("button[name=_save]").click()
    page.wait_for_url("**/admin/deliveries/delivery/*/")
    workspace, delivery = page.url, Delivery.objects.get()

    reader.press(reader.words("Send a test to me"))
    reader.reads(reader.words("A test is on its way to %(address)s.", address="emilie@jardins.example"))
    for proof in Proof.objects.all():
        tasks.send_proof(proof.pk)
    assert sink.recipients == ["emilie@jardins.example"] * 2

    reader.press(reader.words("Analyse"))
    page.locator("#progress").wait_for()
    tasks.analyse_delivery(delivery.pk)  # what the worker does when it is rung; the page then finds it by itself
    page.get_by_role("link", name=reader.words("Check and send…")).wait_for()
    assert page.url == workspace
    reader.follow(reader.words("Check and send…"))
    reader.press(reader.counted("Send %(number)s message", "Send %(number)s messages", 3))
    page.locator("#progress").wait_for()
    assert page.url == workspace
    tasks.send_delivery(delivery.pk)
    page.locator("#progress").wait_for(state="detached")
    delivery.refresh_from_db()
    assert delivery.state == State.FINISHED
    assert len(sink.caught) == 2 + 3
    with override(language):
        done = reader.words("%(percent)s sent", percent=gettext("%(number)s%%") % {"number": 100})
    reader.reads(done[:1].upper() + done[1:])
    assert page.url == workspace


def test_a_delivery_is_scheduled_and_goes_by_itself(page: Any, live_server: Any, sink: Sink, garden: Service) -> None:
    reader, delivery = Reader(page, live_server), analysed(garden)
    reader.open(delivery)
    reader.follow("Check and send…")
    moment = (timezone.now() + timedelta(days=2)).replace(second=0, microsecond=0)
    page.get_by_label("Day").fill(f"{moment:%Y-%m-%d}")
    page.get_by_label("Time").fill(f"{moment:%H:%M}")
    reader.press("Schedule")
    reader.reads("Scheduled for")
    reader.reads("It starts by itself on")
    later = moment + timedelta(seconds=1)
    assert scheduling.start_due(later).to_analyse == [delivery.pk]
    page.reload()
    reader.reads("If you stop it, the date goes away too.")
    analysis.work(delivery.pk)
    assert scheduling.start_due(later).to_send == [delivery.pk]
    tasks.send_delivery(delivery.pk)
    reader.open(delivery)
    reader.reads("Sending began by itself, as scheduled")
    assert len(sink.caught) == 3


def test_why_a_person_was_left_out_takes_at_most_three_clicks(page: Any, live_server: Any, garden: Service) -> None:
    reader, delivery = Reader(page, live_server), analysed(garden)
    out = str(Profile.objects.earliest("pk"))
    page.goto("/admin/")
    reader.follow(delivery.label)
    reader.follow("Opted out of this channel")
    page.get_by_role("link", name=out, exact=True).wait_for()
    for part in ("Opted out", "Operator", "pierre", "Asked at the counter"):
        reader.reads(part)
    assert reader.clicks <= 3
    assert "example.org" not in page.url


def test_without_scripts_a_link_refreshes(browser: Any, live_server: Any, garden: Service) -> None:
    context = browser.new_context(base_url=live_server.url, locale="en-GB", java_script_enabled=False)
    context.set_default_timeout(10_000)
    reader, delivery = Reader(context.new_page(), live_server), DeliveryFactory.create(service=garden)
    analysis.start(delivery, at=timezone.now())
    reader.open(delivery)
    reader.reads("Nothing is sent.")
    analysis.work(delivery.pk)
    reader.follow("Refresh")
    reader.page.get_by_role("link", name="Check and send…").wait_for()
    context.close()


def test_what_is_being_read_stays_while_the_rest_moves(
    page: Any, live_server: Any, sink: Sink, garden: Service
) -> None:
    reader, delivery = Reader(page, live_server), analysed(garden)
    sending.start(delivery, at=timezone.now())
    reader.open(delivery)
    page.get_by_text("other reasons: nobody").click()
    page.locator("#part-rail a").first.focus()
    Delivery.objects.filter(pk=delivery.pk).update(error="550 something new")
    page.get_by_text("550 something new").wait_for()  # fetched by itself
    assert page.evaluate("() => document.activeElement.classList.contains('c-rail-name')")
    assert page.locator("#nobody").evaluate("element => element.open")


def stages(service: Service) -> Iterator[tuple[str, Delivery, str]]:
    """Lead a delivery through its life; yield the name of each stage, and the page to look at."""
    delivery = DeliveryFactory.create(service=service, label="Spring at last")
    page = f"/admin/deliveries/delivery/{delivery.pk}/"
    delivery.contents.filter(language="en").update(subject="")
    yield "a draft with an error", delivery, page
    delivery.contents.filter(language="en").update(subject="Hello")
    analysis.start(delivery, at=timezone.now())
    yield "being analysed", delivery, page
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    yield "analysed", delivery, page
    yield "before sending", delivery, page + "send/"
    scheduling.schedule(delivery, at=timezone.now() + timedelta(days=1), now=timezone.now())
    yield "scheduled", delivery, page
    scheduling.unschedule(delivery)
    sending.start(delivery, at=timezone.now())
    yield "being sent", delivery, page
    sending.work(delivery.pk)
    yield "finished", delivery, page


@pytest.mark.parametrize(
    ("language", "views"),
    [
        ("en", [("light", DESKTOP), ("dark", SMALL_PHONE)]),
        ("fr", [("light", SMALL_PHONE), ("dark", DESKTOP)]),
    ],
)
def test_no_stage_has_a_barrier_and_all_fit_a_phone(
    page: Any, live_server: Any, sink: Sink, garden: Service, language: str, views: list[Any]
) -> None:
    Reader(page, live_server, language)
    found: list[Any] = []
    number = 0
    for number, (name, _delivery, path) in enumerate(stages(garden), start=1):  # noqa: B007
        for scheme, size in views:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(size)
            page.goto(path)
            grave = [barrier for barrier in barriers(page) if barrier[1] in ("serious", "critical")]
            found += [(name, scheme, size["width"], *barrier) for barrier in grave]
            found += [(name, size["width"], wider) for wider in [page.evaluate(OVERFLOW)] if wider > 0]
        page.goto("about:blank")  # or it would load itself again when its delivery moves on
    assert found == []
    assert number == 7
