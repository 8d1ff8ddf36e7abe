"""The mission, one test per statement, through the ways people really use."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import analysis, reports, sending
from deliveries.models import Delivery, DeliveryLog, LogStatus, Reason, State
from deliveries.tasks import analyse_delivery
from landing import publishing
from landing import tasks as landing_tasks
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import ConsentEvent, Profile, Service, Source, Subscription
from quarantine import person as everywhere
from quarantine.models import Cause, QuarantinedAddress
from tests.factories import (
    DeliveryFactory,
    ProfileFactory,
    QuarantinedAddressFactory,
    ServiceFactory,
    UserFactory,
    add_address,
)
from tests.profiles.test_profile_page import save
from tests.sink import Sink, running_sink

pytestmark = pytest.mark.django_db
BY = Evidence(source=Source.OPERATOR, actor_name="emilie", reason="asked by phone")


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running_sink() as running:
        yield running


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(UserFactory.create(admin=True, email="emilie@jardins.example"))
    return client


def analysed(service: Service | None = None, *, channel: Channel = Channel.EMAIL) -> Delivery:
    """Return an analysed delivery to the subscribers of a service, or to everybody."""
    fields: dict[str, Any] = {"service": service} if service else {"target": "everybody"}
    delivery = DeliveryFactory.create(channel=channel, **fields)
    analysis.start(delivery, at=timezone.now())
    analyse_delivery(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == State.ANALYSED
    return delivery


def reasons(delivery: Delivery) -> dict[int, Reason]:
    return {row.profile_id: Reason(row.reason) for row in DeliveryLog.objects.filter(run=delivery.current_run)}


def test_01_opting_out_ends_targeting_by_every_delivery_or_by_one_channel() -> None:
    of_all, of_email = (ProfileFactory.create(sms=f"+3363998000{n}") for n in (1, 2))
    consent.opt_out([of_all.pk], channel=None, evidence=BY, at=timezone.now())
    consent.opt_out([of_email.pk], channel=Channel.EMAIL, evidence=BY, at=timezone.now())
    assert reasons(analysed()) == {of_all.pk: Reason.BLACKLISTED, of_email.pk: Reason.BLACKLISTED_CHANNEL}
    assert reasons(analysed(channel=Channel.SMS)) == {of_all.pk: Reason.BLACKLISTED, of_email.pk: Reason.NONE}


def test_02_profiles_opt_in_and_out_on_published_pages(sink: Sink, settings: Any, rewind_forms: Any) -> None:
    from deliveries import confirmations

    service = ServiceFactory.create()
    publishing.default_pages(service, at=timezone.now())
    visitor = Client()
    fill_in(visitor, f"/p/{service.name}/", "julie@example.org", rewind_forms)
    landing_tasks.handle_requests()
    confirmations.drain()
    assert not Profile.objects.exists(), "nothing before the confirmation"
    link = re.search(r"https?://[^/]+(/c/\S+)", text_of(sink.caught[-1]))
    assert link
    visitor.get(link[1])
    assert not Profile.objects.exists(), "looking is not confirming"
    visitor.post(link[1])
    person = Profile.objects.get()
    assert reasons(analysed(service)) == {person.pk: Reason.NONE}
    fill_in(visitor, f"/p/stop-{service.name}/", "JULIE@example.org", rewind_forms)
    landing_tasks.handle_requests()
    assert reasons(analysed(service)) == {}
    assert set(ConsentEvent.objects.values_list("act", "source")) >= {
        ("subscribe", "landing_page"), ("unsubscribe", "landing_page"),
    }  # fmt: skip


def test_03_an_operator_opts_a_profile_in_or_out_by_hand(operator: Client) -> None:
    person = ProfileFactory.create()
    save(operator, person, no_contact_blacklisted_email="on")
    person.refresh_from_db()
    assert person.blacklisted_email
    save(operator, person, no_contact_blacklisted_email=None, lift_reason="She wrote that she wants them again")
    person.refresh_from_db()
    assert not person.blacklisted_email
    events = ConsentEvent.objects.filter(profile_id=person.pk).order_by("pk")
    assert [(e.act, e.source) for e in events] == [("opt_out", "operator"), ("opt_in", "operator")]
    assert "wants them again" in events[1].reason


def test_04_blacklisted_profiles_are_left_out_by_the_analysis() -> None:
    service = ServiceFactory.create()
    wants, does_not = (ProfileFactory.create(services=[service]) for _n in range(2))
    consent.opt_out([does_not.pk], channel=None, evidence=BY, at=timezone.now())
    delivery = analysed(service)
    rows = DeliveryLog.objects.filter(run=delivery.current_run)
    assert rows.get(profile=wants.pk).status == LogStatus.PENDING
    assert rows.get(profile=does_not.pk).status == LogStatus.EXCLUDED


def test_05_leaving_them_out_early_makes_sending_faster(sink: Sink) -> None:
    """An address that fails costs the sending its time; left out by the analysis, it costs nothing."""

    def slow_refusal(recipient: str) -> str | None:
        if recipient.startswith("gone"):
            time.sleep(0.05)
            return "451 4.4.1 No answer from host"
        return None

    def attempts_and_seconds() -> tuple[int, float]:
        service = ServiceFactory.create()
        ProfileFactory.create(services=[service])
        for n in range(6):
            ProfileFactory.create(email=f"gone{n}@d{n}.example.org", services=[service])
        delivery = analysed(service)
        tried: list[str] = []
        sink.at_rcpt = lambda recipient: tried.append(recipient) or slow_refusal(recipient)
        sending.start(delivery, at=timezone.now())
        began = time.monotonic()
        sending.work(delivery.pk)
        return len(tried), time.monotonic() - began

    tries_before, before = attempts_and_seconds()
    for n in range(6):
        value = f"gone{n}@d{n}.example.org"
        QuarantinedAddress.objects.filter(value=value).delete()
        QuarantinedAddressFactory.create(value=value)
    tries_after, after = attempts_and_seconds()
    assert (tries_before, tries_after) == (7, 1)
    assert after < before


def test_06_blacklisting_leaves_out_all_addresses_of_the_profile() -> None:
    person = ProfileFactory.create(sms="+33639980001")
    add_address(person, Channel.EMAIL, "second@example.org")
    consent.opt_out([person.pk], channel=None, evidence=BY, at=timezone.now())
    for channel in (Channel.EMAIL, Channel.SMS):
        assert reasons(analysed(channel=channel)) == {person.pk: Reason.BLACKLISTED}
    person.addresses.filter(channel=Channel.EMAIL, position=1).delete()
    person.addresses.filter(value="second@example.org").update(position=1)
    assert reasons(analysed()) == {person.pk: Reason.BLACKLISTED}


def test_07_quarantine_is_on_an_address_whoever_has_it() -> None:
    one = ProfileFactory.create(email="shared@example.org", sms="+33639980001")
    other = ProfileFactory.create(email="SHARED@example.org")
    QuarantinedAddressFactory.create(value="shared@example.org", cause=Cause.BOUNCE)
    assert reasons(analysed()) == dict.fromkeys((one.pk, other.pk), Reason.QUARANTINED_BOUNCE)
    assert reasons(analysed(channel=Channel.SMS))[one.pk] == Reason.NONE
    one.addresses.filter(channel=Channel.EMAIL).delete()
    add_address(one, Channel.EMAIL, "new@example.org")
    assert reasons(analysed())[one.pk] == Reason.NONE


def test_08_someone_with_two_profiles_is_still_targeted_through_the_other(operator: Client) -> None:
    first = ProfileFactory.create(email="zoe@example.org")
    second = ProfileFactory.create(email="Zoe@example.org", first_name="Second")
    consent.opt_out([first.pk], channel=None, evidence=BY, at=timezone.now())
    assert reasons(analysed()) == {first.pk: Reason.BLACKLISTED, second.pk: Reason.NONE}
    page = operator.get(reverse("admin:profiles_profile_change", args=[first.pk])).content.decode()
    assert str(second) in page, "and the page of the first says so"


def test_09_this_person_everywhere_quarantines_all_their_addresses(operator: Client) -> None:
    first = ProfileFactory.create(email="zoe@example.org", sms="+33639980001")
    second = ProfileFactory.create(email="zoe.martin@example.com")
    other = ProfileFactory.create(email="zoe@example.org")
    everywhere.opt_out_everywhere([first.pk, second.pk], evidence=BY, at=timezone.now())
    found = reasons(analysed())
    assert found[first.pk] == found[second.pk] == Reason.BLACKLISTED
    assert found[other.pk] == Reason.QUARANTINED_PERSON
    blocked = QuarantinedAddress.objects.blocking(timezone.now()).values_list("value", flat=True)
    assert set(blocked) == {"zoe@example.org", "+33639980001", "zoe.martin@example.com"}


def test_10_people_subscribe_to_services_and_unsubscribe() -> None:
    service, person = ServiceFactory.create(), ProfileFactory.create()
    by_person = Evidence(source=Source.LANDING_PAGE)
    consent.subscribe([person.pk], service, evidence=by_person, at=timezone.now())
    assert Subscription.objects.active(timezone.now()).filter(service=service, profile=person).exists()
    assert reasons(analysed(service)) == {person.pk: Reason.NONE}
    consent.unsubscribe([person.pk], service, evidence=by_person, at=timezone.now())
    assert reasons(analysed(service)) == {}
    history = ConsentEvent.objects.filter(profile_id=person.pk, service_id=service.pk)
    assert list(history.order_by("pk").values_list("act", flat=True)) == ["subscribe", "unsubscribe"]


def test_11_the_analysis_is_a_celery_task_launched_from_the_back_office(
    operator: Client, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    from campaign.celery import app

    service = ServiceFactory.create()
    person = ProfileFactory.create(services=[service])
    delivery = DeliveryFactory.create(service=service)
    rung: list[int] = []
    monkeypatch.setattr(analyse_delivery, "delay", rung.append)
    with django_capture_on_commit_callbacks(execute=True):
        operator.post(reverse("admin:deliveries_delivery_do", args=[delivery.pk, "analyse"]))
    assert rung == [delivery.pk]
    assert not DeliveryLog.objects.exists(), "the request itself analyses nothing"
    app.tasks["deliveries.tasks.analyse_delivery"](*rung)
    page = operator.get(reverse("admin:deliveries_delivery_workspace", args=[delivery.pk])).content.decode()
    assert "Who is left out" in page
    delivery.refresh_from_db()
    assert reasons(delivery) == {person.pk: Reason.NONE}


def test_12_quarantined_addresses_are_left_out_before_sending(sink: Sink, capsys: Any) -> None:
    service = ServiceFactory.create()
    ProfileFactory.create(email="works@example.org", services=[service])
    ProfileFactory.create(email="gone@example.org", services=[service])
    QuarantinedAddressFactory.create(value="gone@example.org")
    delivery = analysed(service)
    assert delivery.current_run
    table = reports.waterfall(delivery.current_run)
    assert (table.targeted, table.left_out, table.to_send) == (2, 1, 1)
    call_command("send", str(delivery.pk))
    sending.work(delivery.pk)
    assert sink.recipients == ["works@example.org"]


def fill_in(visitor: Client, path: str, email: str, rewind: Any) -> None:
    """Fill in and post the form of a public page as a visitor would, some seconds after opening it."""
    html = visitor.get(path).content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', html))
    with rewind():
        answer = visitor.post(path, {**hidden, "address": email})
    assert answer.status_code == 200, answer.content.decode()


def text_of(caught: Any) -> str:
    body = caught.message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


@pytest.fixture
def rewind_forms() -> Any:
    """Let some seconds pass between opening a form and sending it."""
    from datetime import timedelta

    import time_machine

    return lambda: time_machine.travel(timezone.now() + timedelta(seconds=5), tick=True)
