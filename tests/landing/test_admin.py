"""Public pages in the back-office: publish and close by a press of a button, with the permission."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from campaign.models import User
from landing.models import Kind, LandingPage, PageState, PendingOptIn
from profiles.channels import Channel
from profiles.models import Service
from tests.factories import BrandFactory, LandingPageFactory, ServiceFactory, UserFactory
from tests.landing.visitors import changed, published, send, tables, visitor

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return logged_in(UserFactory(admin=True, username="emilie"))


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def with_permissions(*names: str) -> User:
    user: User = UserFactory()
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return user


def change_url(page: LandingPage) -> str:
    return reverse("admin:landing_landingpage_change", args=[page.pk])


def form(**changes: Any) -> dict[str, Any]:
    data = {
        "name": "Garden", "kind": Kind.SUBSCRIPTION, "slug": "garden-page", "title_en": "Subscribe", "title_fr": "",
        "introduction_en": "", "introduction_fr": "", "agreement_en": "", "agreement_fr": "", "double_opt_in": "on",
        "opens_at_0": "", "opens_at_1": "", "closes_at_0": "", "closes_at_1": "", "redirect_url": "",
        "confirmation": "none",
        "asked-TOTAL_FORMS": "0", "asked-INITIAL_FORMS": "0",
    }  # fmt: skip
    return {**data, **changes}


def add(client: Client, **changes: Any) -> Any:
    return client.post(reverse("admin:landing_landingpage_add"), form(**changes))


def test_a_new_page_is_a_draft_on_the_channel_of_its_service(client: Client) -> None:
    service = ServiceFactory(channel=Channel.SMS)
    assert add(client, service=service.pk, brand=service.brand_id, double_opt_in="").status_code == 302
    page = LandingPage.objects.get(slug="garden-page")
    assert (page.state, page.channel, page.title) == (PageState.DRAFT, Channel.SMS, {"en": "Subscribe"})


def test_what_a_browser_sends_with_the_form_is_taken(client: Client) -> None:
    """A browser posts hidden inputs too, which `form` knows nothing of."""
    service = ServiceFactory()
    shown = client.get(reverse("admin:landing_landingpage_add")).content.decode()
    hidden = dict.fromkeys(re.findall(r'name="(initial-[\w-]+)"', shown), "{}")
    assert add(client, service=service.pk, brand=service.brand_id, **hidden).status_code == 302


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"service": ""}, "service"),
        (
            {"closes_at_0": "2026-01-01", "closes_at_1": "10:00", "opens_at_0": "2026-01-02", "opens_at_1": "10:00"},
            "closes_at",
        ),
        ({"slug": "stop"}, "slug"),
        ({"slug": "no/slash"}, "slug"),
        ({"redirect_url": "javascript:alert(1)"}, "redirect_url"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said_at_its_field(client: Client, changes: dict[str, Any], field: str) -> None:
    service = ServiceFactory()
    response = add(client, **{"service": service.pk, "brand": service.brand_id, **changes})
    assert response.status_code == 200
    assert field in response.context["adminform"].errors


def test_no_mail_can_confirm_a_service_that_is_not_sent_by_mail(client: Client) -> None:
    service = ServiceFactory(channel=Channel.SMS)
    response = add(client, service=service.pk, brand=service.brand_id)
    assert "double_opt_in" in response.context["adminform"].errors


def test_a_page_about_everything_has_no_service(client: Client) -> None:
    service = ServiceFactory()
    add(client, kind=Kind.OPT_OUT_ALL, service=service.pk, brand=service.brand_id)
    assert LandingPage.objects.get(slug="garden-page").service is None


@pytest.mark.parametrize(
    ("agreement", "warned"), [({"en": "I agree."}, True), ({"en": "I agree.", "fr": "D’accord."}, False)]
)
def test_publishing_warns_of_an_agreement_that_some_visitors_would_read_in_another_language(
    client: Client, agreement: dict[str, str], warned: bool
) -> None:
    page = LandingPageFactory(agreement=agreement)
    response = client.post(reverse("admin:landing_publish", args=[page.pk]), follow=True)
    assert ("is not written in: French." in response.content.decode()) is warned
    page.refresh_from_db()
    assert page.state == PageState.PUBLISHED


def test_publishing_and_closing_are_two_presses_and_two_lines_of_the_history(client: Client) -> None:
    page = LandingPageFactory()
    assert client.post(reverse("admin:landing_publish", args=[page.pk])).status_code == 302
    page.refresh_from_db()
    assert (page.state, page.published.published_by) == (PageState.PUBLISHED, "emilie")
    shown = client.get(change_url(page)).content.decode()
    assert page.public_address in shown
    client.post(reverse("admin:landing_close", args=[page.pk]))
    page.refresh_from_db()
    assert page.state == PageState.CLOSED
    assert LogEntry.objects.count() == 2


@pytest.mark.parametrize("step", ["landing_publish", "landing_close"])
def test_a_visit_of_a_button_s_address_changes_nothing(client: Client, step: str) -> None:
    page = published() if step == "landing_close" else LandingPageFactory()
    before = tables()
    assert client.get(reverse(f"admin:{step}", args=[page.pk])).status_code == 302
    assert changed(before) == set()


@pytest.mark.parametrize("step", ["landing_publish", "landing_close"])
def test_publishing_needs_its_own_permission(step: str) -> None:
    page = published() if step == "landing_close" else LandingPageFactory()
    state = page.state
    editor = logged_in(with_permissions("view_landingpage", "change_landingpage"))
    assert editor.post(reverse(f"admin:{step}", args=[page.pk])).status_code == 403
    assert reverse(f"admin:{step}", args=[page.pk]) not in editor.get(change_url(page)).content.decode()
    page.refresh_from_db()
    assert page.state == state
    publisher = logged_in(with_permissions("view_landingpage", "publish_landingpage"))
    assert publisher.post(reverse(f"admin:{step}", args=[page.pk])).status_code == 302
    page.refresh_from_db()
    assert page.state != state


def test_what_a_published_page_is_about_stays(client: Client) -> None:
    page = published()
    other = ServiceFactory()
    client.post(change_url(page), form(name="Renamed", slug="moved", service=other.pk, brand=page.brand_id))
    after = LandingPage.objects.get(pk=page.pk)
    assert (after.name, after.slug, after.service) == ("Renamed", page.slug, page.service)
    shown = client.get(change_url(page)).content.decode()
    assert "Saved changes are not public yet" in shown


def test_a_published_page_cannot_be_deleted(client: Client) -> None:
    page, draft = published(), LandingPageFactory()
    assert client.get(reverse("admin:landing_landingpage_delete", args=[page.pk])).status_code == 403
    assert client.get(reverse("admin:landing_landingpage_delete", args=[draft.pk])).status_code == 200


def test_requests_are_shown_with_masked_addresses_and_cannot_be_changed(client: Client) -> None:
    send(visitor(), published(), "secret@example.org")
    pending = PendingOptIn.objects.get()
    for url in (
        reverse("admin:landing_pendingoptin_changelist"),
        reverse("admin:landing_pendingoptin_change", args=[pending.pk]),
    ):
        shown = client.get(url).content.decode()
        assert "s•••@example.org" in shown
        assert "secret@example.org" not in shown
    assert client.post(reverse("admin:landing_pendingoptin_change", args=[pending.pk]), {}).status_code == 403
    assert client.get(reverse("admin:landing_pendingoptin_add")).status_code == 403


def test_a_service_made_in_the_admin_has_its_public_pages_at_once(client: Client) -> None:
    data = {
        "name": "garden", "label_en": "Garden news", "label_fr": "", "description_en": "", "description_fr": "",
        "brand": BrandFactory().pk, "channel": Channel.EMAIL, "is_public": "on", "on_subscribe": "default",
        "on_unsubscribe": "none",
    }  # fmt: skip
    assert client.post(reverse("admin:profiles_service_add"), data).status_code == 302
    service = Service.objects.get(name="garden")
    assert set(service.pages.values_list("state", flat=True)) == {PageState.PUBLISHED}
    shown = client.get(reverse("admin:profiles_service_change", args=[service.pk])).content.decode()
    for page in service.pages.all():
        assert page.public_address in shown
        assert visitor().get(reverse("landing:page", args=[page.slug])).status_code == 200
