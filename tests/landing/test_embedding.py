"""A form copied into another site leads to the page, filled in: nothing is stored before its button is pressed."""

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from landing import embedding, publishing
from landing.models import Asked, Kind, LandingPage, LandingPageField, OptOutRequest, PendingOptIn
from tests.factories import LandingPageFactory, ProfileFactory, ServiceFactory, UserFactory
from tests.landing.visitors import changed, handle, mails, published, send, tables, visitor

pytestmark = pytest.mark.django_db


def forms(page: LandingPage) -> dict[str, str]:
    return dict(embedding.forms_of(page, at=timezone.now()))


def press(form: str, **typed: str) -> Any:
    """Send an embedded form as a browser on another site does."""
    action = html.unescape(re.findall(r'action="([^"]+)"', form)[0])
    names = set(re.findall(r'name="([^"]+)"', form))
    assert set(typed) <= names
    path = action.removeprefix("http://127.0.0.1:8000")
    return visitor().post(path, {"embedded": "1", **typed}, headers={"origin": "https://blog.example"})


@pytest.mark.parametrize("kind", [Kind.OPT_IN, Kind.SUBSCRIPTION, Kind.UNSUBSCRIPTION])
def test_what_comes_from_another_site_is_shown_filled_in_and_stores_nothing(kind: Kind) -> None:
    page = published(kind)
    ProfileFactory(email="a@example.org", services=[page.service])
    before = tables()
    response = press(forms(page)["English"], address="a@example.org")
    shown = response.content.decode()
    assert response.status_code == 200
    assert 'value="a@example.org"' in shown
    assert "Nothing has been sent yet" in shown
    assert changed(before) == set()
    assert handle() == 0


def test_the_page_shown_is_sent_with_a_stamp_of_its_own() -> None:
    page = published()
    LandingPageField.objects.create(page=page, name=Asked.COUNTRY, position=3)
    publishing.publish(page, at=timezone.now())
    shown = press(forms(page)["English"], address="a@example.org", first_name='Zoé "Z"', country="BE").content.decode()
    assert 'value="Zoé &quot;Z&quot;"' in shown
    assert '<option value="BE" selected>' in shown
    assert 'name="embedded"' not in shown
    assert re.search(r'name="stamp" value="[\w-]{40,}"', shown)
    assert send(visitor(), page, "a@example.org", first_name="Zoé", country="BE").status_code == 200
    assert PendingOptIn.objects.get().answers["country"] == "BE"


def test_no_agreement_is_taken_from_elsewhere() -> None:
    page = published(agreement={"en": "I agree."})
    form = forms(page)["English"]
    assert "agreed" not in form
    action = reverse("landing:page", args=[page.slug])
    shown = visitor().post(action, {"embedded": "1", "address": "a@example.org", "agreed": "on"}).content.decode()
    assert 'name="agreed"' in shown
    assert "checked" not in shown


@pytest.mark.parametrize("address", ["", "nobody", "<script>alert(1)</script>", "x" * 5_000])
def test_anything_typed_elsewhere_is_shown_harmlessly(address: str) -> None:
    page = published()
    response = press(forms(page)["English"], address=address)
    assert response.status_code == 200
    assert "<script" not in response.content.decode()
    assert not PendingOptIn.objects.exists()


def test_forms_of_another_site_send_no_mail_however_many() -> None:
    page = published()
    for number in range(30):
        press(forms(page)["English"], address="victim@example.org", first_name=f"Buy now {number}")
    handle()
    assert mails("confirm_opt_in") == []


def test_a_closed_page_says_so_to_its_copies() -> None:
    page = published(Kind.UNSUBSCRIPTION)
    form = forms(page)["English"]
    publishing.close(page)
    assert press(form, address="a@example.org").status_code == 410
    assert not OptOutRequest.objects.exists()


def test_no_page_lets_itself_be_framed() -> None:
    response = visitor().get(reverse("landing:page", args=[published().slug]))
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


def test_the_form_is_plain_html_in_each_language_and_asks_what_is_published() -> None:
    page = published(title={"en": "<b>"}, service=ServiceFactory(label={"en": "A & B"}))
    LandingPageField.objects.create(page=page, name=Asked.BIRTH_DATE, position=9)
    english, french = forms(page)["English"], forms(page)["French"]
    assert "birth_date" not in english
    assert "<script" not in english
    assert " style=" not in english
    assert " id=" not in english
    assert f'action="{page.public_address}?lang=en"' in english
    assert f'action="{page.public_address}?lang=fr"' in french
    assert "S’abonner" in french or "S'abonner" in html.unescape(french)


def test_only_a_published_page_with_a_form_of_its_own_has_one_to_copy() -> None:
    client = Client()
    client.force_login(UserFactory(admin=True))

    def section(page: LandingPage) -> str:
        shown = client.get(reverse("admin:landing_landingpage_change", args=[page.pk])).content.decode()
        found = re.findall(r"<textarea[^>]*readonly[^>]*>(.*?)</textarea>", shown, re.DOTALL)
        return found[0] if found else ""

    page = published()
    assert section(page).startswith("&lt;form method=&quot;post&quot;")
    assert html.unescape(section(page)) == forms(page)["English"]
    assert section(published(Kind.OPT_OUT_ALL)) == ""
    assert section(published(Kind.PREFERENCES)) == ""
    assert section(LandingPageFactory()) == ""
