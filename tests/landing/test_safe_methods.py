"""Looking at a page changes nothing: scanners open every link of every message."""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from landing.models import Kind, PendingOptIn, PreferencesRequest
from landing.stopping import Click
from profiles.models import Brand
from profiles.tokens import Purpose, seal
from tests.factories import DeliveryFactory, ProfileFactory
from tests.landing.visitors import (
    changed,
    confirm_url,
    forbid_cache_writes,
    handle,
    link,
    one_click_url,
    opt_out_url,
    preferences_url,
    published,
    send,
    tables,
    visitor,
)

pytestmark = pytest.mark.django_db
METHODS = ("get", "head", "options")


@pytest.fixture
def addresses() -> list[str]:
    """One public address of each kind, of somebody who has everything that could be changed."""
    delivery = DeliveryFactory()
    service = delivery.service
    ProfileFactory(email="a@example.org", services=[service])
    pages = [published(kind, service=service) for kind in Kind]
    send(visitor(), pages[0], "a@example.org")
    send(visitor(), pages[1], "new@example.org")
    send(visitor(), next(page for page in pages if page.kind == Kind.PREFERENCES), "a@example.org")
    handle()
    to = link("a@example.org", service, delivery=delivery.pk)
    found = [reverse("landing:page", args=[page.slug]) for page in pages]
    found += [confirm_url(pending) for pending in PendingOptIn.objects.all()]
    found += [opt_out_url(to), one_click_url(to)]
    mine = preferences_url(PreferencesRequest.objects.get())
    found += [mine, mine + "history.json", "/m/nothing/", "/m/nothing/history.json"]
    found += [reverse("landing:undo", args=[Click(to, timezone.now()).seal()])]
    found += [reverse("landing:accent", args=["1f6f5c"]), "/p/nothing/", "/o/nothing/", "/u/nothing", "/c/nothing/"]
    found += [reverse("landing:view_online", args=[seal(Purpose.VIEW_ONLINE, b"r" + bytes(8))]), "/v/nothing/"]
    return found


@pytest.mark.parametrize("method", METHODS)
def test_get_head_and_options_change_no_table_and_of_the_cache_only_the_numbers_of_openings(
    addresses: list[str], method: str, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    before = tables()
    forbid_cache_writes(monkeypatch)
    with django_capture_on_commit_callbacks() as rung:
        for address in addresses:
            for query in ("", "?lang=fr", "?choice=channel", "?confirm=1", "?address=a@example.org"):
                assert getattr(visitor(), method)(address + query).status_code < 500
    assert changed(before) == set()
    assert rung == []


def test_other_methods_are_refused(addresses: list[str]) -> None:
    before = tables()
    for address in addresses:
        for method in ("put", "patch", "delete", "trace"):
            assert getattr(visitor(), method)(address).status_code == 405, (address, method)
    assert changed(before) == set()


def answers(addresses: list[str], client: Callable[[], Client]) -> list[HttpResponse]:
    found = []
    for address in addresses:
        found += [client().get(address), client().post(address, {"choice": "channel"})]
    return found


def test_no_answer_sets_a_cookie_or_may_be_kept(addresses: list[str]) -> None:
    for response in answers(addresses, visitor):
        assert not response.cookies
        assert "Set-Cookie" not in response.headers
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["X-Robots-Tag"] == "noindex"
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        if not response.headers["Content-Type"].startswith("text/css"):
            assert response.headers["Cache-Control"] == "no-store"


def test_cookies_of_a_visitor_are_neither_read_nor_answered(addresses: list[str]) -> None:
    def with_cookies() -> Client:
        client = visitor()
        client.cookies["sessionid"] = "x" * 32
        client.cookies["csrftoken"] = "broken"
        client.cookies["messages"] = "broken"
        client.cookies["django_language"] = "fr"
        return client

    for response in answers(addresses, with_cookies):
        assert not response.cookies
        assert "Cookie" not in response.headers.get("Vary", "")


def test_a_page_speaks_the_language_of_its_visitor(addresses: list[str]) -> None:
    page = addresses[0]
    for accepted, query, language in (
        ("fr-CA,fr;q=0.9,en;q=0.5", "", "fr"),
        ("de,en;q=0.5", "", "en"),
        ("de", "", "en"),
        ("en", "?lang=fr", "fr"),
        ("fr", "?lang=en", "en"),
        ("fr", "?lang=klingon", "fr"),
        ("*;q=x,,;;", "", "en"),
    ):
        response = visitor(accepted).get(page + query)
        assert f'<html lang="{language}">' in response.content.decode(), (accepted, query)
        assert response.headers["Content-Language"] == language


def test_every_page_names_the_brand_and_its_contact(addresses: list[str]) -> None:
    assert Brand.objects.filter(name="Jardins").exists()
    for address in addresses:
        response = visitor().get(address)
        if response.headers["Content-Type"].startswith("text/html") and response.status_code == 200:
            assert "bonjour@jardins.example" in response.content.decode(), address


def test_a_scanner_that_opens_the_links_of_hundreds_of_messages_changes_nothing() -> None:
    before = tables()
    for number in range(300):
        to = link(f"p{number}@example.org", log=number)
        visitor().get(opt_out_url(to) if number % 2 else one_click_url(to))
    assert changed(before) == set()
