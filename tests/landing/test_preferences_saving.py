"""Saving preferences: what was changed on the page changes, for whoever has the address, and nothing else."""

from typing import Any

import pytest
from django.utils import timezone

from profiles import consent
from profiles.channels import Channel
from profiles.models import (
    Act,
    Confirmation,
    ConsentEvent,
    ErasedOptOut,
    Profile,
    Service,
    Source,
    Wording,
)
from quarantine import escalation
from quarantine.models import Cause, QuarantinedAddress
from tests.factories import ProfileFactory, QuarantinedAddressFactory, ServiceFactory
from tests.landing.preferring import ADDRESS, EMAIL, OPERATOR, SMS, Form, ask, boxes, key, stop, subscribed, undo_url
from tests.landing.visitors import (
    changed,
    consents,
    digest_of,
    mails,
    preferences_url,
    tables,
    visitor,
)

pytestmark = pytest.mark.django_db


# -- saving ------------------------------------------------------------------------------------------------------------


def test_saving_nothing_changed_changes_nothing(zoe: Profile) -> None:
    form = Form(preferences_url(ask()))
    before, events = consents(), ConsentEvent.objects.count()
    html = form.save()
    assert "Saved." in html
    assert "A message already leaving" not in html
    assert (consents(), ConsentEvent.objects.count()) == (before, events)


def test_a_service_unticked_is_left_and_one_ticked_is_subscribed_to(
    zoe: Profile, garden: Service, bees: Service
) -> None:
    html = Form(preferences_url(ask())).untick(key(garden)).tick(key(bees)).save()
    assert subscribed(zoe) == {"bees"}
    assert boxes(html)[key(bees)] is True
    assert boxes(html)[key(garden)] is False
    assert "Saved." in html
    assert "A message already leaving may still arrive." in html


def test_a_channel_unticked_is_off_and_one_ticked_is_on_again(zoe: Profile) -> None:
    consent.opt_out([zoe.pk], channel=Channel.SMS, evidence=OPERATOR, at=timezone.now())
    html = Form(preferences_url(ask())).untick(EMAIL).tick(SMS).save()
    zoe.refresh_from_db()
    assert (zoe.blacklisted, zoe.blacklisted_email, zoe.blacklisted_sms) == (False, True, False)
    assert (boxes(html)[EMAIL], boxes(html)[SMS]) == (False, True)


def test_one_channel_ticked_after_everything_was_off_leaves_the_others_off(zoe: Profile) -> None:
    consent.opt_out([zoe.pk], channel=None, evidence=OPERATOR, at=timezone.now())
    Form(preferences_url(ask())).tick(EMAIL).save()
    zoe.refresh_from_db()
    flags = (zoe.blacklisted_sms, zoe.blacklisted_phone, zoe.blacklisted_push, zoe.blacklisted_direct_mail)
    assert (zoe.blacklisted, zoe.blacklisted_email) == (False, False)
    assert flags == (True, True, True, True)


def test_two_channels_ticked_after_everything_was_off_leave_no_trace_of_a_detour(zoe: Profile) -> None:
    consent.opt_out([zoe.pk], channel=None, evidence=OPERATOR, at=timezone.now())
    Form(preferences_url(ask())).tick(EMAIL, SMS).save()
    zoe.refresh_from_db()
    assert (zoe.blacklisted, zoe.blacklisted_email, zoe.blacklisted_sms, zoe.blacklisted_push) == (
        False, False, False, True,
    )  # fmt: skip
    assert not ConsentEvent.objects.filter(act=Act.OPT_OUT, channel__in=[Channel.EMAIL, Channel.SMS]).exists()


@pytest.mark.parametrize(("cause", "released"), [(cause, cause == Cause.PERSON) for cause in Cause])
def test_ticking_emails_uses_an_address_again_that_its_owner_had_stopped_and_no_other(
    zoe: Profile, cause: Cause, released: bool
) -> None:
    request = ask()
    consent.opt_out([zoe.pk], channel=Channel.EMAIL, evidence=OPERATOR, at=timezone.now())
    QuarantinedAddressFactory(value=ADDRESS, cause=cause)
    Form(preferences_url(request)).tick(EMAIL).save()
    zoe.refresh_from_db()
    assert not zoe.blacklisted_email
    assert QuarantinedAddress.objects.blocking(timezone.now()).exists() is not released


def test_an_address_left_out_at_its_owners_request_is_shown_as_off_and_can_be_ticked(zoe: Profile) -> None:
    QuarantinedAddressFactory(value=ADDRESS, cause=Cause.PERSON)
    form = Form(preferences_url(ask()))
    assert EMAIL not in form.ticked
    assert boxes(form.tick(EMAIL).save())[EMAIL] is True
    assert not QuarantinedAddress.objects.blocking(timezone.now()).exists()


def test_a_number_left_out_by_somebody_else_stays_left_out(zoe: Profile) -> None:
    """The link proves the mailbox, not the phone."""
    consent.opt_out([zoe.pk], channel=Channel.SMS, evidence=OPERATOR, at=timezone.now())
    held = zoe.addresses.get(channel=Channel.SMS)
    target = escalation.Target(Channel.SMS, bytes(held.digest), held.value, held.key)
    escalation.quarantine([target], cause=Cause.PERSON, evidence=OPERATOR, at=timezone.now())
    html = Form(preferences_url(ask())).tick(SMS).save()
    assert QuarantinedAddress.objects.blocking(timezone.now()).count() == 1
    assert "Not used at the moment." in html


def test_switching_off_touches_every_profile_and_switching_on_the_oldest(
    zoe: Profile, garden: Service, bees: Service
) -> None:
    twin = ProfileFactory(email=ADDRESS, sms="+33639980002", services=[garden])
    stranger = ProfileFactory(email="b@example.org", services=[garden])
    url = preferences_url(ask())
    Form(url).untick(EMAIL, SMS, key(garden)).save()
    for profile, off in ((zoe, True), (twin, True), (stranger, False)):
        profile.refresh_from_db()
        assert (profile.blacklisted_email, profile.blacklisted_sms) == (off, off)
        assert subscribed(profile) == (set() if off else {"garden"})
    Form(url).tick(EMAIL, SMS, key(bees)).save()
    for profile, off in ((zoe, False), (twin, True)):
        profile.refresh_from_db()
        assert (profile.blacklisted_email, profile.blacklisted_sms) == (off, off)
        assert subscribed(profile) == (set() if off else {"bees"})


def test_what_is_on_for_a_twin_alone_is_shown_and_can_be_switched_off(zoe: Profile, bees: Service) -> None:
    twin = ProfileFactory(email=ADDRESS, services=[bees])
    consent.opt_out([zoe.pk], channel=None, evidence=OPERATOR, at=timezone.now())
    form = Form(preferences_url(ask()))
    assert {EMAIL, key(bees)} <= form.ticked
    form.untick(EMAIL, key(bees)).save()
    twin.refresh_from_db()
    assert twin.blacklisted_email
    assert subscribed(twin) == set()


def test_the_ledger_says_what_was_shown_and_from_where(zoe: Profile, garden: Service, bees: Service) -> None:
    Form(preferences_url(ask()), "fr").untick(key(garden), EMAIL).tick(key(bees)).save()
    events = list(ConsentEvent.objects.filter(source=Source.PREFERENCES).order_by("pk"))
    assert {event.act for event in events} == {Act.OPT_OUT, Act.UNSUBSCRIBE, Act.SUBSCRIBE}
    for event in events:
        assert (event.ip, event.user_agent, event.language) == ("192.0.2.7", "Browser/1", "fr")
        text = Wording.objects.get(pk=event.wording_id).text
        for said in ("Ce que vous recevez", "Nouvelles du jardin\nUne fois par mois.", "Abeilles", "E-mails"):
            assert said in text
        assert "example.org" not in text
    assert len({event.at for event in events}) == 1


def test_services_send_the_messages_that_they_are_set_to_send(zoe: Profile, garden: Service, bees: Service) -> None:
    Service.objects.update(on_subscribe=Confirmation.DEFAULT, on_unsubscribe=Confirmation.DEFAULT)
    url = preferences_url(ask())
    Form(url).untick(key(garden)).tick(key(bees)).save()
    assert [message.address for message in mails("subscribed")] == ["Zoe@example.org"]
    assert [message.service for message in mails("unsubscribed")] == [garden]
    Form(url).untick(key(bees)).save()
    Form(url).tick(key(bees)).save()
    assert len(mails("subscribed")) == 1, "at the first subscription only"


def test_subscribing_while_emails_are_off_promises_nothing_by_mail(zoe: Profile, bees: Service) -> None:
    url = preferences_url(ask())
    Form(url).untick(EMAIL).tick(key(bees)).save()
    assert subscribed(zoe) == {"garden", "bees"}
    assert mails("subscribed") == []


def test_ticking_a_service_forgets_the_opt_out_kept_for_the_address(zoe: Profile, bees: Service) -> None:
    ErasedOptOut.objects.create(digest=digest_of(ADDRESS), service_id=bees.pk)
    Form(preferences_url(ask())).tick(key(bees)).save()
    assert not ErasedOptOut.objects.exists()


# -- a page that was left open -----------------------------------------------------------------------------------------


def test_a_stale_page_changes_only_what_was_changed_on_it(zoe: Profile, garden: Service, bees: Service) -> None:
    url = preferences_url(ask())
    stale = Form(url)
    consent.unsubscribe([zoe.pk], garden, evidence=OPERATOR, at=timezone.now())
    consent.opt_out([zoe.pk], channel=Channel.SMS, evidence=OPERATOR, at=timezone.now())
    html = stale.tick(key(bees)).save()
    zoe.refresh_from_db()
    assert subscribed(zoe) == {"bees"}
    assert zoe.blacklisted_sms
    assert boxes(html) == {key(garden): False, key(bees): True, EMAIL: True, SMS: False}


@pytest.mark.parametrize("everything", [True, False])
def test_a_stale_page_switches_nothing_on_that_was_stopped_since(
    zoe: Profile, garden: Service, bees: Service, everything: bool
) -> None:
    consent.opt_out([zoe.pk], channel=Channel.EMAIL, evidence=OPERATOR, at=timezone.now())
    url = preferences_url(ask())
    stale = Form(url)
    again = Form(url).tick(EMAIL, key(bees))
    again.save()
    if everything:
        stop(url)
    else:
        Form(url).untick(EMAIL).save()
    Form(url).untick(key(bees)).save()
    html = stale.tick(EMAIL, key(bees)).save()
    zoe.refresh_from_db()
    assert zoe.blacklisted if everything else zoe.blacklisted_email
    assert subscribed(zoe) == {"garden"}
    assert "Something was stopped since this page was opened" in html
    assert boxes(Form(url).tick(EMAIL).save())[EMAIL] is True, "a fresh page does what it says"


def test_a_stale_page_says_what_was_stopped_since_although_its_box_is_still_ticked(
    zoe: Profile, garden: Service, bees: Service
) -> None:
    url = preferences_url(ask())
    stale = Form(url)
    Form(url).untick(key(garden)).save()
    html = stale.tick(key(bees)).save()
    assert subscribed(zoe) == {"bees"}
    assert "Something was stopped since this page was opened" in html


def test_a_form_sent_twice_does_everything_once(zoe: Profile, garden: Service, bees: Service) -> None:
    form = Form(preferences_url(ask())).untick(key(garden), SMS).tick(key(bees))
    form.save()
    before, events = consents(), ConsentEvent.objects.count()
    html = form.save()
    assert (consents(), ConsentEvent.objects.count()) == (before, events)
    assert "Something was stopped since" not in html


def test_a_box_that_was_not_shown_does_nothing(zoe: Profile) -> None:
    private = ServiceFactory(is_public=False)
    Form(preferences_url(ask())).tick(key(private), "channel-3", "service-999", "nonsense", "\x00").save()
    assert subscribed(zoe) == {"garden"}


def test_a_service_closed_meanwhile_is_not_subscribed_to(zoe: Profile, bees: Service) -> None:
    form = Form(preferences_url(ask())).tick(key(bees))
    Service.objects.filter(pk=bees.pk).update(is_public=False)
    form.save()
    assert subscribed(zoe) == {"garden"}


@pytest.mark.parametrize("shown", ["", "forged", "of another"])
def test_a_form_without_what_its_page_showed_saves_nothing_and_says_so(zoe: Profile, shown: str) -> None:
    url = preferences_url(ask())
    if shown == "of another":
        ProfileFactory(email="b@example.org")
        shown = Form(preferences_url(ask("b@example.org"))).shown
    before = consents()
    response = visitor().post(url, {"act": "save", "shown": shown})
    assert response.status_code == 422
    assert "Nothing has been saved" in response.content.decode()
    assert consents() == before


@pytest.mark.parametrize("body", [b"", b"act=nonsense", b"act=%00&shown=%ff", b"x" * 3_000_000])
def test_any_other_body_shows_the_page(zoe: Profile, body: bytes) -> None:
    url = preferences_url(ask())
    before = tables()
    response = visitor().generic("POST", url, body, "application/x-www-form-urlencoded")
    assert response.status_code == 200
    assert changed(before) == set()


def test_a_failure_half_way_saves_nothing(zoe: Profile, bees: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    form = Form(preferences_url(ask())).untick(EMAIL).tick(key(bees))
    before, events = consents(), ConsentEvent.objects.count()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(consent, "subscribe", fail)
    with pytest.raises(RuntimeError, match="disk"):
        form.save()
    assert (consents(), ConsentEvent.objects.count()) == (before, events)


# -- stop everything ---------------------------------------------------------------------------------------------------


def test_stop_everything_stops_every_channel_of_everybody_who_has_the_address_and_can_be_undone(zoe: Profile) -> None:
    twin, stranger = ProfileFactory(email=ADDRESS), ProfileFactory(email="b@example.org")
    url = preferences_url(ask())
    before = consents()
    done = stop(url)
    assert "A message already leaving may still arrive." in done.content.decode()
    for profile, off in ((zoe, True), (twin, True), (stranger, False)):
        profile.refresh_from_db()
        assert profile.blacklisted is off
    events = ConsentEvent.objects.filter(act=Act.OPT_OUT)
    assert {(event.source, event.ip) for event in events} == {(Source.PREFERENCES, "192.0.2.7")}
    assert all("Stop everything" in Wording.objects.get(pk=event.wording_id).text for event in events)
    assert undo_url(stop(url)) == undo_url(done) != "", "pressed twice, it still offers to undo"
    assert visitor().post(undo_url(done)).context["title"] == "Undone."
    assert consents() == before


def test_stop_everything_where_all_was_off_offers_to_undo_nothing_else(zoe: Profile, garden: Service) -> None:
    consent.opt_out([zoe.pk], channel=None, evidence=OPERATOR, at=timezone.now())
    url = preferences_url(ask())
    Form(url).untick(key(garden)).save()
    assert undo_url(stop(url)) == ""
