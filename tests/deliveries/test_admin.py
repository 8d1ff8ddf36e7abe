"""The marketer's screens, as requests."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import analysis, reports, sending
from deliveries.admin.steps import STEPS
from deliveries.models import Delivery, DeliveryLog, Proof, Reason, State
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Collect what is rung, in place of a broker."""
    calls: list[tuple[str, int]] = []
    for name in ("analyse_delivery", "send_delivery", "send_proof"):
        from deliveries import tasks

        monkeypatch.setattr(getattr(tasks, name), "delay", lambda pk, name=name: calls.append((name, pk)))
    return calls


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(UserFactory.create(admin=True, email="me@example.org", username="emilie"))
    return client


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:deliveries_delivery_{name}", args=args)


def ready(people: int = 3) -> Delivery:
    service = ServiceFactory.create()
    for _n in range(people):
        ProfileFactory.create(services=[service])
    return DeliveryFactory.create(service=service)


def analysed(delivery: Delivery) -> Delivery:
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def form_of(delivery: Delivery, **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "label": delivery.label, "brand": delivery.brand_id, "channel": delivery.channel, "target": delivery.target,
        "service": delivery.service_id, "message_class": delivery.message_class, "seen_version": delivery.version,
        "in_doubt_policy": delivery.in_doubt_policy, "addresses": delivery.addresses,
    }  # fmt: skip
    return {**data, **changes}


def test_a_new_delivery_starts_with_a_message_that_passes_the_checks(client: Client) -> None:
    page = client.get(reverse("admin:deliveries_delivery_add"))
    html = page.content.decode()
    assert "{{ opt_out_url }}" in html
    assert "{{ brand.postal_address" in html
    assert "Bonjour {{ profile.first_name }}" in html


def test_save_and_analyse_saves_then_rings_the_analysis(
    client: Client, rung: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    delivery = ready()
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(
            reverse("admin:deliveries_delivery_change", args=[delivery.pk]),
            form_of(delivery, label="Renamed", save_and_analyse="1"),
        )
    assert answer.status_code == 302, answer.context["errors"]
    assert answer.url == url("workspace", delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.label, delivery.state) == ("Renamed", State.ANALYSING)
    assert rung == [("analyse_delivery", delivery.pk)]


def test_editing_voids_the_analysis_and_says_so_before(client: Client) -> None:
    delivery = analysed(ready())
    change = reverse("admin:deliveries_delivery_change", args=[delivery.pk])
    assert "the analysis no longer counts" in client.get(change).content.decode()
    client.post(change, form_of(delivery, label="Another name"))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.current_run) == (State.DRAFT, None)


def test_saving_without_a_change_keeps_the_analysis(client: Client) -> None:
    delivery = analysed(ready())
    client.post(reverse("admin:deliveries_delivery_change", args=[delivery.pk]), form_of(delivery))
    delivery.refresh_from_db()
    assert delivery.state == State.ANALYSED


def test_two_people_editing_lose_nobodys_work(client: Client) -> None:
    delivery = ready()
    data = form_of(delivery)
    change = reverse("admin:deliveries_delivery_change", args=[delivery.pk])
    client.post(change, {**data, "label": "First"})
    answer = client.post(change, {**data, "label": "Second"})
    assert "Somebody else has changed" in answer.content.decode()
    delivery.refresh_from_db()
    assert delivery.label == "First"


def test_a_broken_template_of_a_new_delivery_is_refused_with_its_line(client: Client) -> None:
    delivery = ready()
    data = {"contents-TOTAL_FORMS": 1, "contents-INITIAL_FORMS": 0, "contents-0-language": "en"}
    page = client.post(
        reverse("admin:deliveries_delivery_add"),
        {**form_of(delivery, label="New"), **data, "contents-0-text": "Hello\n{% if %}"},
    )
    assert "Text, line 2" in page.content.decode()
    assert not Delivery.objects.filter(label="New").exists()


def test_a_new_delivery_is_stored_with_its_message(client: Client) -> None:
    delivery = ready()
    data = {"contents-TOTAL_FORMS": 1, "contents-INITIAL_FORMS": 0, "contents-0-language": "en"}
    client.post(
        reverse("admin:deliveries_delivery_add"),
        {**form_of(delivery, label="New"), **data, "contents-0-subject": "Hi", "contents-0-text": "Hello\r\nyou"},
    )
    content = Delivery.objects.get(label="New").contents.get()
    assert (content.subject, content.text) == ("Hi", "Hello\nyou")


def test_who_is_left_out_shows_every_rule_with_zeros_and_leads_to_people_and_evidence(client: Client) -> None:
    delivery = ready()
    out, gone, _ok = Profile.objects.order_by("pk")
    by = Evidence.of_operator(UserFactory.create(username="pierre"), reason="Asked by phone")
    consent.opt_out([out.pk], channel=Channel.EMAIL, evidence=by, at=timezone.now())
    QuarantinedAddressFactory.create(value=gone.addresses.get().value, text="550 5.1.1 No such user")
    analysed(delivery)
    page = client.get(url("workspace", delivery.pk)).content.decode()
    for reason in (Reason.ADDRESS_MISSING, Reason.DUPLICATE, Reason.BLACKLISTED_CHANNEL):
        assert str(reason.label) in page
    people = client.get(url("left_out", delivery.pk, int(Reason.BLACKLISTED_CHANNEL))).content.decode()
    for part in (str(out), "Opted out", "Operator", "pierre", "Asked by phone"):
        assert part in people
    people = client.get(url("left_out", delivery.pk, int(Reason.QUARANTINED_BOUNCE))).content.decode()
    assert "550 5.1.1 No such user" in people


def test_a_duplicate_names_the_profile_that_gets_the_message(client: Client) -> None:
    delivery = ready(1)
    keeper = Profile.objects.get()
    ProfileFactory.create(email=keeper.addresses.get().value.upper(), services=[delivery.service])
    analysed(delivery)
    people = client.get(url("left_out", delivery.pk, int(Reason.DUPLICATE))).content.decode()
    assert str(keeper) in people


def test_the_list_of_people_takes_the_same_number_of_queries_for_any_number(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    delivery = ready(60)
    by = Evidence.of_operator(UserFactory.create())
    consent.opt_out(Profile.objects.values_list("pk", flat=True), channel=None, evidence=by, at=timezone.now())
    analysed(delivery)
    with django_assert_max_num_queries(12):
        page = client.get(url("left_out", delivery.pk, int(Reason.BLACKLISTED))).content.decode()
    assert "Next" in page


def test_before_sending_a_page_says_how_many_to_whom_and_who_is_left_out(client: Client, rung: list[Any]) -> None:
    delivery = analysed(ready())
    page = client.get(url("review", delivery.pk)).content.decode()
    for part in ("3 messages will be sent", str(delivery.service), delivery.brand.sender_email):
        assert part in page
    assert rung == []


def test_send_rings_once_and_a_second_click_is_told(
    client: Client, rung: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    delivery = analysed(ready())
    with django_capture_on_commit_callbacks(execute=True):
        client.post(url("do", delivery.pk, "send"))
        page = client.post(url("do", delivery.pk, "send"), follow=True)
    assert rung == [("send_delivery", delivery.pk)]
    assert "Look at it again" in page.content.decode()


@pytest.mark.parametrize("step", sorted(STEPS))
def test_looking_at_the_address_of_a_button_presses_nothing(client: Client, rung: list[Any], step: str) -> None:
    delivery = analysed(ready())
    client.get(url("do", delivery.pk, step))
    delivery.refresh_from_db()
    assert (delivery.state, rung, Delivery.objects.count()) == (State.ANALYSED, [], 1)


def test_a_viewer_sees_everything_and_presses_nothing(rung: list[Any]) -> None:
    from django.contrib.auth.models import Permission

    viewer = UserFactory.create()
    viewer.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client = Client()
    client.force_login(viewer)
    delivery = analysed(ready())
    page = client.get(url("workspace", delivery.pk)).content.decode()
    assert "Who is left out" in page
    assert "/do/" not in page
    for step in ("analyse", "test", "send", "stop", "unschedule", "duplicate"):
        assert client.post(url("do", delivery.pk, step)).status_code == 403
    assert client.get(url("review", delivery.pk)).status_code == 403
    assert client.post(url("schedule", delivery.pk), {"day": "2050-01-01", "hour": "10:00"}).status_code == 403
    assert client.get(url("export", delivery.pk)).status_code == 403


def test_a_sending_that_stands_still_says_so_and_one_that_moves_does_not(client: Client) -> None:
    delivery = analysed(ready())
    sending.start(delivery, at=timezone.now())
    run, now, still = delivery.current_run, timezone.now(), "No message is leaving at the moment"
    assert run
    assert still in client.get(url("live", delivery.pk)).content.decode()
    assert sending.take_lease(run, at=now)
    answer = client.get(url("live", delivery.pk))
    assert still not in answer.content.decode()
    assert answer["X-Moving"] == "yes"
    assert reports.is_quiet(run, at=now + reports.QUIET * 2)


def test_send_a_test_to_me_makes_one_per_language(
    client: Client, rung: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    delivery = ready()
    with django_capture_on_commit_callbacks(execute=True):
        client.post(url("do", delivery.pk, "test"))
    assert {(p.address, p.language) for p in Proof.objects.all()} == {
        ("me@example.org", "en"),
        ("me@example.org", "fr"),
    }
    assert len(rung) == 2


def test_the_preview_shows_one_person_in_a_frame_that_runs_nothing(client: Client) -> None:
    delivery = ready(1)
    person = Profile.objects.get()
    Profile.objects.update(first_name="<script>alert(1)</script>")
    page = client.post(url("preview", delivery.pk, "en"), {"person": person.addresses.get().value}).content.decode()
    assert '<iframe class="c-frame" sandbox title' in page
    assert "<script>alert(1)" not in page
    assert "&amp;lt;script&amp;gt;" in page


def test_the_file_of_people_left_out_is_harmless_in_a_spreadsheet(client: Client) -> None:
    delivery = ready(1)
    Profile.objects.update(external_id="=HYPERLINK(1)", blacklisted=True)
    analysed(delivery)
    answer = client.get(url("export", delivery.pk))
    text = b"".join(answer.streaming_content).decode()
    assert "'=HYPERLINK(1)" in text
    assert text.count("\n") == 2


def test_sent_deliveries_cannot_be_edited(client: Client) -> None:
    delivery = analysed(ready())
    Delivery.objects.update(state=State.FINISHED)
    change = reverse("admin:deliveries_delivery_change", args=[delivery.pk])
    client.post(change, form_of(delivery, label="Other"))
    delivery.refresh_from_db()
    assert delivery.label != "Other"
    assert DeliveryLog.objects.count() == 3
