"""How a brand looks on public pages and in messages: whatever colours and pictures are chosen, it can be read."""

import io
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from landing import colors
from profiles import logos
from profiles.models import Brand, BrandLogo
from tests.factories import BrandFactory, UserFactory
from tests.landing.visitors import published, visitor


def png(width: int = 3) -> bytes:
    """Return a real PNG, a line of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + b"\x1f\x6f\x5c" * width)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PICTURES = {
    "png": png(),
    "jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\0" * 20,
    "gif": b"GIF89a" + b"\0" * 20,
    "webp": b"RIFF\x10\0\0\0WEBPVP8 " + b"\0" * 20,
}
NO_LOGOS = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "html": b"<!doctype html><script>alert(1)</script>",
    "svg called png": b"<?xml version='1.0'?><svg/>",
    "empty": b" ",
    "wave": b"RIFF\x10\0\0\0WAVEfmt ",
    "too large": png() + b"\0" * logos.LARGEST,
}
CODES = st.integers(0, 0xFFFFFF).map("{:06x}".format)


def rgb(color: str) -> tuple[int, int, int]:
    return tuple(int(color[n : n + 2], 16) for n in (1, 3, 5))  # type: ignore[return-value]


# -- colours -------------------------------------------------------------------------------------------------------


@given(CODES, CODES | st.just(""))
def test_everything_can_be_read_on_any_two_colours(accent: str, page: str) -> None:
    """4.5 to 1 (WCAG 2.2, 1.4.3), for each text that public.css puts on each ground."""
    found = colors.look(accent, page)
    sheet = (
        (found.light, "#ffffff", ("#1c2024", "#555d66"), "#ffffff"),
        (found.dark, "#1e2124", ("#e8eaec", "#aab2ba"), "#14171a"),
    )
    for side, card, texts, on_accent in sheet:
        for text in (*texts, side.accent):
            assert colors.contrast(rgb(text), rgb(side.page)) >= 4.5
            assert colors.contrast(rgb(text), rgb(card)) >= 4.5
        assert colors.contrast(rgb(on_accent), rgb(side.accent)) >= 4.5


def test_the_grounds_and_texts_are_those_of_the_style_sheet() -> None:
    text = Path("landing/static/landing/public.css").read_text()
    light, dark = text.split("@media (prefers-color-scheme: dark)")[:2]
    for sheet, grounds in (
        (light, (colors.LIGHT_PAGE, colors.LIGHT_CARD, colors.LIGHT_TEXT)),
        (dark, (colors.DARK_PAGE, colors.DARK_CARD, colors.DARK_TEXT)),
    ):
        values = dict(re.findall(r"--(page|card|quiet): (#\w+);", sheet.replace("#fff;", "#ffffff;")))
        assert tuple(rgb(values[name]) for name in ("page", "card", "quiet")) == grounds


def test_a_readable_colour_stays_as_it_is() -> None:
    assert colors.look("1f6f5c", "fff4e0").light == colors.Colors("#1f6f5c", "#fff4e0")


@pytest.mark.parametrize("text", ["", "red", "#12", "#1234567", "javascript", "#gggggg"])
def test_what_is_no_colour_is_ours(text: str) -> None:
    assert colors.look(text) == colors.look(colors.DEFAULT)
    assert colors.codes_of(text, text) == colors.DEFAULT


@pytest.mark.django_db
def test_a_page_has_the_style_sheet_of_its_brand_s_colours() -> None:
    page = published()
    Brand.objects.filter(pk=page.brand_id).update(color="#AA0000", page_color="#ffd8a8")
    shown = visitor().get(reverse("landing:page", args=[page.slug])).content.decode()
    assert 'href="/accent/aa0000-ffd8a8.css"' in shown
    response = visitor().get("/accent/aa0000-ffd8a8.css")
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "--accent:#aa0000;--on-accent:#fff;--page:#ffd8a8" in response.content.decode()
    assert visitor().get("/accent/aa0000.css").status_code == 200
    for nonsense in ("/accent/aa0000-.css", "/accent/aa0000-xyz.css", "/accent/aa0000-ffd8a8-ffd8a8.css"):
        assert visitor().get(nonsense).status_code == 404


# -- the logo ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("extension", PICTURES)
def test_a_logo_is_served_as_a_picture_and_nothing_else(extension: str) -> None:
    brand = BrandFactory()
    logos.keep(brand, PICTURES[extension])
    response = visitor().get(brand.logo_path)
    assert brand.logo_path == f"/logo/{brand.logo_digest}.{extension}"
    assert response.content == PICTURES[extension]
    assert response.headers["Content-Type"].startswith("image/")
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert not response.cookies


@pytest.mark.django_db
def test_another_picture_has_another_address_and_the_old_one_is_gone() -> None:
    brand = BrandFactory()
    logos.keep(brand, png(3))
    old = brand.logo_path
    logos.keep(brand, png(4))
    assert brand.logo_path != old
    assert BrandLogo.objects.count() == 1
    assert visitor().get(old).status_code == 404
    assert visitor().get(brand.logo_path.replace(".png", ".gif")).status_code == 404
    logos.remove(brand)
    assert (brand.logo_path, brand.logo_url, BrandLogo.objects.count()) == ("", "", 0)


@pytest.mark.django_db
def test_pages_and_confirmations_show_the_logo_under_the_brand_s_name() -> None:
    page = published()
    page.brand.link_domain = "https://news.jardins.example/"
    page.brand.save()
    logos.keep(page.brand, png())
    shown = visitor().get(reverse("landing:page", args=[page.slug])).content.decode()
    assert f'<img src="{page.brand.logo_path}" alt="Jardins">' in shown
    values = {"brand": page.brand, "service": "News", "link": "https://x.example/", "language": "en"}
    message = render_to_string("messages/confirm_opt_in.html", values)
    assert f'src="https://news.jardins.example{page.brand.logo_path}" alt="Jardins"' in message


@pytest.mark.django_db
def test_without_a_logo_the_name_is_shown_and_nothing_is_asked_of_the_database(
    django_assert_num_queries: Any,
) -> None:
    brand = BrandFactory()
    with django_assert_num_queries(0):
        assert brand.logo_url == ""


# -- in the admin --------------------------------------------------------------------------------------------------


@pytest.fixture
def client(db: None) -> Client:
    client = Client()
    client.force_login(UserFactory(admin=True))
    return client


def save(client: Client, brand: Brand, **changes: Any) -> Any:
    names = ("name", "color", "postal_address", "contact", "sender_name", "sender_email")
    data = {name: getattr(brand, name) for name in names} | {"page_color": "#f6f6f4"}
    return client.post(reverse("admin:profiles_brand_change", args=[brand.pk]), {**data, **changes})


def upload(data: bytes, name: str = "logo.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, io.BytesIO(data).read(), content_type="image/png")


def test_a_marketer_gives_and_takes_away_a_logo(client: Client) -> None:
    brand = BrandFactory()
    assert save(client, brand, logo=upload(png())).status_code == 302
    brand.refresh_from_db()
    assert bytes(brand.logo.data) == png()
    shown = client.get(reverse("admin:profiles_brand_change", args=[brand.pk])).content.decode()
    assert f'href="{brand.logo_path}"' in shown
    assert 'name="remove_logo"' in shown
    assert save(client, brand).status_code == 302
    brand.refresh_from_db()
    assert brand.logo_digest, "saving without a file keeps the logo"
    assert save(client, brand, remove_logo="on").status_code == 302
    brand.refresh_from_db()
    assert brand.logo_digest == ""


@pytest.mark.parametrize("data", NO_LOGOS.values(), ids=NO_LOGOS)
def test_what_is_no_logo_is_refused_at_its_field(client: Client, data: bytes) -> None:
    brand = BrandFactory()
    response = save(client, brand, logo=upload(data))
    assert response.status_code == 200
    assert "logo" in response.context["adminform"].errors
    assert not BrandLogo.objects.exists()


def test_the_colour_of_pages_is_used_only_when_its_box_is_ticked(client: Client) -> None:
    brand = BrandFactory()
    save(client, brand, page_color="#ffd8a8")
    brand.refresh_from_db()
    assert brand.page_color == ""
    save(client, brand, page_color="#ffd8a8", own_page_color="on")
    brand.refresh_from_db()
    assert brand.page_color == "#ffd8a8"
    response = save(client, brand, page_color="url(x)", own_page_color="on", color="red")
    assert {"color", "page_color"} <= set(response.context["adminform"].errors)


def test_the_look_of_a_brand_is_drawn_in_light_and_dark(client: Client) -> None:
    brand = BrandFactory(color="#1f6f5c", page_color="#ffd8a8")
    shown = client.get(reverse("admin:profiles_brand_change", args=[brand.pk])).content.decode()
    assert 'fill="#ffd8a8"' in shown
    assert shown.count("<figcaption>In ") == 2
    assert client.get(reverse("admin:profiles_brand_add")).status_code == 200


def test_who_may_only_see_a_brand_sees_it(client: Client) -> None:
    brand, viewer = BrandFactory(), Client()
    user = UserFactory()
    user.user_permissions.add(Permission.objects.get(codename="view_brand"))
    viewer.force_login(user)
    url = reverse("admin:profiles_brand_change", args=[brand.pk])
    assert viewer.get(url).status_code == 200
    assert viewer.post(url, {"logo": upload(png())}).status_code == 403
    assert not BrandLogo.objects.exists()
