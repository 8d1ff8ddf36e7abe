"""The page of a service: its own messages, how it fares, archiving it and opening it again."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from landing.models import Kind, LandingPage
from profiles import archiving, consent, plots
from profiles.consent import Evidence
from profiles.models import AuditEvent, Confirmation, OutboxMessage, Service, Source, Subscription
from profiles.plots import Series
from tests.factories import DeliveryFactory, LandingPageFactory, ProfileFactory, ServiceFactory, UserFactory
from tests.landing.visitors import changed, link, one_click_url, published, tables, visitor

pytestmark = pytest.mark.django_db
BY = Evidence(source=Source.LANDING_PAGE)


@pytest.fixture
def client() -> Client:
    return logged_in(UserFactory(admin=True, username="emilie"))


def logged_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def of_role(name: str) -> Client:
    user = UserFactory()
    user.groups.add(Group.objects.get(name=name))
    return logged_in(user)


def url(name: str, service: Service) -> str:
    return reverse(f"admin:profiles_service_{name}", args=[service.pk])


def form(service: Service, **changes: Any) -> dict[str, Any]:
    data = {
        "name": service.name, "label_en": "Garden news", "brand": service.brand_id, "channel": 1, "is_public": "on",
        "on_subscribe": "default", "on_unsubscribe": "none",
    }  # fmt: skip
    return {**data, **changes}


# -- own messages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"on_subscribe": "own"}, {"subscribe_subject", "subscribe_text"}),
        ({"on_subscribe": "own", "subscribe_subject_en": "Hello"}, {"subscribe_text"}),
        ({"on_unsubscribe": "own", "unsubscribe_text_fr": "Au revoir"}, {"unsubscribe_subject"}),
        (
            {"on_subscribe": "own", "subscribe_subject_en": "Hi", "subscribe_text_en": "x", "subscribe_text_fr": "y"},
            {"subscribe_subject"},
        ),
        ({"subscribe_subject_en": "x" * 201}, {"subscribe_subject"}),
    ],
)
def test_an_own_message_needs_its_words(client: Client, changes: dict[str, str], wrong: set[str]) -> None:
    service = ServiceFactory()
    response = client.post(url("change", service), form(service, **changes))
    assert response.status_code == 200
    assert set(response.context["adminform"].errors) == wrong


def test_words_are_kept_for_each_language(client: Client) -> None:
    service = ServiceFactory()
    words = {"subscribe_subject_en": "Welcome", "subscribe_text_en": "Hello.\n\nBye.", "on_subscribe": "own"}
    assert client.post(url("change", service), form(service, **words)).status_code == 302
    service.refresh_from_db()
    assert service.subscribe_subject == {"en": "Welcome"}
    assert service.subscribe_text["en"].split() == ["Hello.", "Bye."]


def test_a_service_that_is_not_sent_by_mail_has_no_message(client: Client) -> None:
    service = ServiceFactory()
    client.post(url("change", service), form(service, channel=2, on_subscribe="default"))
    assert Service.objects.get().on_subscribe == Confirmation.NONE


def test_messages_are_shown_as_they_are_written_and_nothing_is_stored(client: Client) -> None:
    service = ServiceFactory()
    before = tables()
    data = form(
        service, on_subscribe="own", subscribe_subject_fr="Bienvenue <b>", on_unsubscribe="default",
        subscribe_text_fr="<script>alert(1)</script>", validity_days="30",
    )  # fmt: skip
    response = client.post(reverse("admin:profiles_service_messages"), data)
    shown = response.content.decode()
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "Bienvenue &lt;b&gt;" in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "L’abonnement prend fin de lui-même après 30" in shown
    assert "“Garden news” has stopped" in shown
    assert service.brand.postal_address in shown
    assert changed(before) <= {"django_session"}
    assert not OutboxMessage.objects.exists()


def test_the_frame_of_the_messages_runs_nothing(client: Client) -> None:
    shown = client.get(url("change", ServiceFactory())).content.decode()
    frame = re.search(r"<iframe[^>]*>", shown)
    assert frame
    assert re.search(r"\ssandbox\s", frame.group())
    inside = re.search(r'srcdoc="([^"]*)"', shown)
    assert inside
    assert "</html>" in unescape(inside.group(1))


def test_only_those_who_see_services_see_their_messages() -> None:
    stranger = logged_in(UserFactory())
    assert stranger.post(reverse("admin:profiles_service_messages"), {}).status_code == 403
    assert stranger.post(reverse("admin:landing_message"), {}).status_code == 403
    assert of_role("viewer").post(reverse("admin:profiles_service_messages"), {}).status_code == 200


def test_the_message_of_a_page_is_shown_too(client: Client) -> None:
    page = published(Kind.OPT_OUT_ALL)
    address = reverse("admin:landing_message") + f"?page={page.pk}"
    data = {
        "brand": page.brand_id,
        "confirmation": "own",
        "confirmation_subject_en": "Gone",
        "confirmation_text_en": "x",
    }
    assert "Gone" in client.post(address, data).content.decode()
    assert "have stopped" in client.post(address, {"brand": page.brand_id, "confirmation": "default"}).content.decode()
    for rubbish in ("x", "9" * 30, "-1", "0"):
        data = {"kind": Kind.SUBSCRIPTION, "brand": rubbish, "service": rubbish, "confirmation": "default"}
        assert client.post(address + rubbish, data).status_code == 200


# -- how it fares ------------------------------------------------------------------------------------------------


def test_the_page_says_how_many_subscribe_and_what_happened_last(client: Client) -> None:
    service = ServiceFactory()
    ids = [ProfileFactory().pk for _n in range(3)]
    consent.subscribe(ids, service, evidence=BY, at=timezone.now())
    consent.unsubscribe(ids[:1], service, evidence=BY, at=timezone.now())
    page = published(service=service)
    response = client.get(url("change", service))
    shown = response.content.decode()
    assert response.context["subscribers"] == "2"
    assert "3 subscribed, 1 left: +2" in shown
    assert f'value="{page.public_address}"' in shown
    assert len(response.context["events"]) == 4
    events = client.get(reverse("admin:profiles_consentevent_changelist") + f"?service_id={service.pk}")
    assert len(events.context["cl"].result_list) == 4
    people = client.get(response.context["people_url"])
    assert {person.pk for person in people.context["cl"].result_list} == set(ids[1:])


def test_a_page_of_many_takes_no_more_queries_than_one_of_few(client: Client) -> None:
    service = ServiceFactory()

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(url("change", service)).status_code == 200
        return len(captured)

    consent.subscribe([ProfileFactory().pk], service, evidence=BY, at=timezone.now())
    published(service=service)
    queries()
    few = queries()
    consent.subscribe([ProfileFactory().pk for _n in range(20)], service, evidence=BY, at=timezone.now())
    for _n in range(5):
        published(service=service)
    assert queries() <= few
    assert few <= 25


def test_a_plot_of_several_lines_goes_below_zero_and_has_its_table() -> None:
    drawn = plots.lines("Growth", ["a", "b"], [Series("In", "good", [0, 4]), Series("Net", "plain", [-4, 1200])])
    assert 'points="0.0,159.5 600.0,158.9"' in drawn
    assert "highest: 1,200" in drawn
    assert "lowest: -4" in drawn
    assert '<th scope="col" class="c-number">Net</th>' in drawn
    assert '<th scope="row">b</th><td class="c-number">4</td><td class="c-number">1,200</td>' in drawn
    assert "<polyline" in plots.lines("Nothing", [], [Series("In", "good", [])])


# -- archiving ---------------------------------------------------------------------------------------------------


def test_archiving_says_first_what_follows(client: Client) -> None:
    service = ServiceFactory()
    consent.subscribe([ProfileFactory().pk], service, evidence=BY, at=timezone.now())
    inviting, leaving = published(service=service), published(Kind.UNSUBSCRIPTION, service=service)
    before = tables()
    shown = client.get(url("archive", service)).content.decode()
    assert "1 public page closes" in shown
    assert inviting.public_address in shown
    assert leaving.public_address not in shown
    assert "Those who are subscribed stay so: 1." in shown
    assert changed(before) <= {"django_session", "campaign_cache"}


def test_archiving_closes_what_invites_and_lets_people_leave(client: Client) -> None:
    service = ServiceFactory()
    profile = ProfileFactory(email="julie@example.org")
    consent.subscribe([profile.pk], service, evidence=BY, at=timezone.now())
    inviting, leaving = published(service=service), published(Kind.UNSUBSCRIPTION, service=service)
    assert client.post(url("archive", service)).status_code == 302
    assert visitor().get(inviting.public_address).status_code == 410
    assert visitor().get(leaving.public_address).status_code == 200
    assert Subscription.objects.count() == 1
    assert visitor().post(one_click_url(link("julie@example.org", service))).status_code == 200
    assert not Subscription.objects.exists()


def test_opening_it_again_gives_back_what_there_was(client: Client) -> None:
    service = ServiceFactory()
    consent.subscribe([ProfileFactory().pk], service, evidence=BY, at=timezone.now())
    page = published(service=service)
    client.post(url("archive", service))
    assert client.get(url("reopen", service)).status_code == 302
    assert visitor().get(page.public_address).status_code == 410
    client.post(url("reopen", service))
    assert visitor().get(page.public_address).status_code == 200
    assert Subscription.objects.count() == 1
    acts = list(AuditEvent.objects.order_by("pk").values_list("action", "actor_name", "label"))
    assert acts == [("archived", "emilie", str(service)), ("reopened", "emilie", str(service))]
    first = AuditEvent.objects.earliest("pk")
    assert first.before == {"archived_at": None}
    assert first.after["archived_at"]


def test_pressing_twice_is_noted_once(client: Client) -> None:
    service = ServiceFactory()
    for _n in range(2):
        client.post(url("archive", service))
    for _n in range(2):
        client.post(url("reopen", service))
    assert AuditEvent.objects.count() == 2
    assert not archiving.reopen(service)


@pytest.mark.parametrize("step", ["archive", "reopen"])
@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_archiving_needs_the_right_to_change_services(step: str, role: str) -> None:
    service = ServiceFactory(archived_at=timezone.now() if step == "reopen" else None)
    archived = service.archived_at
    client = of_role(role)
    assert client.post(url(step, service)).status_code == 403
    assert client.get(url(step, service)).status_code == 403
    assert url(step, service) not in client.get(url("change", service)).content.decode()
    assert Service.objects.get().archived_at == archived
    assert of_role("marketer").post(url(step, service)).status_code == 302


def test_lists_hide_what_is_archived_unless_it_is_asked_for(client: Client) -> None:
    service, archived = ServiceFactory(), ServiceFactory(archived_at=timezone.now())
    address = reverse("admin:profiles_service_changelist")
    for query, expected in (("", {service}), ("?archived=yes", {archived}), ("?archived=all", {service, archived})):
        assert set(client.get(address + query).context["cl"].result_list) == expected


@pytest.mark.parametrize("model", ["deliveries_delivery", "landing_landingpage"])
def test_what_is_archived_is_not_offered_but_to_what_has_it_already(client: Client, model: str) -> None:
    service, archived, other = ServiceFactory(), ServiceFactory(), ServiceFactory()
    made: Any = DeliveryFactory if model == "deliveries_delivery" else LandingPageFactory
    having = made(service=archived)
    Service.objects.filter(pk__in=[archived.pk, other.pk]).update(archived_at=timezone.now())

    def offered(address: str) -> set[Service]:
        return set(client.get(address).context["adminform"].form.fields["service"].queryset)

    assert offered(reverse(f"admin:{model}_add")) == {service}
    assert offered(reverse(f"admin:{model}_change", args=[having.pk])) == {service, archived}


def test_somebody_who_may_only_change_services_sees_no_people() -> None:
    user = UserFactory()
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_service", "change_service"]))
    service = ServiceFactory()
    consent.subscribe([ProfileFactory().pk], service, evidence=BY, at=timezone.now())
    context = logged_in(user).get(url("change", service)).context
    assert "events" not in context
    assert "people_url" not in context
    assert LandingPage.objects.filter(service=service).count() == 0
