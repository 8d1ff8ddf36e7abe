"""One request brings one message at most: the page's, or else that of its service at the first subscription."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deliveries import confirmations
from landing import publishing
from landing.models import Kind, LandingPage, PendingOptIn
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Confirmation, ConsentEvent, OutboxMessage, Profile, Service, Source, Subscription, Wording
from quarantine.models import Cause
from tests.factories import ProfileFactory, QuarantinedAddressFactory, ServiceFactory
from tests.landing.visitors import confirm_url, handle, link, opt_out_url, published, send, visitor
from tests.sink import running_sink

pytestmark = pytest.mark.django_db
NONE, DEFAULT, OWN = Confirmation.NONE, Confirmation.DEFAULT, Confirmation.OWN
WHO = "julie@example.org"
OF_SERVICE = {
    "on_subscribe": OWN, "subscribe_subject": {"en": "From the service"}, "subscribe_text": {"en": "Welcome."},
    "on_unsubscribe": OWN, "unsubscribe_subject": {"en": "Service: goodbye"}, "unsubscribe_text": {"en": "So long."},
}  # fmt: skip
OF_PAGE = {
    "confirmation": OWN,
    "confirmation_subject": {"en": "From the page", "fr": "De la page"},
    "confirmation_text": {"en": "Thank you.\n\nSee you <soon> & well.", "fr": "Merci."},
}


def submit(page: LandingPage, address: str = WHO, language: str = "en", *, at: Any = None) -> None:
    """Use a page, and confirm where it asks for that."""
    send(visitor(language), page, address)
    handle(at)
    if not page.is_opt_out and page.double_opt_in:
        visitor(language).post(confirm_url(PendingOptIn.objects.latest("pk")))


def posted() -> list[OutboxMessage]:
    """Return the messages posted, but for those that ask to confirm."""
    return list(OutboxMessage.objects.exclude(template="confirm_opt_in").order_by("pk"))


def subjects() -> list[str]:
    return [message.subject or message.template for message in posted()]


def tomorrow() -> None:
    """Let the messages of today be of yesterday: they no longer keep another one from being posted."""
    for message in posted():
        OutboxMessage.objects.filter(pk=message.pk).update(dedupe=f"{message.dedupe}-{message.pk}")
    OutboxMessage.objects.filter(template="confirm_opt_in").update(dedupe=None)


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("of_page", [NONE, DEFAULT, OWN])
@pytest.mark.parametrize("of_service", [NONE, DEFAULT, OWN])
def test_a_first_subscription_brings_one_message_at_most_and_the_page_goes_first(
    of_service: Confirmation, of_page: Confirmation, double: bool
) -> None:
    service = ServiceFactory(**{**OF_SERVICE, "on_subscribe": of_service})
    submit(published(service=service, **{**OF_PAGE, "confirmation": of_page}, double_opt_in=double))
    assert Subscription.objects.filter(service=service).count() == 1
    by_page = {DEFAULT: ["subscribed"], OWN: ["From the page"]}
    by_service = {NONE: [], DEFAULT: ["subscribed"], OWN: ["From the service"]}
    assert subjects() == (by_page.get(of_page) or by_service[of_service])


def test_the_message_of_a_service_is_for_the_first_time_and_that_of_a_page_for_each() -> None:
    service = ServiceFactory(**OF_SERVICE)
    plain, talking = published(service=service), published(service=service, **OF_PAGE)
    submit(plain)
    assert subjects() == ["From the service"]
    for _n in range(2):
        tomorrow()
        submit(plain)
    assert subjects() == ["From the service"]
    for number in range(1, 3):
        tomorrow()
        submit(talking)
        assert subjects()[1:] == ["From the page"] * number


def test_a_page_writes_once_a_day_to_an_address() -> None:
    page, other = (published(double_opt_in=False, **OF_PAGE) for _n in range(2))
    for _n in range(3):
        submit(page)
    assert subjects() == ["From the page"]
    submit(other)
    submit(page, "other@example.org")
    assert subjects() == ["From the page"] * 3
    submit(page, at=timezone.now() + timedelta(days=1))
    assert subjects() == ["From the page"] * 4


@pytest.mark.parametrize(
    ("kind", "template"),
    [
        (Kind.OPT_IN, "opted_in"),
        (Kind.SUBSCRIPTION, "subscribed"),
        (Kind.UNSUBSCRIPTION, "unsubscribed"),
        (Kind.OPT_OUT_ALL, "opted_out"),
    ],
)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_each_kind_of_page_has_a_default_message_and_takes_an_own_one(kind: Kind, template: str, language: str) -> None:
    ProfileFactory(email=WHO)
    page = published(kind, confirmation=DEFAULT)
    submit(page, language=language)
    LandingPage.objects.filter(pk=page.pk).update(**OF_PAGE)
    page.refresh_from_db()
    publishing.publish(page, at=timezone.now())
    tomorrow()
    submit(page, language=language)
    default, own = posted()
    assert (default.template, default.subject, own.template) == (template, "", template)
    assert own.subject == {"en": "From the page", "fr": "De la page"}[language]
    with running_sink() as sink:
        OutboxMessage.objects.filter(template="confirm_opt_in").delete()
        assert confirmations.drain() == 2
    assert sink.recipients == [WHO, WHO]
    for caught in sink.caught:
        assert caught.message["List-Unsubscribe"] is None
        assert caught.message["Content-Language"] == language
        assert page.brand.postal_address in caught.message.get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_what_is_written_but_not_published_is_not_sent() -> None:
    page = published(double_opt_in=False)
    LandingPage.objects.filter(pk=page.pk).update(**OF_PAGE)
    ServiceFactory._meta.model.objects.update(on_subscribe=NONE)
    submit(page)
    assert posted() == []


@pytest.mark.parametrize("kind", [Kind.OPT_IN, Kind.SUBSCRIPTION])
@pytest.mark.parametrize("channel", [None, Channel.EMAIL])
def test_people_who_stay_opted_out_get_no_message(kind: Kind, channel: Channel | None) -> None:
    profile = ProfileFactory(email=WHO)
    evidence = Evidence(source=Source.LANDING_PAGE)
    consent.opt_out([profile.pk], channel=channel, evidence=evidence, at=timezone.now())
    submit(published(kind, double_opt_in=False, **OF_PAGE))
    if kind == Kind.SUBSCRIPTION:
        submit(published(kind, **OF_PAGE))
    assert posted() == []
    assert Profile.objects.get().pk == profile.pk


@pytest.mark.parametrize("kind", [Kind.UNSUBSCRIPTION, Kind.OPT_OUT_ALL])
def test_a_message_about_leaving_goes_to_an_address_that_somebody_has_as_they_wrote_it(kind: Kind) -> None:
    page = published(kind, **OF_PAGE)
    submit(page, "stranger@example.org")
    assert posted() == []
    ProfileFactory(email="Julie@example.org")
    submit(page, "JULIE@EXAMPLE.ORG")
    assert [message.address for message in posted()] == ["Julie@example.org"]


def test_leaving_by_a_link_of_a_message_brings_the_message_of_the_service() -> None:
    service = ServiceFactory(**OF_SERVICE)
    published(Kind.UNSUBSCRIPTION, service=service, **OF_PAGE)
    ProfileFactory(email=WHO, services=[service])
    visitor().post(opt_out_url(link(WHO, service)), {"choice": "service"})
    assert subjects() == ["Service: goodbye"]


@pytest.mark.parametrize("cause", list(Cause))
def test_an_address_left_out_gets_none(cause: Cause) -> None:
    ProfileFactory(email=WHO)
    QuarantinedAddressFactory(value=WHO, cause=cause)
    submit(published(Kind.OPT_OUT_ALL, **OF_PAGE))
    with running_sink() as sink:
        confirmations.drain()
    assert sink.caught == []
    assert [message.state for message in posted()] == [OutboxMessage.State.SUPPRESSED]


def test_a_page_about_another_channel_writes_no_mail() -> None:
    service = ServiceFactory(channel=Channel.SMS, **OF_SERVICE)
    page = published(service=service, channel=Channel.SMS, double_opt_in=False, **OF_PAGE)
    submit(page, "+33639980001")
    assert Subscription.objects.count() == 1
    assert posted() == []


# -- what may no longer be subscribed to -------------------------------------------------------------------------


def closes(service: Service, how: str) -> None:
    fields: dict[str, Any] = {"is_public": False} if how == "private" else {"archived_at": timezone.now()}
    Service.objects.filter(pk=service.pk).update(**fields)


@pytest.mark.parametrize("how", ["private", "archived"])
def test_nobody_can_subscribe_to_what_is_private_or_over(how: str) -> None:
    page = published(double_opt_in=False)
    closes(page.service, how)
    assert visitor().get(page.public_address).status_code == 410
    assert send(visitor(), page, WHO).status_code == 410
    page.refresh_from_db()
    assert not LandingPage.objects.open(timezone.now()).filter(pk=page.pk).exists()
    assert page.availability(timezone.now()).name == "OVER"
    assert not PendingOptIn.objects.exists()


@pytest.mark.parametrize("how", ["private", "archived"])
def test_a_request_made_before_is_refused_kindly_and_leaves_no_trace(how: str) -> None:
    page = published()
    send(visitor(), page, WHO)
    handle()
    pending = PendingOptIn.objects.get()
    closes(page.service, how)
    for response in (visitor().get(confirm_url(pending)), visitor().post(confirm_url(pending))):
        assert response.status_code == 410
        assert "nothing has been recorded" in response.content.decode()
        assert "bonjour@jardins.example" in response.content.decode()
    assert not Profile.objects.exists()
    assert not Subscription.objects.exists()


@pytest.mark.parametrize("double", [True, False])
def test_a_request_waiting_for_its_task_is_dropped_when_the_service_becomes_private(double: bool) -> None:
    page = published(double_opt_in=double)
    send(visitor(), page, WHO)
    closes(page.service, "private")
    handle()
    assert not Profile.objects.exists()
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize("how", ["private", "archived"])
def test_leaving_stays_possible(how: str) -> None:
    service = ServiceFactory()
    page = published(Kind.UNSUBSCRIPTION, service=service)
    ProfileFactory(email=WHO, services=[service])
    closes(service, how)
    assert send(visitor(), page, WHO).status_code == 200
    handle()
    assert not Subscription.objects.exists()


# -- how long it lasts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "told"), [(1, "after 1 day."), (30, "after 30 days."), (None, "")])
def test_a_limited_duration_is_said_on_the_page_in_the_mail_and_in_the_ledger(days: int | None, told: str) -> None:
    page = published(service=ServiceFactory(validity_days=days))
    shown = [visitor().get(page.public_address).content.decode()]
    send(visitor(), page, WHO)
    handle()
    pending = PendingOptIn.objects.get()
    shown.append(visitor().get(confirm_url(pending)).content.decode())
    visitor().post(confirm_url(pending))
    OutboxMessage.objects.filter(template="confirm_opt_in").delete()
    with running_sink() as sink:
        confirmations.drain()
    shown += [sink.caught[0].message.get_body((kind,)).get_content() for kind in ("plain", "html")]  # type: ignore[union-attr]
    shown.append(Wording.objects.get(pk=ConsentEvent.objects.get().wording_id).text)
    for text in shown:
        assert (f"It ends by itself {told}" in text) if days else ("ends by itself" not in text)
