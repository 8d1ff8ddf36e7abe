"""The history that people read about themselves: in plain words, newest first, on the page and as a file."""

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from landing.models import PreferencesRequest
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import (
    Act,
    ConsentEvent,
    Profile,
    Service,
    Source,
)
from quarantine import escalation
from quarantine.models import Cause
from tests.factories import ProfileFactory, QuarantinedAddressFactory
from tests.landing.preferring import (
    ADDRESS,
    EMAIL,
    OPERATOR,
    Form,
    ask,
    stop,
)
from tests.landing.test_pages import FORBIDDEN
from tests.landing.visitors import (
    digest_of,
    preferences_url,
    visitor,
)

pytestmark = pytest.mark.django_db


def lines(html: str) -> list[str]:
    found = re.findall(r"</time>(.*?)</li>", html)
    return [re.sub(r"<[^>]+>", ", ", line).removesuffix(", ") for line in found]


def test_the_history_tells_in_plain_words_what_happened_newest_first(zoe: Profile, garden: Service) -> None:
    twin = ProfileFactory(email=ADDRESS)
    stranger = ProfileFactory(email="b@example.org")
    at = timezone.now() - timedelta(days=1)
    both = [zoe.pk, twin.pk]
    consent.opt_out([*both, stranger.pk], channel=Channel.EMAIL, evidence=Evidence(source=Source.ONE_CLICK), at=at)
    consent.opt_out(both, channel=None, evidence=Evidence(source=Source.OPERATOR, actor_name="bob"), at=at)
    target = escalation.Target(Channel.EMAIL, digest_of(ADDRESS))
    escalation.quarantine([target], cause=Cause.PERSON, evidence=Evidence(source=Source.LANDING_PAGE), at=at)
    url = preferences_url(ask())
    Form(url).tick(EMAIL).save()
    told = lines(visitor().get(url).content.decode())
    me = "on your preferences page"
    assert told == [
        f"This address is written to again, {me}",
        f"Emails allowed again, {me}",
        f"No longer off as a whole: channel by channel from now on, {me}",
        f"Calls stay off, {me}",
        f"Letters stay off, {me}",
        f"Notifications stay off, {me}",
        f"Text messages stay off, {me}",
        "This address is no longer written to, on one of our pages",
        "Messages of every kind stopped, by our team",
        "Emails stopped, with the unsubscribe button of a mail program",
        "Subscribed to “Garden news”, by our team",
    ]
    assert "bob" not in visitor().get(url).content.decode()


def every_event(profile: Profile, service: Service) -> None:
    """Write one event of every act, source and channel."""
    at = timezone.now()
    for source in Source:
        for act in Act:
            for channel in (None, *Channel):
                of_service = act in (Act.SUBSCRIBE, Act.UNSUBSCRIBE, Act.EXPIRE)
                ConsentEvent.objects.create(
                    at=at, act=act, source=source, profile_id=profile.pk, channel=channel,
                    service_id=service.pk if of_service else None, actor_name="blacklister", reason="quarantined",
                    delivery_name="blacklist test", digest=digest_of(ADDRESS) if channel else None,
                )  # fmt: skip


@pytest.mark.parametrize("language", ["en", "fr"])
def test_page_history_and_file_use_no_word_that_a_subscriber_should_never_read(
    zoe: Profile, garden: Service, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("landing.history.AT_MOST", 10_000)
    monkeypatch.setattr("landing.history._READ", 10_000)
    every_event(zoe, garden)
    QuarantinedAddressFactory(value=ADDRESS, cause=Cause.PERSON)
    request = ask(language=language)
    url = preferences_url(request)
    client = visitor(language)
    seen = [client.get(url), client.get(url + "history.json"), stop(url), client.post(url, {"act": "save"})]
    seen.append(client.post(url, {"act": "save", "shown": Form(url, language).tick(EMAIL).shown, "on": [EMAIL]}))
    PreferencesRequest.objects.update(expires_at=timezone.now())
    seen.append(client.get(url))
    zoe.delete()
    seen.append(client.get(url))
    for response in seen:
        assert not FORBIDDEN.search(response.content.decode())
        assert not FORBIDDEN.search(str(response.headers))
    assert len(lines(seen[0].content.decode())) > 200
    assert all(what.strip() for what in lines(seen[0].content.decode()))


def test_the_history_can_be_downloaded(zoe: Profile, garden: Service) -> None:
    url = preferences_url(ask(language="fr"))
    Form(url, "fr").untick(EMAIL).save()
    page = visitor("fr").get(url).content.decode()
    found = re.search(r'href="([^"]+)" download', page)
    assert found is not None
    response = visitor().get(found[1])
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Content-Disposition"] == 'attachment; filename="history.json"'
    assert response.headers["Cache-Control"] == "no-store"
    told = json.loads(response.content)
    assert told["address"] == "Z•••@example.org"
    assert [(event["what"], event["from"]) for event in told["events"]] == [
        ("Arrêt des e-mails", "sur votre page de préférences"),
        ("Abonnement à «\u00a0Nouvelles du jardin\u00a0»", "par notre équipe"),
    ]
    assert "Ce que vous recevez" in told["events"][0]["text shown"]
    assert re.match(r"\d{4}-\d\d-\d\dT", told["events"][0]["when"])


def test_the_history_is_cut_after_fifty_lines(zoe: Profile, bees: Service) -> None:
    for number in range(60):
        act = consent.subscribe if number % 2 else consent.unsubscribe
        act([zoe.pk], bees, evidence=OPERATOR, at=timezone.now() + timedelta(seconds=number))
    url = preferences_url(ask())
    assert len(lines(visitor().get(url).content.decode())) == 50
    assert len(json.loads(visitor().get(url + "history.json").content)["events"]) == 50
