"""Who configured what in the back-office: noted with before and after, shown to administrators."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import analysis
from deliveries.models import Delivery
from landing.models import LandingPage
from profiles import audit
from profiles.models import AuditEvent, Brand, Service
from tests.factories import (
    BrandFactory,
    DeliveryFactory,
    LandingPageFactory,
    ProfileFactory,
    ServiceFactory,
    UserFactory,
)
from tests.landing.visitors import published

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(UserFactory(admin=True, username="emilie"))
    return client


def acts() -> list[tuple[str, str, str]]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", "subject", "actor_name"))


def service_form(service: Service, **changes: Any) -> dict[str, Any]:
    data = {
        "name": service.name, "label_en": "News", "brand": service.brand_id, "channel": 1, "is_public": "on",
        "on_subscribe": "default", "on_unsubscribe": "none",
    }  # fmt: skip
    return {**data, **changes}


def test_what_is_added_is_noted_with_what_it_holds(client: Client) -> None:
    brand = BrandFactory()
    client.post(reverse("admin:profiles_service_add"), service_form(Service(name="garden", brand=brand)))
    event = AuditEvent.objects.get(action="added")
    assert (event.subject, event.label, event.actor_name) == ("profiles.Service", "News", "emilie")
    assert (event.before, event.after["name"], event.after["brand"]) == ({}, "garden", brand.pk)
    assert "validity_days" not in event.after


def test_a_change_is_noted_with_before_and_after_of_what_differs(client: Client) -> None:
    service = ServiceFactory(label={"en": "News"})
    address = reverse("admin:profiles_service_change", args=[service.pk])
    client.post(address, service_form(service, validity_days="30", label_en="Other"))
    event = AuditEvent.objects.get()
    assert event.action == "changed"
    assert event.before == {"label": {"en": "News"}, "validity_days": None}
    assert event.after == {"label": {"en": "Other"}, "validity_days": 30}


def test_saving_without_a_change_and_looking_are_no_acts(client: Client) -> None:
    service = ServiceFactory(label={"en": "News"})
    address = reverse("admin:profiles_service_change", args=[service.pk])
    client.get(address)
    client.post(address, service_form(service))
    client.post(address, service_form(service, label_en=""))
    assert acts() == []


def test_brands_are_noted_too(client: Client) -> None:
    brand = BrandFactory(privacy_notice={"en": "Old"})
    data = {
        "name": brand.name, "sender_name": "Somebody else", "sender_email": brand.sender_email,
        "postal_address": brand.postal_address, "contact": brand.contact, "color": brand.color,
        "privacy_notice_en": "Old",
    }  # fmt: skip
    assert client.post(reverse("admin:profiles_brand_change", args=[brand.pk]), data).status_code == 302
    assert Brand.objects.get(pk=brand.pk).sender_name == "Somebody else"
    event = AuditEvent.objects.get()
    assert (event.subject, event.before) == ("profiles.Brand", {"sender_name": "Jardins & Cie"})


def test_the_logo_of_a_brand_counts_as_part_of_it(client: Client) -> None:
    brand = BrandFactory()
    picture = SimpleUploadedFile("logo.gif", b"GIF89a" + bytes(20))
    data = {
        "name": brand.name, "sender_name": brand.sender_name, "sender_email": brand.sender_email, "color": brand.color,
        "postal_address": brand.postal_address, "contact": brand.contact, "logo": picture,
    }  # fmt: skip
    assert client.post(reverse("admin:profiles_brand_change", args=[brand.pk]), data).status_code == 302
    event, digest = AuditEvent.objects.get(), Brand.objects.get(pk=brand.pk).logo_digest
    assert (event.before, event.after) == ({"logo_digest": ""}, {"logo_digest": digest})
    assert digest


def test_the_fields_of_a_page_count_as_part_of_it(client: Client) -> None:
    page = LandingPageFactory(asks_name=False)
    data = {
        "name": page.name, "kind": page.kind, "slug": page.slug, "service": page.service_id, "brand": page.brand_id,
        "title_en": "Subscribe", "title_fr": "Abonnez-vous", "double_opt_in": "on", "confirmation": "none",
        "asked-TOTAL_FORMS": "1", "asked-INITIAL_FORMS": "0", "asked-0-name": "country", "asked-0-position": "1",
    }  # fmt: skip
    assert client.post(reverse("admin:landing_landingpage_change", args=[page.pk]), data).status_code == 302
    event = AuditEvent.objects.get()
    assert list(event.before) == ["asked"]
    assert [field["name"] for field in event.after["asked"]] == ["country"]


def test_publishing_and_closing_are_noted(client: Client) -> None:
    page = published()
    client.post(reverse("admin:landing_publish", args=[page.pk]))
    client.post(reverse("admin:landing_close", args=[page.pk]))
    client.post(reverse("admin:landing_close", args=[page.pk]))
    assert acts() == [("published", "landing.LandingPage", "emilie"), ("closed", "landing.LandingPage", "emilie")]
    event = AuditEvent.objects.earliest("pk")
    assert (event.before, event.after) == ({"version": 1}, {"version": 2})


def test_an_export_is_noted_with_its_number_of_rows(client: Client) -> None:
    service = ServiceFactory()
    ProfileFactory(services=[service], blacklisted_email=True)
    ProfileFactory(services=[service], blacklisted=True)
    delivery = DeliveryFactory(service=service)
    analysis.start(delivery, at=timezone.now())
    while analysis.work(delivery.pk):
        pass
    response = client.get(reverse("admin:deliveries_delivery_export", args=[delivery.pk]))
    lines = b"".join(response.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    event = AuditEvent.objects.get()
    assert (event.action, event.subject, event.subject_id) == ("exported", "deliveries.Delivery", str(delivery.pk))
    assert event.rows == len(lines) - 1 == 2


def test_who_may_not_export_leaves_no_line() -> None:
    client, delivery = Client(), DeliveryFactory()
    user = UserFactory()
    user.groups.add(Group.objects.get(name="marketer"))
    client.force_login(user)
    assert client.get(reverse("admin:deliveries_delivery_export", args=[delivery.pk])).status_code == 403
    assert acts() == []


def change(**sides: dict[str, Any]) -> AuditEvent:
    return audit.record(
        audit.Action.CHANGED, UserFactory(username="lea"), sides.pop("of", None) or ServiceFactory(),  # type: ignore[arg-type]
        at=timezone.now(), **sides,  # type: ignore[arg-type]
    )  # fmt: skip


def test_before_and_after_are_shown_as_people_read_them(client: Client) -> None:
    old, new = BrandFactory(name="Old brand"), BrandFactory(name="New brand")
    event = change(
        before={"is_public": True, "brand": old.pk, "label": {"en": "A <b>", "fr": "Un"}, "on_subscribe": "none"},
        after={"is_public": False, "brand": new.pk, "label": {"en": "B"}, "on_subscribe": "own", "gone": [1, "x"]},
    )
    shown = client.get(reverse("admin:profiles_auditevent_change", args=[event.pk])).content.decode()
    for text in (
        "Open to everybody",
        "Yes",
        "No",
        "Old brand",
        "New brand",
        "A &lt;b&gt;",
        "French",
        "Your own message",
    ):
        assert text in shown
    listed = client.get(reverse("admin:profiles_auditevent_changelist")).content.decode()
    assert "lea" in listed
    assert "Changed" in listed


def test_an_act_about_something_that_has_gone_is_still_shown(client: Client) -> None:
    page = LandingPageFactory()
    event = change(of=page, before={"brand": 10**6}, after={"unknown": None})  # type: ignore[arg-type]
    LandingPage.objects.filter(pk=page.pk).delete()
    elsewhere = AuditEvent.objects.create(action="changed", subject="nowhere.Thing", label="Thing", before={"a": 1})
    for pk in (event.pk, elsewhere.pk):
        assert client.get(reverse("admin:profiles_auditevent_change", args=[pk])).status_code == 200
    assert client.get(reverse("admin:profiles_auditevent_changelist")).status_code == 200


@pytest.mark.parametrize("role", ["viewer", "operator", "marketer", "administrator"])
def test_only_administrators_see_acts_and_nobody_changes_them(role: str) -> None:
    client, event = Client(), change(before={"a": 1})
    user = UserFactory()
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    allowed = 200 if role == "administrator" else 403
    addresses = [
        reverse("admin:profiles_auditevent_changelist"),
        reverse("admin:profiles_auditevent_change", args=[event.pk]),
    ]
    assert [client.get(address).status_code for address in addresses] == [allowed, allowed]
    assert client.post(addresses[1], {"label": "x"}).status_code == 403
    assert client.get(reverse("admin:profiles_auditevent_delete", args=[event.pk])).status_code == 403
    assert ("/profiles/auditevent/" in client.get(reverse("admin:index")).content.decode()) is (allowed == 200)
    assert Delivery.objects.count() == 0
