"""In production a brand that does not say who writes invites nobody and sends nothing to sell."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override

from deliveries import analysis, control, sending
from deliveries.errors import NotReady
from deliveries.models import MessageClass, State
from landing import publishing
from landing.models import Kind, LandingPage, PageState
from profiles import brands
from profiles.errors import BrandIncomplete
from profiles.models import Brand, Service
from tests.factories import BrandFactory, DeliveryFactory, LandingPageFactory, ServiceFactory, UserFactory

pytestmark = pytest.mark.django_db
COMPLETE = {"privacy_notice": {"fr": "Nous gardons votre adresse."}}


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with override("en"):
        yield


@pytest.fixture
def production(settings: Any) -> None:
    settings.ENVIRONMENT = "production"


def complete() -> Brand:
    return BrandFactory(name="Complete", **COMPLETE)


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({}, []),
        ({"privacy_notice": {}}, ["privacy_notice"]),
        ({"privacy_notice": {"en": " "}}, ["privacy_notice"]),
        ({"postal_address": " \n"}, ["postal_address"]),
        ({"sender_name": "", "contact": ""}, ["sender_name", "contact"]),
        ({"sender_email": "news@example.org"}, ["sender_email"]),
        ({"contact": "news@mail.example.com "}, ["contact"]),
        ({"contact": "https://jardins.example/write"}, []),
    ],
)
def test_what_is_empty_or_a_stand_in_is_named(changes: dict[str, Any], lacking: list[str]) -> None:
    assert brands.missing_fields(BrandFactory.build(**{**COMPLETE, **changes})) == lacking


def test_on_one_machine_nothing_is_refused() -> None:
    brand = BrandFactory(name="Empty", postal_address="", contact="")
    publishing.publish(LandingPageFactory(brand=brand), at=timezone.now())
    assert brands.is_ready(brand)
    assert not run_checks(databases=["default"], tags=["database"])


@pytest.mark.usefixtures("production")
class TestInProduction:
    @pytest.mark.parametrize("kind", [Kind.OPT_IN, Kind.SUBSCRIPTION])
    def test_a_page_that_invites_people_is_not_published(self, kind: Kind) -> None:
        page = LandingPageFactory(kind=kind, brand=BrandFactory())
        with pytest.raises(BrandIncomplete, match="privacy notice"):
            publishing.publish(page, at=timezone.now())
        page.refresh_from_db()
        assert page.state == PageState.DRAFT
        page.brand = complete()
        publishing.publish(page, at=timezone.now())
        assert page.state == PageState.PUBLISHED

    @pytest.mark.parametrize("kind", [Kind.UNSUBSCRIPTION, Kind.OPT_OUT_ALL, Kind.PREFERENCES])
    def test_a_page_on_which_people_leave_always_is(self, kind: Kind) -> None:
        page = LandingPageFactory(kind=kind)
        publishing.publish(page, at=timezone.now())
        assert page.state == PageState.PUBLISHED

    def test_the_button_says_what_is_missing(self, client: Client) -> None:
        client.force_login(UserFactory(admin=True))
        page = LandingPageFactory()
        response = client.post(reverse("admin:landing_publish", args=[page.pk]), follow=True)
        assert "is not complete. Fill in: privacy notice." in response.content.decode()
        assert LandingPage.objects.get(pk=page.pk).state == PageState.DRAFT

    def test_a_new_service_keeps_its_page_to_subscribe_on_as_a_draft(self, client: Client) -> None:
        client.force_login(UserFactory(admin=True))
        data = {
            "name": "garden", "label_en": "Garden news", "brand": BrandFactory().pk, "channel": 1, "is_public": "on",
            "on_subscribe": "default", "on_unsubscribe": "none",
        }  # fmt: skip
        response = client.post(reverse("admin:profiles_service_add"), data, follow=True)
        assert "publish it once the brand is complete" in response.content.decode()
        pages = dict(Service.objects.get(name="garden").pages.values_list("kind", "state"))
        assert pages == {Kind.SUBSCRIPTION: PageState.DRAFT, Kind.UNSUBSCRIPTION: PageState.PUBLISHED}

    def test_a_marketing_delivery_does_not_start(self) -> None:
        delivery = DeliveryFactory(service=ServiceFactory())
        analysis.start(delivery, at=timezone.now())
        analysis.work(delivery.pk)
        delivery.refresh_from_db()
        with pytest.raises(NotReady, match="privacy notice"):
            sending.start(delivery, at=timezone.now())
        delivery.refresh_from_db()
        assert delivery.state == State.ANALYSED
        Brand.objects.update(**COMPLETE)
        sending.start(type(delivery).objects.get(pk=delivery.pk), at=timezone.now())

    def test_a_message_that_sells_nothing_does(self) -> None:
        delivery = DeliveryFactory(message_class=MessageClass.TRANSACTIONAL)
        assert control.Code.BRAND not in {finding.code for finding in control.check(delivery)}

    def test_a_check_warns_and_lets_migrations_run(self) -> None:
        complete()
        found = [m for m in run_checks(databases=["default"], tags=["database"]) if m.id == "profiles.W001"]
        assert ["Campaign" in str(m.msg) for m in found] == [True]
        assert not any(message.is_serious() for message in found)
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE profiles_brand RENAME TO elsewhere")
        assert not [m for m in run_checks(databases=["default"], tags=["database"]) if m.id == "profiles.W001"]

    def test_the_first_page_names_it(self, client: Client) -> None:
        client.force_login(UserFactory(admin=True))
        told = "The brand “Campaign” is not complete."
        assert told in client.get(reverse("admin:index")).content.decode()
        Brand.objects.update(
            postal_address="1 rue des Lilas", sender_email="a@jardins.example", contact="b", **COMPLETE
        )
        assert told not in client.get(reverse("admin:index")).content.decode()

    def test_the_form_asks_for_all_of_it(self, client: Client) -> None:
        client.force_login(UserFactory(admin=True))
        data = {
            "name": "New", "sender_name": "New", "sender_email": "news@example.org", "postal_address": "1 rue",
            "contact": "a@jardins.example", "color": "#1f6f5c",
        }  # fmt: skip
        response = client.post(reverse("admin:profiles_brand_add"), data)
        assert response.status_code == 200
        assert {"privacy_notice", "sender_email"} <= set(response.context["adminform"].errors)
        assert not Brand.objects.filter(name="New").exists()


def test_defaults_are_made_in_production_too(settings: Any) -> None:
    settings.ENVIRONMENT = "production"
    for page in LandingPage.objects.all():
        LandingPage.objects.filter(pk=page.pk).update(state=PageState.DRAFT, published=None)
        page.delete()
    publishing.make_defaults()
    assert LandingPage.objects.get(kind=Kind.OPT_OUT_ALL).state == PageState.PUBLISHED
