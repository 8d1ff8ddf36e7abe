"""The drills of the keys that sign links: renew one, keep the old ones, withdraw one that leaked."""

from typing import Any

import pytest

from landing.models import Kind, LandingPage, PageState
from profiles.models import Brand, ConsentEvent, Service, Subscription
from tests.factories import ProfileFactory, ServiceFactory
from tests.landing.visitors import changed, link, one_click_url, opt_out_url, published, tables, visitor

pytestmark = pytest.mark.django_db
OLD, NEW = "1:the key of the first years", "2:the key from today on"


@pytest.fixture
def service() -> Service:
    service: Service = ServiceFactory.create(label={"en": "Garden news", "fr": "Nouvelles du jardin"})
    ProfileFactory.create(email="zoe@example.org", services=[service])
    return service


@pytest.fixture
def sent(service: Service, settings: Any) -> tuple[str, str]:
    """The two addresses in a message that was sent under the old key: the page, and the mail program's."""
    settings.LINK_KEYS = [OLD]
    to = link("zoe@example.org", service, delivery=9, log=9)
    return opt_out_url(to), one_click_url(to)


def test_a_new_key_signs_and_links_sent_before_it_still_stop(
    sent: tuple[str, str], service: Service, settings: Any
) -> None:
    settings.LINK_KEYS = [NEW, OLD]
    assert opt_out_url(link("zoe@example.org", service, delivery=9, log=9)) != sent[0]
    assert "Garden news" in visitor().get(sent[0]).content.decode()
    assert visitor().post(sent[1]).status_code == 200
    assert not Subscription.objects.exists()


def test_a_page_opened_just_before_the_change_of_keys_is_acted_on_after_it(
    sent: tuple[str, str], service: Service, settings: Any
) -> None:
    action = visitor().get(sent[1]).context["action"]
    settings.LINK_KEYS = [NEW, OLD]
    response = visitor().post(action, {"choice": "service"})
    assert not Subscription.objects.exists()
    settings.LINK_KEYS = ["3:yet another", NEW, OLD]
    assert visitor().post(response.context["undo"]).status_code == 200
    assert Subscription.objects.count() == 1


def test_links_from_before_the_first_key_open_under_the_number_zero(service: Service, settings: Any) -> None:
    settings.LINK_KEYS = []
    url = one_click_url(link("zoe@example.org", service))
    settings.LINK_KEYS = [NEW, f"0:{settings.SECRET_KEY}"]
    settings.SECRET_KEY = "another one, since then"
    assert visitor().post(url).status_code == 200
    assert not Subscription.objects.exists()


@pytest.mark.parametrize("ring", [[NEW, OLD], [NEW]])
@pytest.mark.parametrize(("language", "said"), [("en", "This page does not exist"), ("fr", "Cette page n’existe pas")])
def test_a_withdrawn_key_stops_nothing_and_leads_a_person_to_where_everything_can_be_stopped(
    sent: tuple[str, str], settings: Any, ring: list[str], language: str, said: str
) -> None:
    settings.LINK_KEYS, settings.LINK_KEYS_REVOKED = ring, [1]
    Brand.objects.update(contact="help@jardins.example")
    before = tables()
    for url in sent:
        page = visitor(language).get(url)
        assert page.status_code == 404
        assert said in page.content.decode()
        assert "/p/stop/" in page.content.decode()
        assert "help@jardins.example" in page.content.decode()
    posted = visitor(language).post(sent[0], {"choice": "channel"})
    assert (posted.status_code, "/p/stop/" in posted.content.decode()) == (404, True)
    machine = visitor(language).post(sent[1])
    assert (machine.status_code, machine.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert changed(before) == set()


def test_the_page_that_is_offered_instead_takes_requests(sent: tuple[str, str], settings: Any) -> None:
    LandingPage.objects.update(state=PageState.CLOSED)
    page = published(Kind.OPT_OUT_ALL, service=None, brand=ServiceFactory.create().brand, slug="leave")
    settings.LINK_KEYS, settings.LINK_KEYS_REVOKED = [NEW, OLD], [1]
    assert "/p/leave/" in visitor().get(sent[0]).content.decode()
    assert visitor().get(f"/p/{page.slug}/").status_code == 200


def test_links_made_after_a_withdrawal_work(sent: tuple[str, str], service: Service, settings: Any) -> None:
    settings.LINK_KEYS, settings.LINK_KEYS_REVOKED = [NEW, OLD], [1]
    assert visitor().post(one_click_url(link("zoe@example.org", service))).status_code == 200
    assert not Subscription.objects.exists()
    assert ConsentEvent.objects.count() == 1


def test_a_withdrawal_can_be_taken_back(sent: tuple[str, str], settings: Any) -> None:
    settings.LINK_KEYS, settings.LINK_KEYS_REVOKED = [NEW, OLD], [1]
    assert visitor().post(sent[1]).status_code == 404
    settings.LINK_KEYS_REVOKED = []
    assert visitor().post(sent[1]).status_code == 200
