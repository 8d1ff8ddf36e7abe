"""The page of preferences: a fresh link, mailed to the owner of the address, shows what they receive."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deliveries import confirmations
from landing import preferences, publishing
from landing.models import Kind, LandingPage, PageState, PreferencesRequest
from profiles import consent
from profiles.channels import Channel
from profiles.models import (
    Profile,
    Service,
)
from profiles.tokens import Purpose, seal
from quarantine.models import Cause
from tests.factories import BrandFactory, QuarantinedAddressFactory, ServiceFactory, UserFactory
from tests.landing.preferring import (
    ADDRESS,
    EMAIL,
    OPERATOR,
    SMS,
    Form,
    ask,
    boxes,
    key,
    labels,
    stop,
    subscribed,
    the_page,
)
from tests.landing.test_admin import add, logged_in
from tests.landing.visitors import (
    changed,
    consents,
    digest_of,
    link,
    mails,
    opt_out_url,
    preferences_url,
    send,
    tables,
    visitor,
)
from tests.sink import running_sink

pytestmark = pytest.mark.django_db


# -- the link ----------------------------------------------------------------------------------------------------------


def test_the_link_is_mailed_to_the_address_as_its_owner_wrote_it_and_opens_the_page(zoe: Profile) -> None:
    request = ask("ZOE@example.ORG")
    with running_sink() as sink:
        confirmations.drain()
    assert sink.recipients == ["Zoe@example.org"]
    body = sink.caught[0].message.get_body(("plain",))
    assert body is not None
    found = re.search(r"https?://\S+(/m/\S+/)", body.get_content())
    assert found is not None
    assert found[1] == preferences_url(request)
    assert "Zoé" not in sink.caught[0].message.as_string()
    html = visitor().get(found[1]).content.decode()
    assert "Z•••@example.org" in html
    assert "Zoe@example.org" not in html
    assert "+33639980001" not in html


def test_an_address_that_nobody_has_gets_the_same_answer_and_no_message(zoe: Profile) -> None:
    page = the_page()
    answers = {send(visitor(), page, address).content for address in (ADDRESS, "nobody@example.org")}
    assert len(answers) == 1
    assert preferences.handle(timezone.now()) == 2
    assert [message.address for message in mails("preferences_link")] == ["Zoe@example.org"]
    unknown = PreferencesRequest.objects.get(digest=digest_of("nobody@example.org"))
    assert unknown.expires_at is None
    assert visitor().get(preferences_url(unknown)).status_code == 410


def test_one_link_an_hour_and_three_a_day_are_sent_at_most(zoe: Profile) -> None:
    start = timezone.now().replace(minute=0, second=30)
    sent = []
    for minutes in (0, 1, 59, 60, 61, 125, 200, 600, 24 * 60 - 2, 24 * 60 + 1, 24 * 60 + 70):
        at = start + timedelta(minutes=minutes)
        with time_machine.travel(at, tick=False):
            before = len(mails("preferences_link"))
            request = ask()
            if len(mails("preferences_link")) > before:
                sent.append(minutes)
            assert (request.expires_at is not None) is (minutes in sent)
    assert sent == [0, 60, 125, 24 * 60 + 1, 24 * 60 + 70]


def test_two_requests_handled_together_send_one_link(zoe: Profile) -> None:
    page = the_page()
    for _again in range(2):
        send(visitor(), page, ADDRESS)
    assert preferences.handle(timezone.now()) == 2
    assert preferences.handle(timezone.now()) == 0
    assert len(mails("preferences_link")) == 1
    assert PreferencesRequest.objects.filter(expires_at=None).count() == 1


@pytest.mark.parametrize(("cause", "reached"), [(cause, cause == Cause.PERSON) for cause in Cause])
def test_an_address_left_out_at_its_owners_request_is_reached_and_no_other(
    zoe: Profile, cause: Cause, reached: bool
) -> None:
    QuarantinedAddressFactory(value=ADDRESS, cause=cause)
    ask()
    with running_sink() as sink:
        confirmations.drain()
    assert bool(sink.recipients) is reached


def test_an_address_left_out_at_its_owners_request_is_reached_once_a_day(zoe: Profile) -> None:
    QuarantinedAddressFactory(value=ADDRESS, cause=Cause.PERSON)
    start = timezone.now()
    for hours in (0, 2, 4, 25):
        with time_machine.travel(start + timedelta(hours=hours), tick=False):
            ask()
    assert [round((m.created_at - start).total_seconds() / 3600) for m in mails("preferences_link")] == [0, 25]


def test_requests_and_their_messages_are_forgotten_after_a_day(zoe: Profile) -> None:
    ask()
    before = timezone.now()
    assert preferences.purge(before + timedelta(hours=23)) == 0
    assert preferences.purge(before + timedelta(hours=25)) == 1
    assert not PreferencesRequest.objects.exists()
    assert mails("preferences_link") == []


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_link_ends_after_an_hour_and_says_where_to_ask_for_another(zoe: Profile, method: str) -> None:
    request = ask()
    url, form = preferences_url(request), Form(preferences_url(request))
    before = consents()
    with time_machine.travel(timezone.now() + timedelta(hours=1, seconds=1)):
        for address, fields in (
            (url, {"act": "stop"}),
            (url, {"act": "save", "shown": form.shown}),
            (url + "history.json", {}),
        ):
            response = getattr(visitor(), method)(address, fields)
            assert response.status_code == 410
            html = response.content.decode()
            assert f'href="/p/{the_page().slug}/"' in html
            assert "•••" not in html
            assert "Garden" not in html
    assert consents() == before


def test_a_link_that_was_forgotten_says_that_it_is_over(zoe: Profile) -> None:
    url = preferences_url(ask())
    PreferencesRequest.objects.all().delete()
    response = visitor().get(url)
    assert response.status_code == 410
    assert "/p/preferences/" in response.content.decode()


def test_no_other_link_opens_the_page(zoe: Profile) -> None:
    request = ask()
    number = request.pk.to_bytes(8, "big")
    before = consents()
    for purpose in set(Purpose) - {Purpose.PREFERENCES}:
        url = reverse("landing:preferences", args=[seal(purpose, number)])
        for response in (visitor().get(url), stop(url), visitor().get(url + "history.json")):
            assert response.status_code == 404
    assert consents() == before


def test_a_link_whose_address_was_removed_meanwhile_shows_and_changes_nothing(zoe: Profile) -> None:
    url = preferences_url(ask())
    form = Form(url)
    zoe.delete()
    before = consents()
    assert visitor().get(url).status_code == 410
    assert stop(url).status_code == 410
    assert visitor().post(url, {"act": "save", "shown": form.shown}).status_code == 410
    assert consents() == before


def test_looking_changes_nothing(zoe: Profile) -> None:
    url = preferences_url(ask())
    before = tables()
    for method in ("get", "head", "options"):
        for query in ("", "?act=stop", f"?act=save&shown={Form(url).shown}"):
            assert getattr(visitor(), method)(url + query).status_code == 200
            assert getattr(visitor(), method)(url + "history.json" + query).status_code == 200
    assert changed(before) == set()


# -- the ways to ask ---------------------------------------------------------------------------------------------------


def test_there_is_always_a_page_to_ask_on() -> None:
    page = LandingPage.objects.get(slug="preferences")
    assert (page.kind, page.state, page.service) == (Kind.PREFERENCES, PageState.PUBLISHED, None)
    assert visitor("fr").get("/p/preferences/").status_code == 200
    publishing.make_defaults()
    assert LandingPage.objects.filter(kind=Kind.PREFERENCES).count() == 1


def test_the_link_of_a_message_mails_another_link_and_shows_nothing_to_whom_it_was_forwarded(zoe: Profile) -> None:
    url = opt_out_url(link(ADDRESS, ServiceFactory()))
    page = visitor().get(url).content.decode()
    assert page.index("<details") < page.index("Choose what I receive")
    before = consents()
    response = visitor().post(url, {"choice": "preferences"})
    html = response.content.decode()
    assert response.status_code == 200
    assert "on its way to Z•••@example.org" in html
    for private in ("Garden", "Zoé", "Zoe@", "+336", "/m/"):
        assert private not in html
    assert consents() == before
    preferences.handle(timezone.now())
    assert [message.address for message in mails("preferences_link")] == ["Zoe@example.org"]
    assert visitor().get(preferences_url(PreferencesRequest.objects.get())).status_code == 200


def test_a_marketer_makes_such_a_page_which_is_about_no_service_and_asks_for_no_agreement() -> None:
    service = ServiceFactory()
    client = logged_in(UserFactory(admin=True))
    response = add(client, kind=Kind.PREFERENCES, service="", brand=service.brand_id, agreement_en="I agree.")
    assert response.status_code == 302
    page = LandingPage.objects.get(slug="garden-page")
    assert page.service is None
    publishing.publish(page, at=timezone.now())
    assert "I agree." not in visitor().get("/p/garden-page/").content.decode()
    assert send(visitor(), page, "a@example.org").status_code == 200
    assert PreferencesRequest.objects.get().brand == service.brand


@pytest.mark.parametrize("address", ["gone@example.org", ""])
def test_no_link_is_offered_where_none_can_be_mailed(zoe: Profile, address: str) -> None:
    """Nobody has the address any more, or it is a phone number."""
    to = link(address or "x@example.org")
    if not address:
        to = type(to)(channel=Channel.SMS, digest=bytes(zoe.addresses.get(channel=Channel.SMS).digest))
    url = opt_out_url(to)
    assert "Choose what I receive" not in visitor().get(url).content.decode()
    assert visitor().post(url, {"choice": "preferences"}).status_code == 200
    assert not PreferencesRequest.objects.exists()


def test_links_asked_for_by_a_message_are_limited_like_forms(zoe: Profile, settings: Any) -> None:
    settings.PUBLIC_POSTS_PER_HOUR = 2
    url = opt_out_url(link(ADDRESS))
    statuses = [visitor().post(url, {"choice": "preferences"}).status_code for _again in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert PreferencesRequest.objects.count() == 2


# -- what the page shows -----------------------------------------------------------------------------------------------


def test_it_offers_what_the_brand_offers_and_whatever_the_person_is_subscribed_to(
    zoe: Profile, garden: Service, bees: Service
) -> None:
    other = BrandFactory(name="Autres", contact="x@autres.example")
    private = ServiceFactory(label={"en": "Friends"}, is_public=False)
    foreign = ServiceFactory(label={"en": "Foreign"}, brand=other)
    for hidden in ("Hidden one", "Archived one"):
        archived = timezone.now() if hidden == "Archived one" else None
        ServiceFactory(label={"en": hidden}, is_public=archived is not None, archived_at=archived)
    ServiceFactory(label={"en": "Not ours"}, brand=other)
    consent.subscribe([zoe.pk], private, evidence=OPERATOR, at=timezone.now())
    consent.subscribe([zoe.pk], foreign, evidence=OPERATOR, at=timezone.now())
    html = visitor().get(preferences_url(ask())).content.decode()
    assert labels(html) == ["Bees", "Foreign (from Autres)", "Friends", "Garden news", "Emails", "Text messages"]
    assert boxes(html) == {
        key(bees): False, key(foreign): True, key(private): True, key(garden): True, EMAIL: True, SMS: True,
    }  # fmt: skip
    assert "Once a month." in html


def test_a_subscription_that_has_ended_is_not_shown_as_on(zoe: Profile, bees: Service) -> None:
    consent.subscribe(
        [zoe.pk], bees, evidence=OPERATOR, at=timezone.now() - timedelta(days=2),
        expires_at=timezone.now() - timedelta(days=1),
    )  # fmt: skip
    assert boxes(visitor().get(preferences_url(ask())).content.decode())[key(bees)] is False


@pytest.mark.parametrize("everything", [True, False])
def test_that_nothing_is_sent_is_told_plainly(zoe: Profile, everything: bool) -> None:
    for channel in (None,) if everything else (Channel.EMAIL, Channel.SMS):
        consent.opt_out([zoe.pk], channel=channel, evidence=OPERATOR, at=timezone.now())
    html = visitor().get(preferences_url(ask())).content.decode()
    assert "Everything is off: nothing is sent to you" in html
    assert not boxes(html)[EMAIL]
    assert not boxes(html)[SMS]


def test_a_service_whose_channel_is_off_or_missing_says_that_it_is_not_sent(zoe: Profile) -> None:
    push, sms = (ServiceFactory(channel=channel) for channel in (Channel.PUSH, Channel.SMS))
    consent.subscribe([zoe.pk], sms, evidence=OPERATOR, at=timezone.now())
    consent.opt_out([zoe.pk], channel=Channel.SMS, evidence=OPERATOR, at=timezone.now())
    html = visitor().get(preferences_url(ask())).content.decode()
    lines = dict(re.findall(r'value="(service-\d+)"(.*?)</label>', html))
    assert "we know no device of yours" in lines[key(push)]
    assert "Not sent for now" in lines[key(sms)]
    assert sum("Not sent for now" in rest for rest in lines.values()) == 1


def test_an_address_that_is_not_used_for_another_reason_is_said_to_be_so(zoe: Profile) -> None:
    request = ask()
    QuarantinedAddressFactory(value=ADDRESS, cause=Cause.COMPLAINT)
    html = visitor().get(preferences_url(request)).content.decode()
    assert boxes(html)[EMAIL] is True
    assert html.count("Not used at the moment.") == 1


# -- many services -----------------------------------------------------------------------------------------------------


def queries(url: str, **post: Any) -> int:
    with CaptureQueriesContext(connection) as captured:
        response = visitor().post(url, post) if post else visitor().get(url)
    assert response.status_code == 200
    return len(captured)


def test_thirty_services_are_shown_and_saved_by_as_many_queries_as_two(zoe: Profile, bees: Service) -> None:
    url = preferences_url(ask())
    Form(url).untick(SMS).save()  # so that the text of the page is known
    Form(url).tick(SMS).save()
    few = queries(url), queries(url + "history.json"), queries(url, act="save", shown=Form(url).shown, on=[EMAIL, SMS])
    ServiceFactory.create_batch(28, validity_days=30)
    mine = Service.objects.exclude(pk=bees.pk)
    for service in mine:
        consent.subscribe([zoe.pk], service, evidence=OPERATOR, at=timezone.now())
    Form(url).untick(SMS).save()
    Form(url).tick(SMS).save()
    form = Form(url)
    assert len(form.ticked) == 31
    on = sorted(form.ticked - {key(mine[0])})
    many = queries(url), queries(url + "history.json"), queries(url, act="save", shown=form.shown, on=on)
    assert many == few
    assert max(many) <= 60
    Form(url).tick(key(bees)).untick(*(key(service) for service in mine)).save()
    assert subscribed(zoe) == {"bees"}
