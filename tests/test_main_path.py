"""The whole path: a delivery leaves over SMTP, people answer it in every way there is, and the next analysis knows."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import analysis, sending
from deliveries.models import Delivery, DeliveryLog, Reason, State
from landing import publishing
from landing import tasks as landing_tasks
from profiles.models import Act, ConsentEvent, Profile, Source
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory, UserFactory
from tests.landing.visitors import tables
from tests.profiles.test_profile_page import save
from tests.sink import Caught, Sink, running_sink

pytestmark = pytest.mark.django_db
URL = re.compile(r"https?://[^\s\"'<>)]+")
WAYS = ("page", "one_click", "operator", "import", "typed")


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running_sink() as running:
        yield running


@pytest.fixture
def delivery(sink: Sink) -> Delivery:
    """A delivery that has just been sent, to one person per way of leaving and one who stays."""
    service = ServiceFactory.create(name="garden")
    publishing.default_pages(service, at=timezone.now())
    for way in (*WAYS, "stays"):
        ProfileFactory.create(email=f"{way}@example.org", external_id=way, services=[service])
    sent = analysed(DeliveryFactory.create(service=service))
    sending.start(sent, at=timezone.now())
    sending.work(sent.pk)
    sent.refresh_from_db()
    assert sent.state == State.FINISHED
    assert len(sink.caught) == 6
    return sent


def analysed(delivery: Delivery) -> Delivery:
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def mail_to(sink: Sink, who: str) -> Caught:
    return next(caught for caught in sink.caught if caught.recipient == f"{who}@example.org")


def paths_in(text: str) -> set[str]:
    """Return the paths of our own addresses in a text."""
    found = (urlsplit(url) for url in URL.findall(text) if "w3.org" not in url)
    return {url.path + (f"?{url.query}" if url.query else "") for url in found}


def links_of(caught: Caught) -> set[str]:
    message = caught.message
    texts = [str(value) for value in message.values()]
    texts += [str(part.get_content()) for part in message.walk() if part.get_content_maintype() == "text"]
    return {path for text in texts for path in paths_in(text)}


def crawl(start: set[str]) -> set[str]:
    """Open everything that a scanner would find, with each safe method; return what was seen."""
    seen: set[str] = set()
    todo = set(start)
    while todo and len(seen) < 500:
        path = todo.pop()
        seen.add(path)
        for method in ("head", "options", "get"):
            answer = getattr(Client(), method)(path)
            assert answer.status_code < 500, path
            assert not answer.cookies, path
        html = answer.content.decode("utf-8", "replace") if "html" in answer.get("Content-Type", "") else ""
        local = {
            href
            for href in re.findall(r'(?:href|src|action)="(/[^"#]*)"', html)
            if not href.startswith(("/admin", "/static"))
        }
        todo |= (local | paths_in(html)) - seen
    return seen


def test_a_scanner_that_opens_every_link_changes_nothing(delivery: Delivery, sink: Sink) -> None:
    before = tables()
    seen = crawl({path for caught in sink.caught for path in links_of(caught)})
    assert len([path for path in seen if path.startswith("/o/")]) >= 6
    assert len([path for path in seen if path.startswith("/u/")]) >= 6
    assert tables() == before


def leave_by_page(sink: Sink) -> None:
    page = next(path for path in links_of(mail_to(sink, "page")) if path.startswith("/o/"))
    html = Client().get(page).content.decode()
    assert "p•••@example.org" in html
    button = re.search(r'<button[^>]*name="([^"]+)"[^>]*value="([^"]+)"', html)
    assert button, html
    assert Client().post(page, {button[1]: button[2]}).status_code == 200


def leave_by_one_click(sink: Sink) -> None:
    header = mail_to(sink, "one_click").message["List-Unsubscribe"]
    answer = Client(enforce_csrf_checks=True).post(
        urlsplit(header.strip("<>")).path,
        b"List-Unsubscribe=One-Click",
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status_code // 100 == 2


def leave_by_operator() -> None:
    client = Client()
    client.force_login(UserFactory.create(admin=True, username="emilie"))
    save(client, Profile.objects.get(external_id="operator"), no_contact_blacklisted_email="on")


def leave_by_import(folder: Path) -> None:
    file = folder / "opted-out.csv"
    file.write_text("external_id,blacklisted\nimport,yes\n")
    call_command("import_profiles", str(file), "--source", "Former system", "--basis", "Opt-outs")


def leave_by_typing(travel: Any) -> None:
    html = Client().get("/p/stop-garden/").content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', html))
    with travel():
        assert Client().post("/p/stop-garden/", {**hidden, "address": "TYPED@example.org"}).status_code == 200
    landing_tasks.handle_requests()


def test_each_way_of_leaving_shows_in_the_ledger_and_in_the_next_analysis(
    delivery: Delivery, sink: Sink, tmp_path: Path, capsys: Any
) -> None:
    from datetime import timedelta

    import time_machine

    leave_by_page(sink)
    leave_by_one_click(sink)
    leave_by_operator()
    leave_by_import(tmp_path)
    leave_by_typing(lambda: time_machine.travel(timezone.now() + timedelta(seconds=5), tick=True))
    people = {person.external_id: person.pk for person in Profile.objects.exclude(external_id=None)}
    ledger = {
        name: ConsentEvent.objects.filter(profile_id=pk).order_by("-pk").values_list("act", "source").first()
        for name, pk in people.items()
    }
    assert ledger == {
        "page": (Act.UNSUBSCRIBE, Source.LANDING_PAGE),
        "one_click": (Act.UNSUBSCRIBE, Source.ONE_CLICK),
        "typed": (Act.UNSUBSCRIBE, Source.LANDING_PAGE),
        "operator": (Act.OPT_OUT, Source.OPERATOR),
        "import": (Act.OPT_OUT, Source.IMPORT),
        "stays": None,
    }
    event = ConsentEvent.objects.get(profile_id=people["page"])
    assert (event.delivery_id, event.delivery_name) == (delivery.pk, delivery.label)
    following = analysed(DeliveryFactory.create(service=delivery.service))
    assert {row.profile_id: row.reason for row in DeliveryLog.objects.filter(run=following.current_run)} == {
        people["stays"]: Reason.NONE,
        people["operator"]: Reason.BLACKLISTED_CHANNEL,
        people["import"]: Reason.BLACKLISTED,
    }


def test_leaving_again_by_any_way_changes_nothing_more(delivery: Delivery, sink: Sink) -> None:
    leave_by_one_click(sink)
    once = ConsentEvent.objects.count()
    for _time in range(10):
        leave_by_one_click(sink)
    assert ConsentEvent.objects.count() == once


def test_the_page_of_a_person_who_left_says_by_which_message(delivery: Delivery, sink: Sink) -> None:
    leave_by_page(sink)
    client = Client()
    client.force_login(UserFactory.create(admin=True))
    person = Profile.objects.get(external_id="page")
    html = client.get(reverse("admin:person", args=[person.pk])).content.decode()
    assert delivery.label in html
    assert "Unsubscribed" in html
