"""Nothing is recorded about people until they press the button in the message; then exactly what they asked for is."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deliveries import confirmations
from landing import double_opt_in
from landing.models import Kind, PendingOptIn
from profiles import consent
from profiles.consent import Evidence
from profiles.models import (
    Act,
    Address,
    Confirmation,
    ConsentEvent,
    ErasedOptOut,
    Profile,
    Source,
    Subscription,
    Wording,
)
from quarantine.models import Cause, QuarantinedAddress
from tests.factories import ProfileFactory, QuarantinedAddressFactory, ServiceFactory
from tests.landing.visitors import (
    changed,
    confirm_url,
    consents,
    digest_of,
    handle,
    mails,
    published,
    send,
    tables,
    visitor,
)
from tests.sink import running_sink

pytestmark = pytest.mark.django_db
OPERATOR = Evidence(source=Source.OPERATOR, reason="Asked by phone")
ONLY_TRACE = {"landing_pendingoptin", "landing_count", "profiles_outboxmessage", "campaign_cache", "sqlite_sequence"}


def ask(address: str = "new@example.org", kind: Kind = Kind.SUBSCRIPTION, **fields: Any) -> PendingOptIn:
    page = published(kind, **fields)
    send(visitor(), page, address, first_name="Zoé", last_name="Martin")
    handle()
    return PendingOptIn.objects.latest("pk")


def press(pending: PendingOptIn, **fields: Any) -> int:
    return visitor().post(confirm_url(pending), fields).status_code


def test_a_request_leaves_no_other_trace_before_it_is_confirmed() -> None:
    page = published()
    before = tables()
    send(visitor(), page, "new@example.org", first_name="Zoé")
    handle()
    with running_sink() as sink:
        confirmations.drain()
    assert sink.recipients == ["new@example.org"]
    assert changed(before) <= ONLY_TRACE


def test_a_request_that_nobody_confirms_is_forgotten_with_its_message() -> None:
    page = published()
    before = tables()
    send(visitor(), page, "new@example.org")
    handle()
    later = timezone.now() + timedelta(days=4)
    double_opt_in.purge(later)
    assert not PendingOptIn.objects.exists()
    assert mails("confirm_opt_in") == []
    assert changed(before) <= {"campaign_cache", "landing_count", "sqlite_sequence"}


def test_opening_the_mailed_link_confirms_nothing() -> None:
    pending = ask()
    before = tables()
    response = visitor().get(confirm_url(pending))
    assert "n•••@example.org" in response.content.decode()
    assert changed(before) == set()


def test_the_button_makes_the_profile_and_its_subscription() -> None:
    pending = ask()
    assert press(pending) == 200
    profile = Profile.objects.get()
    assert (profile.first_name, profile.last_name, profile.language) == ("Zoé", "Martin", "en")
    assert list(profile.addresses.values_list("value", flat=True)) == ["new@example.org"]
    assert list(Profile.objects.search("martin new@example")) == [profile]
    assert Subscription.objects.get().profile == profile


def test_the_ledger_holds_who_agreed_to_what_and_from_where() -> None:
    page = published(agreement={"en": "I agree to receive the garden letter."}, title={"en": "The garden letter"})
    assert send(visitor(), page, "new@example.org").status_code == 422
    assert send(visitor(), page, "new@example.org", agreed="on").status_code == 200
    visitor(REMOTE_ADDR="192.0.2.9").post(confirm_url(PendingOptIn.objects.get()), headers={"user-agent": "Browser/1"})
    agreed, subscribed = ConsentEvent.objects.order_by("pk")
    assert (agreed.act, subscribed.act) == (Act.AGREEMENT, Act.SUBSCRIBE)
    for event in (agreed, subscribed):
        assert (event.source, event.ip, event.user_agent) == (Source.LANDING_PAGE, "192.0.2.9", "Browser/1")
        assert event.language == "en"
    assert Wording.objects.get(pk=agreed.wording_id).text == "I agree to receive the garden letter."
    shown = Wording.objects.get(pk=subscribed.wording_id).text
    assert shown.startswith("The garden letter")
    assert "I agree to receive the garden letter." in shown


def test_pressing_twice_does_it_once() -> None:
    pending = ask()
    assert press(pending) == 200
    before, events = consents(), ConsentEvent.objects.count()
    assert press(pending) == 200
    assert (consents(), ConsentEvent.objects.count()) == (before, events)


def test_an_expired_link_confirms_nothing_and_says_where_to_ask_again() -> None:
    pending = ask()
    PendingOptIn.objects.update(expires_at=timezone.now())
    response = visitor().post(confirm_url(pending))
    assert response.status_code == 410
    assert f"/p/{pending.version.page.slug}/" in response.content.decode()
    assert not Profile.objects.exists()


def test_a_link_pressed_long_after_it_was_confirmed_does_not_say_that_nothing_happened() -> None:
    pending = ask()
    url = confirm_url(pending)
    press(pending)
    double_opt_in.purge(timezone.now() + timedelta(days=30))
    assert "nothing has been recorded" not in visitor().get(url).content.decode()


def test_it_goes_to_the_oldest_profile_that_has_the_address() -> None:
    oldest, younger = ProfileFactory(email="a@example.org"), ProfileFactory(email="A@Example.org")
    press(ask("a@EXAMPLE.org"))
    assert Subscription.objects.get().profile == oldest
    assert Profile.objects.count() == 2
    younger.refresh_from_db()
    oldest.refresh_from_db()
    assert oldest.last_name != "Martin", "what is known of a person is not overwritten by what somebody typed"


@pytest.mark.parametrize("flag", ["blacklisted", "blacklisted_email"])
def test_subscribing_lifts_no_opt_out_by_itself(flag: str) -> None:
    profile = ProfileFactory(email="a@example.org")
    consent.opt_out([profile.pk], channel=None if flag == "blacklisted" else 1, evidence=OPERATOR, at=timezone.now())
    pending = ask("a@example.org")
    page = visitor().get(confirm_url(pending)).content.decode()
    assert 'name="lift"' in page
    assert "checked" not in page
    press(pending)
    profile.refresh_from_db()
    assert getattr(profile, flag)
    assert Subscription.objects.filter(profile=profile).exists()


def test_the_box_lifts_that_channel_only() -> None:
    profile = ProfileFactory(email="a@example.org", sms="+33639980001")
    for channel in (1, 2):
        consent.opt_out([profile.pk], channel=channel, evidence=OPERATOR, at=timezone.now())
    press(ask("a@example.org"), lift="1")
    profile.refresh_from_db()
    assert (profile.blacklisted_email, profile.blacklisted_sms) == (False, True)


def test_the_box_lifts_that_channel_only_for_somebody_who_had_stopped_everything() -> None:
    profile = ProfileFactory(email="a@example.org")
    consent.opt_out([profile.pk], channel=None, evidence=OPERATOR, at=timezone.now())
    press(ask("a@example.org"), lift="1")
    profile.refresh_from_db()
    assert (profile.blacklisted, profile.blacklisted_email) == (False, False)
    assert profile.blacklisted_sms
    assert profile.blacklisted_phone
    assert profile.blacklisted_push
    assert profile.blacklisted_direct_mail


def test_a_box_that_was_not_shown_lifts_nothing() -> None:
    """Somebody adds the field to the request of an address that was not opted out."""
    press(ask("a@example.org"), lift="1")
    assert not ConsentEvent.objects.filter(act=Act.OPT_IN).exists()


def test_an_opt_in_page_lifts_the_channel_once_confirmed() -> None:
    profile = ProfileFactory(email="a@example.org")
    consent.opt_out([profile.pk], channel=1, evidence=OPERATOR, at=timezone.now())
    pending = ask("a@example.org", Kind.OPT_IN)
    profile.refresh_from_db()
    assert profile.blacklisted_email
    press(pending)
    profile.refresh_from_db()
    assert not profile.blacklisted_email


def test_an_opt_in_page_makes_a_profile_where_there_is_none() -> None:
    press(ask("a@example.org", Kind.OPT_IN))
    assert Profile.objects.having(digest_of("a@example.org")).count() == 1


@pytest.mark.parametrize(("cause", "blocks"), [(Cause.PERSON, False), (Cause.BOUNCE, True), (Cause.COMPLAINT, True)])
def test_confirming_releases_an_address_only_from_what_its_owner_asked(cause: Cause, blocks: bool) -> None:
    QuarantinedAddressFactory(value="a@example.org", cause=cause)
    press(ask("a@example.org"))
    assert QuarantinedAddress.objects.blocking(timezone.now()).exists() is blocks


def test_confirming_forgets_the_kept_opt_out_of_that_service_and_no_other() -> None:
    service, other = ServiceFactory(), ServiceFactory()
    for left in (service, other):
        consent.opt_out_address(1, digest_of("a@example.org"), service=left, evidence=OPERATOR, at=timezone.now())
    consent.opt_out_address(1, digest_of("a@example.org"), service=None, flag=2, evidence=OPERATOR, at=timezone.now())
    press(ask("a@example.org", service=service))
    profile = Profile.objects.get()
    assert list(profile.subscriptions.values_list("service", flat=True)) == [service.pk]
    assert profile.blacklisted_sms
    assert set(ErasedOptOut.objects.values_list("service_id", flat=True)) == {0, other.pk}


def test_the_first_subscription_is_confirmed_by_one_message() -> None:
    service = ServiceFactory(on_subscribe=Confirmation.DEFAULT)
    press(ask("a@example.org", service=service))
    assert [mail.address for mail in mails("subscribed")] == ["a@example.org"]
    profile = Profile.objects.get()
    consent.unsubscribe([profile.pk], service, evidence=OPERATOR, at=timezone.now())
    PendingOptIn.objects.all().delete()
    press(ask("a@example.org", service=service))
    assert Subscription.objects.exists()
    assert len(mails("subscribed")) == 1


def test_no_message_where_the_service_wants_none() -> None:
    press(ask("a@example.org", service=ServiceFactory(on_subscribe=Confirmation.NONE)))
    assert mails("subscribed") == []


def test_without_double_opt_in_the_task_does_it_at_once_and_lifts_nothing() -> None:
    profile = ProfileFactory(email="a@example.org")
    consent.opt_out([profile.pk], channel=1, evidence=OPERATOR, at=timezone.now())
    QuarantinedAddressFactory(value="a@example.org", cause=Cause.PERSON)
    ask("a@example.org", double_opt_in=False)
    profile.refresh_from_db()
    assert profile.blacklisted_email
    assert QuarantinedAddress.objects.blocking(timezone.now()).exists()
    assert Subscription.objects.get().profile == profile
    assert mails("confirm_opt_in") == []


def test_without_double_opt_in_a_kept_opt_out_stays() -> None:
    service = ServiceFactory()
    consent.opt_out_address(1, digest_of("a@example.org"), service=service, evidence=OPERATOR, at=timezone.now())
    ask("a@example.org", service=service, double_opt_in=False)
    assert not Subscription.objects.exists()
    assert ErasedOptOut.objects.exists()
    assert Address.objects.filter(value="a@example.org").exists()


def test_a_second_request_of_the_same_day_sends_no_second_message() -> None:
    ask("a@example.org")
    ask("a@example.org")
    assert len(mails("confirm_opt_in")) == 1
    tomorrow = timezone.now() + timedelta(days=1)
    send(visitor(), published(), "a@example.org")
    handle(tomorrow)
    assert len(mails("confirm_opt_in")) == 2
