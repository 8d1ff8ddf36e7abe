"""A message as a page: what was sent, for whoever has its link; it runs nothing, and ends with what is kept."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

import pytest
from django.urls import reverse

from deliveries import composing, proofs, view_online
from deliveries.models import AnalysisRun, Delivery, DeliveryContent, DeliveryLog, LogStatus, Proof, State
from profiles.models import Profile
from profiles.tokens import Purpose, seal
from tests.deliveries.test_admin import analysed
from tests.factories import DeliveryFactory, ProfileFactory
from tests.landing.visitors import changed, tables, visitor
from tests.sink import running_sink

pytestmark = pytest.mark.django_db
ADDRESS = "zoe@example.org"
FOOT = (
    '<p>{{ brand.postal_address }}</p><a href="{{ opt_out_url }}">Stop</a> <a href="{{ view_online_url }}">Online</a>'
)


@pytest.fixture
def delivery() -> Delivery:
    delivery: Delivery = DeliveryFactory.create()
    html = "<script>alert(1)</script><p>Dear {{ profile.first_name }} of {{ profile.email }}</p>" + FOOT
    DeliveryContent.objects.filter(delivery=delivery).update(html=html, text="")
    return delivery


@pytest.fixture
def person(delivery: Delivery) -> Profile:
    person: Profile = ProfileFactory.create(first_name="Zoé", email=ADDRESS, services=[delivery.service], language="en")
    return person


def online_url(number: int, kind: bytes = b"r") -> str:
    return reverse("landing:view_online", args=[seal(Purpose.VIEW_ONLINE, kind + number.to_bytes(8, "big"))])


def sent(delivery: Delivery) -> tuple[DeliveryLog, str]:
    """Send a delivery to its one person; return the row and the address of the page, as the message has it."""
    delivery = analysed(delivery)
    DeliveryLog.objects.update(status=LogStatus.SENT)
    row = DeliveryLog.objects.get()
    envelope = composing.Composer(delivery).compose(row, Profile.objects.get())
    message = cast(EmailMessage, message_from_bytes(envelope.body, policy=policy.default))
    (found,) = re.findall(r'href="https?://[^/]+(/v/[^"]+)"', message.get_body(("html",)).get_content())
    assert found in message.get_body(("plain",)).get_content()
    return row, found


def test_the_link_of_a_message_shows_the_same_message(delivery: Delivery, person: Profile) -> None:
    row, url = sent(delivery)
    assert url == online_url(row.pk)
    assert "@" not in url
    page = visitor("fr").get(url)
    html = page.content.decode()
    assert page.status_code == 200
    assert f"Dear Zoé of {ADDRESS}" in html
    assert url in html
    (stop,) = re.findall(r'href="https?://[^/]+(/o/[^"]+)"', html)
    assert visitor().post(stop, {"choice": "channel"}).status_code == 200
    person.refresh_from_db()
    assert person.blacklisted_email


def test_it_can_run_nothing_and_is_kept_by_nobody(delivery: Delivery, person: Profile) -> None:
    page = visitor().get(sent(delivery)[1])
    policy_of = dict(part.strip().partition(" ")[::2] for part in page["Content-Security-Policy"].split(";"))
    assert policy_of == {
        "sandbox": "allow-popups allow-popups-to-escape-sandbox", "default-src": "'none'",
        "img-src": "https: data:", "style-src": "'unsafe-inline'", "form-action": "'none'", "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }  # fmt: skip
    assert (page["Cache-Control"], page["Referrer-Policy"], page["X-Robots-Tag"]) == (
        "no-store", "no-referrer", "noindex",
    )  # fmt: skip
    assert not page.cookies


def test_looking_changes_nothing_and_nothing_else_is_answered(delivery: Delivery, person: Profile) -> None:
    url = sent(delivery)[1]
    before = tables()
    assert (
        visitor().get(url).status_code == visitor().head(url).status_code == visitor().options(url).status_code == 200
    )
    assert visitor().post(url, {"choice": "everything"}).status_code == 405
    assert changed(before) == set()


@pytest.mark.parametrize("gone", ["purged", "erased", "delivery", "analysed again", "never sent", "no HTML"])
@pytest.mark.parametrize(("language", "words"), [("en", "no longer kept"), ("fr", "n’est plus conservé")])
def test_a_message_that_is_no_longer_kept_says_so_kindly(
    gone: str, language: str, words: str, delivery: Delivery, person: Profile
) -> None:
    url = sent(delivery)[1]
    match gone:
        case "purged":
            DeliveryLog.objects.all().delete()
        case "erased":
            DeliveryLog.objects.update(address="", digest=None)
        case "delivery":
            Delivery.objects.update(current_run=None, state=State.DRAFT)
            AnalysisRun.objects.all().delete()
            Delivery.objects.all().delete()
        case "analysed again":
            Delivery.objects.update(current_run=None, state=State.DRAFT)
        case "never sent":
            DeliveryLog.objects.update(status=LogStatus.SUPPRESSED)
        case "no HTML":
            DeliveryContent.objects.update(html="")
    page = visitor(language).get(url)
    assert page.status_code == 410
    assert words in page.content.decode()
    assert "Zoé" not in page.content.decode()
    assert (page["Cache-Control"], page["Referrer-Policy"], page["X-Robots-Tag"]) == (
        "no-store", "no-referrer", "noindex",
    )  # fmt: skip


def test_a_person_who_is_gone_is_a_blank(delivery: Delivery, person: Profile) -> None:
    url = sent(delivery)[1]
    person.delete()
    html = visitor().get(url).content.decode()
    assert f"Dear  of {ADDRESS}" in html


def test_altered_and_foreign_links_lead_to_the_usual_page(delivery: Delivery, person: Profile) -> None:
    row, url = sent(delivery)
    token = url.strip("/").split("/")[1]
    altered = token[:30] + ("A" if token[30] != "A" else "B") + token[31:]
    foreign = [seal(purpose, b"r" + row.pk.to_bytes(8, "big")) for purpose in Purpose if purpose != Purpose.VIEW_ONLINE]
    for wrong in (altered, token[:-2], "nothing", *foreign, seal(Purpose.VIEW_ONLINE, b"r1")):
        page = visitor().get(reverse("landing:view_online", args=[wrong]))
        assert page.status_code == 404
        assert "This page does not exist" in page.content.decode()
    for name in ("opt_out", "confirm", "undo", "preferences", "one_click"):
        assert visitor().get(reverse(f"landing:{name}", args=[token])).status_code == 404


def test_the_link_of_a_test_leads_to_the_page_too_and_that_of_a_preview_to_nothing(delivery: Delivery) -> None:
    proof = Proof.objects.create(delivery=delivery, delivery_version=1, address=ADDRESS, language="en")
    assert "Dear Camille" in visitor().get(online_url(proof.pk, b"p")).content.decode()
    with running_sink() as sink:
        proofs.send(proof.pk)
    assert online_url(proof.pk, b"p") in sink.caught[0].message.get_body(("html",)).get_content()
    assert visitor().get(online_url(0, b"s")).status_code == 410
    Proof.objects.all().delete()
    assert visitor().get(online_url(proof.pk, b"p")).status_code == 410


def test_a_content_without_the_link_costs_no_link(delivery: Delivery) -> None:
    content = DeliveryContent(html="<p>a</p>", text="a")
    assert view_online.url(content, delivery.brand, view_online.ROW, 1) == ""
