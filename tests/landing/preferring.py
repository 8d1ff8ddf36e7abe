"""What the tests of the page of preferences share: the link asked for, and the page as a browser has it."""

import re

from django.http import HttpResponse
from django.utils import timezone

from landing import preferences
from landing.models import Kind, LandingPage, PreferencesRequest
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import (
    Profile,
    Service,
    Source,
)
from tests.factories import BrandFactory
from tests.landing.visitors import (
    published,
    send,
    visitor,
)

ADDRESS = "zoe@example.org"
OPERATOR = Evidence(source=Source.OPERATOR, reason="Asked by phone")
EMAIL, SMS = f"channel-{Channel.EMAIL.value}", f"channel-{Channel.SMS.value}"


def the_page() -> LandingPage:
    """Return the page of the brand on which the link is asked for."""
    page = LandingPage.objects.filter(kind=Kind.PREFERENCES, brand__name="Jardins").first()
    return page or published(Kind.PREFERENCES, service=None, brand=BrandFactory.create())


def ask(address: str = ADDRESS, language: str = "en") -> PreferencesRequest:
    """Send the public form, and have it handled."""
    assert send(visitor(language), the_page(), address).status_code == 200
    preferences.handle(timezone.now())
    return PreferencesRequest.objects.latest("pk")


def boxes(html: str) -> dict[str, bool]:
    """Return the boxes of a page, and whether they are ticked."""
    found = re.findall(r'<input type="checkbox" name="on" value="([^"]+)"( checked)?>', html)
    return {key: bool(ticked) for key, ticked in found}


def labels(html: str) -> list[str]:
    return re.findall(r'<input type="checkbox"[^>]*><span>([^<]*)<', html)


def shown_by(html: str) -> str:
    found = re.search(r'name="shown" value="([^"]+)"', html)
    assert found is not None
    return found[1]


class Form:
    """The page as one browser has it: what it showed, and what is ticked in it."""

    def __init__(self, url: str, language: str = "en") -> None:
        self.url, self.language = url, language
        html = visitor(language).get(url).content.decode()
        self.shown, self.ticked = shown_by(html), {key for key, on in boxes(html).items() if on}

    def tick(self, *keys: str) -> "Form":
        self.ticked |= set(keys)
        return self

    def untick(self, *keys: str) -> "Form":
        self.ticked -= set(keys)
        return self

    def save(self) -> str:
        client = visitor(self.language, REMOTE_ADDR="192.0.2.7")
        response = client.post(
            self.url, {"act": "save", "shown": self.shown, "on": sorted(self.ticked)},
            headers={"user-agent": "Browser/1"},
        )  # fmt: skip
        assert response.status_code == 200
        return str(response.content.decode())


def key(service: Service) -> str:
    return f"service-{service.pk}"


def subscribed(profile: Profile) -> set[str]:
    return set(profile.subscriptions.values_list("service__name", flat=True))


def stop(url: str) -> HttpResponse:
    return visitor(REMOTE_ADDR="192.0.2.7").post(url, {"act": "stop"})


def undo_url(response: HttpResponse) -> str:
    return str(response.context["undo"])
