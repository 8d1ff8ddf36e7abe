"""What people read once they have sent a form, and once a page is closed; and how marketers look at it first."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from landing import publishing
from landing.models import Kind, LandingPage, PageState
from tests.factories import LandingPageFactory, UserFactory
from tests.landing.visitors import changed, published, send, tables, visitor

pytestmark = pytest.mark.django_db
THANKS = {
    "thanks_title": {"en": "Welcome!", "fr": "Bienvenue !"},
    "thanks_text": {"en": "First line\n\nSecond <b>line</b>", "fr": "Merci à vous"},
}


def url(page: LandingPage) -> str:
    return reverse("landing:page", args=[page.slug])


def staff(**fields: Any) -> Client:
    client = visitor()
    client.force_login(UserFactory(**fields))
    return client


# -- once sent -----------------------------------------------------------------------------------------------------


def test_own_words_are_read_in_the_language_of_the_visitor() -> None:
    page = published(double_opt_in=False, **THANKS)
    english = send(visitor(), page, "a@example.org").content.decode()
    assert "<h1>Welcome!</h1>" in english
    assert "<p>First line</p>" in english
    assert "<p>Second &lt;b&gt;line&lt;/b&gt;</p>" in english
    french = send(visitor("fr"), page, "a@example.org").content.decode()
    assert "<h1>Bienvenue !</h1>" in french
    assert "Merci à vous" in french


def test_without_own_words_visitors_read_the_usual_ones() -> None:
    assert "One last step: look in your mailbox" in send(visitor(), published(), "a@example.org").content.decode()


def test_who_reads_a_language_without_own_words_reads_the_usual_ones_and_not_another_language() -> None:
    only_english = {name: {"en": f"Own {name}"} for name in ("title", "introduction", "thanks_title", "thanks_text")}
    page = published(double_opt_in=False, **only_english)
    shown = visitor("fr").get(url(page)).content.decode() + send(visitor("fr"), page, "a@example.org").content.decode()
    assert "Own " not in shown
    assert "<h1>Merci.</h1>" in shown
    assert "<h1>Own thanks_title</h1>" in send(visitor(), page, "a@example.org").content.decode()


def test_a_title_alone_leaves_the_usual_text() -> None:
    page = published(thanks_title=THANKS["thanks_title"])
    shown = send(visitor(), page, "a@example.org").content.decode()
    assert "Welcome!" in shown
    assert "Press the button in it to confirm." in shown


@pytest.mark.parametrize(
    "kind", [Kind.OPT_IN, Kind.SUBSCRIPTION, Kind.UNSUBSCRIPTION, Kind.OPT_OUT_ALL, Kind.PREFERENCES]
)
def test_own_words_never_hide_what_is_still_to_do_or_may_still_arrive(kind: Kind) -> None:
    shown = send(visitor(), published(kind, **THANKS), "a@example.org").content.decode()
    assert "First line" in shown
    still = {
        Kind.OPT_IN: "Press the button in it to confirm.",
        Kind.SUBSCRIPTION: "Press the button in it to confirm.",
        Kind.PREFERENCES: "a message with your link is on its way",
    }
    assert still.get(kind, "A message already leaving may still arrive.") in shown


def test_what_is_edited_is_read_once_it_is_published() -> None:
    page = published(double_opt_in=False)
    page.thanks_title = {"en": "New words"}
    page.save()
    assert "New words" not in send(visitor(), page, "a@example.org").content.decode()
    publishing.publish(page, at=timezone.now())
    assert "New words" in send(visitor(), page, "b@example.org").content.decode()


# -- once closed ---------------------------------------------------------------------------------------------------


def test_the_text_of_a_closed_page_counts_as_soon_as_it_is_saved() -> None:
    page = published()
    publishing.close(page)
    assert "It no longer takes requests." in visitor().get(url(page)).content.decode()
    LandingPage.objects.update(closed_text={"en": "See you next year.", "fr": "À l’année prochaine."})
    response = visitor("fr").get(url(page))
    assert response.status_code == 410
    assert "À l’année prochaine." in response.content.decode()


def test_a_page_past_its_date_says_what_was_published() -> None:
    page = published(closed_text={"en": "Published words"}, closes_at=timezone.now() - timedelta(hours=1))
    LandingPage.objects.filter(pk=page.pk).update(closed_text={"en": "Draft words"})
    shown = visitor().get(url(page)).content.decode()
    assert "Published words" in shown
    assert "Draft words" not in shown


@pytest.mark.parametrize("closed", ["by hand", "by date"])
def test_a_closed_page_leads_elsewhere_where_that_is_wanted(closed: str) -> None:
    page = published()
    LandingPage.objects.filter(pk=page.pk).update(redirect_url="https://jardins.example/later")
    if closed == "by hand":
        publishing.close(page)
    else:
        LandingPage.objects.filter(pk=page.pk).update(closes_at=timezone.now() - timedelta(hours=1))
    for answer in (visitor().get(url(page)), send(visitor(), page, "a@example.org")):
        assert (answer.status_code, answer.headers["Location"]) == (302, "https://jardins.example/later")


@pytest.mark.parametrize("address", ["ftp://jardins.example/", "javascript:alert(1)", "//evil.example", "/admin/"])
def test_it_leads_to_web_addresses_only(address: str) -> None:
    page = published()
    publishing.close(page)
    LandingPage.objects.filter(pk=page.pk).update(redirect_url=address)
    response = visitor().get(url(page))
    assert response.status_code == 410
    assert "Location" not in response.headers


def test_before_its_opening_a_page_says_when_and_leads_nowhere() -> None:
    page = published(opens_at=timezone.now() + timedelta(days=400), redirect_url="https://jardins.example/later")
    shown = visitor().get(url(page))
    assert shown.status_code == 200
    assert str((timezone.now() + timedelta(days=400)).year) in shown.content.decode()


def test_the_form_of_the_admin_refuses_to_lead_to_anything_but_the_web() -> None:
    page = published()
    client = Client()
    client.force_login(UserFactory(admin=True))
    data = {
        "name": page.name, "brand": page.brand_id, "redirect_url": "ftp://jardins.example/", "double_opt_in": "on",
        "asked-TOTAL_FORMS": "0", "asked-INITIAL_FORMS": "0",
    }  # fmt: skip
    response = client.post(reverse("admin:landing_landingpage_change", args=[page.pk]), data)
    assert "redirect_url" in response.context["adminform"].errors


# -- the preview ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("screen", "said"),
    [
        ("form", "Draft title"),
        ("thanks", "Welcome!"),
        ("closed", "Gone fishing"),
        ("", "Draft title"),
        ("x", "Draft title"),
    ],
)
def test_each_screen_of_a_draft_is_shown_to_those_who_may_see_it_and_changes_nothing(screen: str, said: str) -> None:
    page = LandingPageFactory(
        title={"en": "Draft title"},
        closed_text={"en": "Gone fishing"},
        redirect_url="https://jardins.example/",
        **THANKS,
    )
    address = f"{url(page)}?preview={screen}"
    for outsider in (visitor(), staff(), staff(admin=True, is_staff=False)):
        assert outsider.get(address).status_code == 404
    marketer = staff(admin=True)
    before = tables()
    response = marketer.get(address)
    marketer.post(address, {"address": "a@example.org"})
    assert changed(before) == set()
    shown = response.content.decode()
    assert response.status_code == 200
    assert said in shown
    assert "Preview of the draft." in shown
    for other in ("form", "thanks", "closed"):
        assert f"?preview={other}&amp;lang=en" in shown
    assert ("https://jardins.example/" in shown) is (screen == "closed")
    page.refresh_from_db()
    assert page.state == PageState.DRAFT


def test_no_visitor_sees_the_links_of_the_preview() -> None:
    page = published()
    assert "?preview" not in visitor().get(url(page)).content.decode()
