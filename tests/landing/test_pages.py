"""The pages that marketers publish: their states, their form, their words, and what cannot be done to them."""

import re
from datetime import timedelta
from itertools import product

import pytest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override

from landing import publishing
from landing.models import Kind, LandingPage, OptOutRequest, PageState, PendingOptIn, PreferencesRequest
from profiles.models import Brand
from tests.factories import BrandFactory, LandingPageFactory, ProfileFactory, ServiceFactory, UserFactory
from tests.landing.visitors import (
    confirm_url,
    handle,
    link,
    one_click_url,
    opt_out_url,
    preferences_url,
    published,
    send,
    visitor,
)

pytestmark = pytest.mark.django_db
ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "{{ request }}{% debug %}",
    "javascript:alert(1)//@example.org",
    "</title><svg/onload=alert(1)>",
]
FORBIDDEN = re.compile(r"black[-_ ]?list|deny[-_ ]?list|block[-_ ]?list|quarant|liste noire", re.IGNORECASE)
MESSAGES = ("confirm_opt_in", "preferences_link", "subscribed", "unsubscribed", "opted_in", "opted_out", "own")


def url(page: LandingPage) -> str:
    return reverse("landing:page", args=[page.slug])


def html(page: LandingPage, language: str = "en") -> str:
    return visitor(language).get(url(page)).content.decode()


# -- states ------------------------------------------------------------------------------------------------------


def test_a_draft_is_nowhere() -> None:
    page = LandingPageFactory()
    assert visitor().get(url(page)).status_code == 404
    assert send(visitor(), page, "a@example.org").status_code == 404
    assert not PendingOptIn.objects.exists()


def test_visitors_see_the_version_published_last() -> None:
    page = published(title={"en": "First title"})
    page.title = {"en": "Second title"}
    page.save()
    assert "First title" in html(page)
    assert publishing.has_changes(page)
    publishing.publish(page, at=timezone.now())
    assert "Second title" in html(page)
    assert list(page.versions.order_by("number").values_list("title__en", flat=True)) == ["First title", "Second title"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"opens_at": timedelta(hours=1)}, 200),
        ({"closes_at": timedelta(hours=-1)}, 410),
        ({"opens_at": timedelta(hours=-2), "closes_at": timedelta(hours=1)}, 200),
    ],
)
def test_a_page_takes_requests_between_its_dates_only(fields: dict[str, timedelta], status: int) -> None:
    page = published(**{name: timezone.now() + delta for name, delta in fields.items()})
    open_now = len(fields) == 2
    response = send(visitor(), page, "a@example.org")
    assert response.status_code == status
    assert PendingOptIn.objects.exists() is open_now
    assert "bonjour@jardins.example" in response.content.decode()
    assert LandingPage.objects.open(timezone.now()).filter(pk=page.pk).exists() is open_now


def test_a_closed_page_says_so_or_leads_elsewhere() -> None:
    page = published()
    publishing.close(page)
    assert visitor().get(url(page)).status_code == 410
    assert send(visitor(), page, "a@example.org").status_code == 410
    LandingPage.objects.update(redirect_url="https://jardins.example/later")
    response = visitor().get(url(page))
    assert (response.status_code, response.headers["Location"]) == (302, "https://jardins.example/later")
    assert not PendingOptIn.objects.exists()


def test_the_page_of_an_archived_service_is_closed() -> None:
    page = published()
    page.service.archived_at = timezone.now()
    page.service.save()
    assert visitor().get(url(page)).status_code == 410


def test_only_those_who_may_see_a_draft_preview_it_and_their_form_does_nothing() -> None:
    page = LandingPageFactory(title={"en": "Not public yet"})
    address = url(page) + "?preview"
    assert visitor().get(address).status_code == 404
    client = visitor()
    client.force_login(UserFactory())
    assert client.get(address).status_code == 404
    client.force_login(UserFactory(admin=True))
    assert "Not public yet" in client.get(address).content.decode()
    client.post(address, {"address": "a@example.org"})
    assert not PendingOptIn.objects.exists()


# -- the form ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "nobody",
        "a@",
        "@b.org",
        "a b@example.org",
        "\x00",
        "a\x00b@",
        "é" * 300,
        "x" * 200_000,
        "a@b@c",
        "\ud800",
    ],
)
@pytest.mark.parametrize("kind", [Kind.SUBSCRIPTION, Kind.OPT_OUT_ALL])
def test_what_is_no_address_is_explained_at_its_field(kind: Kind, address: str) -> None:
    page = published(kind)
    address = address.encode("utf-8", "replace").decode()
    response = send(visitor(), page, address)
    assert response.status_code == 422
    shown = response.content.decode()
    assert 'aria-invalid="true"' in shown
    assert 'aria-describedby="address-error"' in shown
    assert 'id="address-error"' in shown
    assert not PendingOptIn.objects.exists()
    assert not OptOutRequest.objects.exists()


def test_what_was_typed_is_kept() -> None:
    response = send(visitor(), published(), "nobody", first_name="Zoé", last_name="O'Neil")
    shown = response.content.decode()
    for typed in ("nobody", "Zoé", "O&#x27;Neil"):
        assert f'value="{typed}"' in shown


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("", b""),
        ("application/json", b"{"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        ("application/x-www-form-urlencoded; charset=klingon", b"address=a"),
        ("application/x-www-form-urlencoded", bytes(range(256))),
        ("application/x-www-form-urlencoded", b"a=1&" * 5_000),
        ("application/x-www-form-urlencoded", b"address=" + b"x" * 3_000_000),
        ("application/x-www-form-urlencoded", b"address=a%00b&first_name=%00&stamp=%00&company_site=%ff%fe"),
    ],
)
def test_a_broken_body_is_answered_with_the_form(content_type: str, body: bytes) -> None:
    pages = [url(published(kind)) for kind in (Kind.SUBSCRIPTION, Kind.UNSUBSCRIPTION)]
    service = ServiceFactory()
    for address in (*pages, opt_out_url(link("a@example.org", service)), "/undo/nonsense/", "/c/nonsense/"):
        assert visitor().generic("POST", address, body, content_type).status_code in (200, 404, 422), address
    assert not PendingOptIn.objects.exists()


@pytest.mark.parametrize("header", ["", "xx" * 5_000, "fr;q=1e309", ",,,;;;===", "\x7f"])
def test_any_language_header_is_answered(header: str) -> None:
    assert visitor(header).get(url(published())).status_code == 200


def test_fields_are_labelled_and_complete_themselves() -> None:
    shown = html(published(agreement={"en": "I agree."}))
    for name in ("address", "first_name", "last_name"):
        assert f'<label for="{name}">' in shown
        assert f'id="{name}"' in shown
    assert 'autocomplete="email"' in shown
    assert 'type="checkbox"' in shown
    assert "checked" not in shown


# -- what is shown -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_that_anybody_wrote_runs(attack: str) -> None:
    service = ServiceFactory(
        label={"en": attack}, description={"en": attack},
        brand=BrandFactory(name=attack, contact=attack, postal_address=attack, privacy_notice={"en": attack}),
    )  # fmt: skip
    page = published(
        service=service, title={"en": attack}, introduction={"en": attack}, agreement={"en": attack},
        double_opt_in=True,
    )  # fmt: skip
    ProfileFactory(email="a@example.org", first_name=attack, services=[service])
    client = visitor()
    shown = [
        client.get(url(page)),
        send(client, page, attack, first_name=attack),
        send(client, page, "a@example.org", agreed="on", first_name=attack),
        client.get(opt_out_url(link("a@example.org", service))),
        client.post(opt_out_url(link("a@example.org", service)), {"choice": attack}),
    ]
    send(client, published(Kind.PREFERENCES, service=service), "a@example.org")
    handle()
    shown.append(client.get(confirm_url(PendingOptIn.objects.latest("pk"))))
    shown.append(client.get(preferences_url(PreferencesRequest.objects.get())))
    for response in shown:
        text = response.content.decode()
        assert "<script" not in text
        assert "<img" not in text
        assert "<svg" not in text
        assert "alert(1)>" not in text
        assert 'href="javascript' not in text
    values = {"brand": service.brand, "service": attack, "link": "https://x.example/", "language": "en"}
    for name in MESSAGES:
        assert "<img src=x" not in render_to_string(f"messages/{name}.html", values)
        assert "<script" not in render_to_string(f"messages/{name}.html", values)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_page_and_no_message_says_what_a_subscriber_should_never_read(language: str) -> None:
    service = ServiceFactory()
    ProfileFactory(email="a@example.org", services=[service])
    client, to = visitor(language), link("a@example.org", service)
    seen = [client.get(path) for path in ("/p/nothing/", "/o/nothing/", "/u/nothing", "/c/nothing/", "/undo/nothing/")]
    for kind, double in product(Kind, (True, False)):
        page = published(kind, service=service, double_opt_in=double)
        seen += [client.get(url(page)), send(client, page, "no address"), send(client, page, "a@example.org", after=0)]
        seen.append(send(client, page, "a@example.org"))
        publishing.close(page)
        seen.append(client.get(url(page)))
    handle()
    seen += [client.get(confirm_url(pending)) for pending in PendingOptIn.objects.all()]
    seen += [client.post(confirm_url(pending)) for pending in PendingOptIn.objects.all()]
    seen.append(client.get(opt_out_url(to)))
    mine = preferences_url(PreferencesRequest.objects.filter(expires_at__isnull=False).get())
    seen += [client.get(mine), client.get(mine + "history.json"), client.post(mine, {"act": "save"})]
    seen += [client.get(path) for path in ("/m/nothing/", "/m/nothing/history.json")]
    for choice in ("service", "channel", "everything", "address", "preferences"):
        done = client.post(opt_out_url(to), {"choice": choice})
        seen.append(done)
        for path in re.findall(r'"(/undo/[^"?]+)', done.content.decode()):
            seen += [client.get(path), client.post(path)]
    seen += [client.get(one_click_url(to)), client.post(one_click_url(to)), client.get("/accent/1f6f5c.css")]
    seen += [client.get(mine), client.get(mine + "history.json"), client.post(mine, {"act": "stop"})]
    for response in seen:
        assert not FORBIDDEN.search(response.content.decode()), response.request["PATH_INFO"]
        assert not FORBIDDEN.search(str(response.headers))
    values = {"brand": service.brand, "service": "News", "link": "https://x.example/", "language": language}
    with override(language):
        for name, form in product(MESSAGES, ("subject.txt", "txt", "html")):
            assert not FORBIDDEN.search(render_to_string(f"messages/{name}.{form}", values))


def test_the_text_of_a_message_is_not_escaped_as_html() -> None:
    brand = BrandFactory(name="Seeds & Sons", postal_address="1 O'Neil Road")
    values = {"brand": brand, "service": "Q & A", "link": "https://x.example/?a=1&b=2", "language": "en"}
    for name, form in product(MESSAGES, ("subject.txt", "txt")):
        assert "&amp;" not in render_to_string(f"messages/{name}.{form}", values)
        assert "&#" not in render_to_string(f"messages/{name}.{form}", values)


# -- pages that are there by themselves ----------------------------------------------------------------------------


def test_there_is_always_a_page_on_which_everything_can_be_stopped() -> None:
    page = LandingPage.objects.get(slug="stop")
    assert (page.kind, page.state) == (Kind.OPT_OUT_ALL, PageState.PUBLISHED)
    assert visitor().get("/p/stop/").status_code == 200
    assert Brand.objects.filter(name="Campaign").exists()


def test_making_the_defaults_again_changes_nothing() -> None:
    before = list(LandingPage.objects.values()), list(Brand.objects.values())
    publishing.make_defaults()
    assert (list(LandingPage.objects.values()), list(Brand.objects.values())) == before


def test_a_service_gets_its_pages_once() -> None:
    service = ServiceFactory(name="garden")
    for _again in range(2):
        publishing.default_pages(service, at=timezone.now())
    pages = {page.kind: page for page in service.pages.all()}
    assert set(pages) == {Kind.SUBSCRIPTION, Kind.UNSUBSCRIPTION}
    assert service.pages.count() == 2
    assert visitor().get("/p/garden/").status_code == 200
    assert visitor("fr").get(url(pages[Kind.UNSUBSCRIPTION])).status_code == 200


def test_a_private_service_gets_no_page_to_subscribe_on() -> None:
    service = ServiceFactory(is_public=False)
    publishing.default_pages(service, at=timezone.now())
    assert [page.kind for page in service.pages.all()] == [Kind.UNSUBSCRIPTION]


def test_the_language_switch_leads_to_the_other_language() -> None:
    page = published(title={"en": "Hello", "fr": "Bonjour"})
    assert re.findall(r'href="(\?lang=\w+)"', html(page)) == ["?lang=fr"]
    assert "Bonjour" in visitor("en").get(url(page) + "?lang=fr").content.decode()


def test_dates_in_the_past_and_future_agree_with_the_query() -> None:
    """`open` in SQL and `availability` in Python are one rule."""
    now, day = timezone.now(), timedelta(days=1)
    for opens, closes in product((None, now - day, now, now + day), repeat=2):
        page = published(opens_at=opens, closes_at=closes)
        in_sql = LandingPage.objects.open(now).filter(pk=page.pk).exists()
        assert in_sql is (page.availability(now).name == "OPEN"), (opens, closes)
