"""The unsubscribe button in every shape of request and every situation: a table of both, without an empty cell."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.utils import timezone

from deliveries.models import Delivery, Target
from profiles.models import Act, ConsentEvent, Profile, Service, Source, Subscription
from quarantine.models import Cause
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory
from tests.landing.visitors import changed, consents, digest_of, link, mails, one_click_url, tables, visitor

pytestmark = pytest.mark.django_db
ADDRESS = "zoe@example.org"
ERASED = "erased@example.org"
BODY = b"List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
PART = b'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n'
BOUNDARY = b"---FormBoundaryjWmhtjORrn"


def multipart(boundary: bytes, *more: bytes) -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part for part in (PART, *more)) + b"--" + boundary + b"--\r\n"


@dataclass(frozen=True)
class Shape:
    """One way in which a program sends the request."""

    content_type: str = FORM
    body: bytes = BODY
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    query: str = ""
    times: int = 1


MULTIPART = f"multipart/form-data; boundary={BOUNDARY.decode()}"
ELSEWHERE = {
    "origin": "https://mail.example.net", "referer": "https://mail.example.net/inbox", "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "no-cors",
}  # fmt: skip
SHAPES = {
    "urlencoded": Shape(),
    "multipart": Shape(MULTIPART, multipart(BOUNDARY)),
    # RFC 8058 section 8.3 prints the delimiters without their two leading dashes (erratum 6180 corrects it).
    "multipart as the RFC prints it": Shape(
        MULTIPART, BOUNDARY + b"\r\n" + PART + BOUNDARY + b"--\r\n"
    ),
    "multipart with another boundary": Shape(MULTIPART, multipart(b"another")),
    "multipart without a boundary": Shape("multipart/form-data", multipart(BOUNDARY)),
    "empty": Shape(body=b""),
    "extra fields": Shape(body=b"a=1&List-Unsubscribe=One-Click&choice=everything&service=9&email=other%40example.org"),
    "extra fields in the address": Shape(query="?utm_source=x&choice=everything&lang=fr&List-Unsubscribe=No"),
    "another value": Shape(body=b"List-Unsubscribe=Never"),
    "no content type": Shape(content_type=""),
    "a content type that is none": Shape(content_type="; ; =\x01"),
    "JSON": Shape("application/json", b'{"List-Unsubscribe": "One-Click"}'),
    "one megabyte": Shape(body=b"List-Unsubscribe=One-Click&a=" + b"x" * 1_000_000),
    "ten times": Shape(times=10),
    "forwarded to somebody else": Shape(
        headers={"accept-language": "fr-CA,fr;q=0.9", "user-agent": "Elsewhere/2"}, meta={"REMOTE_ADDR": "2001:db8::7"}
    ),
    "with cookies and from elsewhere": Shape(
        headers=ELSEWHERE,
        cookies={"sessionid": "x" * 32, "csrftoken": "broken", "messages": "x", "django_language": "fr"},
    ),
    "without any header": Shape(content_type="", body=b"", headers={"accept-language": "", "user-agent": ""}),
    "with headers that make no sense": Shape(
        headers={"accept-language": "\u00ff;q=a,*" * 90, "user-agent": "x" * 5_000, "x-forwarded-for": "', DROP"},
        meta={"REMOTE_ADDR": ""},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Situation:
    """What has become of what a link is about: its address, and what must be true once it was pressed."""

    url: str
    after: Callable[[], bool]
    events: int = 1
    act: Act = Act.UNSUBSCRIBE
    told: int = 1  # confirmations
    choices: tuple[str, ...] = ("service", "channel")
    status: int = 200


@dataclass(frozen=True)
class World:
    """One subscriber of two services, a stranger, and the delivery that they got."""

    delivery: Delivery
    zoe: Profile
    other: Service

    @property
    def service(self) -> Service:
        assert self.delivery.service
        return self.delivery.service

    def url(self, address: str = ADDRESS, *, service: bool = True) -> str:
        return one_click_url(link(address, self.service if service else None, delivery=self.delivery.pk, log=123))

    def left(self) -> bool:
        """Say whether the subscriber has left the service, and only that."""
        left = sorted(Subscription.objects.filter(profile=self.zoe).values_list("service", flat=True))
        return left == [self.other.pk] and not self.off()

    def off(self) -> bool:
        self.zoe.refresh_from_db()
        assert not (self.zoe.blacklisted or self.zoe.blacklisted_sms)
        return bool(self.zoe.blacklisted_email)


@pytest.fixture
def world() -> World:
    other = ServiceFactory.create(label={"en": "Other news", "fr": "Autres nouvelles"})
    label = {"en": "Garden news", "fr": "Nouvelles du jardin"}
    delivery = DeliveryFactory.create(
        label="Spring", service=ServiceFactory.create(label=label, on_unsubscribe="default")
    )
    zoe = ProfileFactory.create(email=ADDRESS, sms="+33639980001", services=[delivery.service, other])
    ProfileFactory.create(email="stranger@example.org", services=[delivery.service, other])
    return World(delivery, zoe, other)


def normal(world: World, settings: Any) -> Situation:
    return Situation(world.url(), world.left)


def key_retired(world: World, settings: Any) -> Situation:
    settings.LINK_KEYS = ["1:the key of the first years"]
    url = world.url()
    settings.LINK_KEYS = ["2:the key of today", "1:the key of the first years"]
    return Situation(url, world.left)


def key_revoked(world: World, settings: Any) -> Situation:
    found = key_retired(world, settings)
    settings.LINK_KEYS_REVOKED = [1]
    return Situation(found.url, lambda: not world.left() and not world.off(), events=0, told=0, choices=(), status=404)


def erased_profile(world: World, settings: Any) -> Situation:
    digest = digest_of(ERASED)

    def kept() -> bool:
        _profiles, _subscriptions, kept, _quarantined = consents()
        return kept == [(digest, 0, world.service.pk)] and not world.left()

    return Situation(world.url(ERASED), kept, told=0)


def deleted_delivery(world: World, settings: Any) -> Situation:
    url, service = world.url(), world.service
    world.delivery.delete()
    world.delivery.service = service
    return Situation(url, world.left)


def archived_service(world: World, settings: Any) -> Situation:
    Service.objects.filter(pk=world.service.pk).update(archived_at=timezone.now())
    return Situation(world.url(), world.left)


def deleted_service(world: World, settings: Any) -> Situation:
    url, service = world.url(), world.service
    Delivery.objects.filter(pk=world.delivery.pk).update(service=None, target=Target.EVERYBODY)
    Subscription.objects.filter(service=service).delete()
    service.delete()
    return Situation(url, world.off, act=Act.OPT_OUT, told=0, choices=("channel",))


def delivery_without_service(world: World, settings: Any) -> Situation:
    return Situation(world.url(service=False), world.off, act=Act.OPT_OUT, told=0, choices=("channel",))


def address_with_twins(world: World, settings: Any) -> Situation:
    twins = [ProfileFactory.create(email=ADDRESS.upper(), services=[world.service]) for _n in range(2)]

    def all_left() -> bool:
        return world.left() and not Subscription.objects.filter(profile__in=twins).exists()

    return Situation(world.url(), all_left, events=3)


def quarantined_address(world: World, settings: Any) -> Situation:
    entry = QuarantinedAddressFactory.create(value=ADDRESS, cause=Cause.BOUNCE)

    def left_and_still_quarantined() -> bool:
        before = entry.status, entry.cause
        entry.refresh_from_db()
        return world.left() and (entry.status, entry.cause) == before

    return Situation(world.url(), left_and_still_quarantined)


SITUATIONS = (
    normal, key_retired, key_revoked, erased_profile, deleted_delivery, archived_service, deleted_service,
    delivery_without_service, address_with_twins, quarantined_address,
)  # fmt: skip


@pytest.fixture(params=SITUATIONS, ids=lambda made: made.__name__)
def situation(request: Any, world: World, settings: Any) -> Situation:
    made: Situation = request.param(world, settings)
    return made


def press(shape: Shape, url: str) -> HttpResponse:
    client = visitor(**shape.meta)
    for name, value in shape.cookies.items():
        client.cookies[name] = value
    return client.generic("POST", url + shape.query, shape.body, shape.content_type, headers=shape.headers)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_request_in_every_situation_does_what_it_says_once(shape: Shape, situation: Situation) -> None:
    assert not situation.after() or situation.status == 404
    for _n in range(shape.times):
        response = press(shape, situation.url)
        assert response.status_code == situation.status
        assert not response.cookies
        assert not {"Set-Cookie", "Location"} & set(response.headers)
        assert response.headers["Content-Type"].startswith("text/plain")
        assert len(response.content) < 200
    assert situation.after()
    events = ConsentEvent.objects.filter(source=Source.ONE_CLICK)
    assert [event.act for event in events] == [situation.act] * situation.events
    assert len(mails("unsubscribed")) == situation.told


def test_the_ledger_says_from_where_and_in_which_language(world: World) -> None:
    press(SHAPES["forwarded to somebody else"], world.url())
    event = ConsentEvent.objects.get(source=Source.ONE_CLICK)
    assert (event.ip, event.user_agent, event.language) == ("2001:db8::7", "Elsewhere/2", "fr")
    assert (event.delivery_id, event.delivery_name, event.service_id) == (world.delivery.pk, "Spring", world.service.pk)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", {"service": "Stop “Garden news”", "channel": "Stop all emails from Jardins", "none": "does not exist"}),
        (
            "fr",
            {
                "service": "Arrêter « Nouvelles du jardin »", "channel": "Arrêter tous les e-mails envoyés par Jardins",
                "none": "n’existe pas",
            },
        ),
    ],
    ids=["en", "fr"],
)  # fmt: skip
def test_a_person_who_opens_the_address_gets_the_choices_and_nothing_changes(
    situation: Situation, language: str, words: dict[str, str]
) -> None:
    before = tables()
    response = visitor(language).get(situation.url)
    page = response.content.decode().replace("\u00a0", " ").replace("\u202f", " ")
    assert response.status_code == situation.status
    assert response.headers["Content-Language"] == language
    for choice in ("service", "channel"):
        assert (words[choice] in page) == (choice in situation.choices), page
    assert (words["none"] in page) == (situation.status == 404)
    assert "/p/stop/" in page if situation.status == 404 else "/o/" in page
    assert visitor(language).head(situation.url).status_code == situation.status
    assert visitor(language).options(situation.url).status_code == 200
    assert changed(before) == set()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "lines",
    [
        ["HTTP/1.1", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 26"],
        ["HTTP/1.0"],
        ["HTTP/1.1", "Content-Length: 0"],
        ["HTTP/1.1", "Content-Type: multipart/form-data", "Content-Length: 26", "Expect: 100-continue"],
    ],
    ids=["as in the RFC", "without a length", "a length of zero", "with an expectation"],
)
def test_a_bare_program_without_a_host_of_ours_in_mind_gets_its_answer(
    live_server: Any, world: World, lines: list[str]
) -> None:
    """What a library of HTTP would never send still has to work."""
    place = urlsplit(live_server.url)
    assert place.hostname
    head = [f"POST {world.url()} {lines[0]}", f"Host: {place.netloc}", "Connection: close", *lines[1:], "", ""]
    with socket.create_connection((place.hostname, place.port), timeout=10) as line:
        line.sendall("\r\n".join(head).encode() + BODY)
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    assert b" 200 OK" in answer.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"").splitlines()[0]
    assert b"set-cookie" not in answer.lower()
    assert world.left()
