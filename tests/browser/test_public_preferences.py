"""People choose what they receive, on the page behind the link that is mailed to them, and stop everything there."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from landing.models import PreferencesRequest
from profiles.models import Profile, Service, Subscription
from tests.browser.test_public_pages import sent
from tests.browser.visiting import KINDS, Kind, Visit, link_in, texts_of
from tests.factories import ProfileFactory, ServiceFactory
from tests.landing.preferring import the_page
from tests.sink import Sink

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Visitors = Callable[[Kind], Visit]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
two_kinds = pytest.mark.parametrize("kind", KINDS[:2], ids=str)
LETTER, BEES = {"en": "Garden letter", "fr": "Lettre du jardin"}, {"en": "Bees", "fr": "Abeilles"}


@pytest.fixture
def letter() -> Service:
    service: Service = ServiceFactory.create(name="letter", label=LETTER, on_subscribe="none", on_unsubscribe="none")
    return service


@pytest.fixture
def zoe(letter: Service) -> Profile:
    """Somebody subscribed to one of two services, who has a phone."""
    ServiceFactory.create(name="bees", label=BEES, on_subscribe="none", on_unsubscribe="none")
    person: Profile = ProfileFactory.create(email="zoe@example.org", sms="+33639980001", services=[letter])
    return person


def ask(visit: Visit) -> str:
    """Ask for the link on the public page; return the one that comes by mail."""
    visit.to(f"/p/{the_page().slug}/")
    visit.write("Email address", "zoe@example.org")
    visit.press("Send me the link")
    visit.reads("Look in your mailbox")
    return link_in(visit.mail(), "m")


def subscribed() -> set[str]:
    return set(Subscription.objects.active(timezone.now()).values_list("service__name", flat=True))


def ticked(visit: Visit) -> set[str]:
    names = [LETTER[visit.kind.language], BEES[visit.kind.language], "Emails", "Text messages"]
    return {name for name in names if visit.is_ticked(name)}


@every_kind
def test_somebody_changes_services_and_channels_and_sees_what_was_saved(
    visitors: Visitors, zoe: Profile, kind: Kind
) -> None:
    visit = visitors(kind)
    visit.to(ask(visit))
    letter, bees = LETTER[kind.language], BEES[kind.language]
    assert ticked(visit) == {letter, "Emails", "Text messages"}
    text = visit.page.inner_text("main")
    assert "example.org" not in text.replace("z•••@example.org", "")
    assert re.search(r"\b(59|60) (more )?minutes", text), "visitors have clocks of many time zones"
    visit.untick(letter)
    visit.tick(bees)
    visit.untick("Text messages")
    visit.press("Save")
    visit.reads("Saved.")
    assert ticked(visit) == {bees, "Emails"}
    assert subscribed() == {"bees"}
    zoe.refresh_from_db()
    assert (zoe.blacklisted_sms, zoe.blacklisted_email, zoe.blacklisted) == (True, False, False)
    visit.unfold("Your history")
    for line in ("Unsubscribed from “%(service)s”", "Subscribed to “%(service)s”"):
        visit.reads(line, service=letter if line.startswith("Un") else bees)
    visit.reads("Text messages stopped")
    assert all(moment.endswith(" UTC") for moment in visit.page.locator("time").all_inner_texts())


@every_kind
def test_stopping_everything_is_one_press_and_so_is_taking_it_back(
    visitors: Visitors, zoe: Profile, kind: Kind
) -> None:
    visit = visitors(kind)
    visit.to(ask(visit))
    visit.press("Stop everything")
    visit.reads("Done.")
    zoe.refresh_from_db()
    assert zoe.blacklisted
    visit.press("Undo")
    visit.reads("Undone.")
    zoe.refresh_from_db()
    assert not zoe.blacklisted
    assert subscribed() == {"letter"}


@two_kinds
def test_whoever_has_a_message_has_the_link_mailed_to_its_owner(
    visitors: Visitors, letter: Service, zoe: Profile, sink: Sink, kind: Kind
) -> None:
    sent(letter)
    visit = visitors(kind)
    visit.to(link_in(sink.caught[-1].message, "o"))
    visit.unfold("Other choices")
    visit.press("Choose what I receive")
    visit.reads("Look in your mailbox")
    assert "z•••@example.org" in visit.page.inner_text("main")
    message = visit.mail()
    assert message["To"] == "zoe@example.org"
    assert "Zoé" not in "".join(texts_of(message))
    visit.to(link_in(message, "m"))
    assert ticked(visit) == {LETTER[kind.language], "Emails", "Text messages"}


@two_kinds
def test_a_link_that_has_expired_says_so_and_leads_to_where_another_is_asked_for(
    visitors: Visitors, zoe: Profile, kind: Kind
) -> None:
    visit = visitors(kind)
    link = ask(visit)
    PreferencesRequest.objects.update(expires_at=timezone.now())
    visit.to(link)
    visit.reads("This link is no longer valid")
    assert visit.page.locator("input").count() == 0
    visit.follow("Ask for a new link")
    assert visit.has("button", "Send me the link")


def test_the_history_can_be_taken_away_as_a_file(visitors: Visitors, zoe: Profile, tmp_path: Path) -> None:
    visit = visitors(KINDS[0])
    visit.to(ask(visit))
    visit.tick("Bees")
    visit.press("Save")
    visit.unfold("Your history")
    with visit.page.expect_download() as waiting:
        visit.page.get_by_role("link", name="Download this history").click()
    waiting.value.save_as(tmp_path / "history.json")
    found: Any = json.loads((tmp_path / "history.json").read_text())
    assert found["address"] == "z•••@example.org"
    assert found["events"][0]["what"] == "Subscribed to “Bees”"
