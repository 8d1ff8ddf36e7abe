"""The sum against robots: off unless asked for, before forms to opt in only, good for one form, kind to all."""

import base64
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from altcha.v1 import solve_challenge
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone

from campaign import checks
from landing.models import Kind, LandingPage, OptOutRequest, PendingOptIn, PreferencesRequest
from tests.landing.visitors import changed, link, opt_out_url, published, send, tables, visitor

pytestmark = pytest.mark.django_db
WITH_SUM = [Kind.OPT_IN, Kind.SUBSCRIPTION]
WITHOUT = [kind for kind in Kind if kind not in WITH_SUM]


@pytest.fixture(autouse=True)
def _switched_on(settings: Any) -> None:
    settings.CAPTCHA, settings.CAPTCHA_WORK = "altcha", 300


def look(page: LandingPage, language: str = "en") -> str:
    return visitor(language).get(reverse("landing:page", args=[page.slug])).content.decode()


def sum_of(html: str) -> dict[str, Any]:
    found = re.search(r'data-challenge="([^"]+)"', html)
    assert found
    asked: dict[str, Any] = json.loads(unescape(found[1]))
    return asked


def packed(asked: dict[str, Any], **other: Any) -> str:
    """Return what the script of the page hands over, or something else instead."""
    said = {name: asked[name] for name in ("algorithm", "challenge", "salt", "signature")}
    return base64.b64encode(json.dumps({**said, **other}).encode()).decode()


def work_out(asked: dict[str, Any]) -> str:
    found = solve_challenge(asked["challenge"], asked["salt"], asked["algorithm"], asked["maxnumber"], 0)
    assert found
    return packed(asked, number=found.number)


def post(page: LandingPage, proof: str | None, address: str = "a@example.org", **more: Any) -> HttpResponse:
    return send(visitor(), page, address, **({} if proof is None else {"proof": proof}), **more)


@pytest.mark.parametrize("kind", WITH_SUM)
def test_a_form_with_its_sum_worked_out_is_taken(kind: Kind) -> None:
    page = published(kind)
    assert post(page, work_out(sum_of(look(page)))).status_code == 200
    assert PendingOptIn.objects.count() == 1


@pytest.mark.parametrize("kind", WITHOUT)
def test_nothing_stands_between_somebody_and_the_end_of_messages(kind: Kind) -> None:
    page = published(kind)
    html = look(page)
    assert "data-challenge" not in html
    assert "<script" not in html
    assert post(page, None).status_code == 200
    assert OptOutRequest.objects.count() + PreferencesRequest.objects.count() == 1
    leaving = visitor().get(opt_out_url(link("a@example.org"))).content.decode()
    assert "data-challenge" not in leaving
    assert "<script" not in leaving


@pytest.mark.parametrize("kind", Kind)
def test_without_the_setting_there_is_no_sum_and_no_script(kind: Kind, settings: Any) -> None:
    settings.CAPTCHA = ""
    page = published(kind)
    html = look(page)
    assert "data-challenge" not in html
    assert "<script" not in html
    assert post(page, None).status_code == 200


def test_a_form_without_the_sum_is_shown_again_with_a_new_one() -> None:
    page = published()
    first = sum_of(look(page))
    answer = post(page, None)
    assert answer.status_code == 422
    assert 'value="a@example.org"' in answer.content.decode()
    assert sum_of(answer.content.decode())["challenge"] != first["challenge"]
    assert not PendingOptIn.objects.exists()


def test_a_proof_is_good_for_one_form() -> None:
    page, other = published(), published()
    proof = work_out(sum_of(look(page)))
    assert post(page, proof).status_code == 200
    assert post(page, proof, "b@example.org").status_code == 422
    assert post(other, proof, "c@example.org").status_code == 422
    assert PendingOptIn.objects.count() == 1


def test_a_form_that_cannot_be_read_does_not_use_up_its_proof() -> None:
    page = published()
    proof = work_out(sum_of(look(page)))
    assert post(page, proof, "no address").status_code == 422
    assert post(page, proof, after=0.1).status_code == 422
    assert post(page, proof).status_code == 200


def test_a_sum_ends_after_an_hour() -> None:
    page = published()
    proof = work_out(sum_of(look(page)))
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        assert post(page, proof).status_code == 422
    with time_machine.travel(timezone.now() + timedelta(minutes=58)):
        assert post(page, proof).status_code == 200


FORGED = {
    "another number": lambda asked: packed(asked, number=asked["maxnumber"] + 1),
    "no number": lambda asked: packed(asked),
    "a number of another kind": lambda asked: packed(asked, number={"a": [1]}),
    "a longer life": lambda asked: packed(
        asked, number=0, salt=re.sub(r"expires=\d+", "expires=9999999999", asked["salt"])
    ),
    "an own signature": lambda asked: packed(asked, number=0, signature="0" * 64),
    "an unknown sum": lambda asked: packed(asked, number=0, algorithm="MD5"),
    "a list": lambda asked: base64.b64encode(b"[1, 2]").decode(),
    "a number instead": lambda asked: base64.b64encode(b"7").decode(),
    "nested without end": lambda asked: base64.b64encode(b"[" * 50_000).decode(),
    "a salt that is none": lambda asked: packed(asked, number=0, salt=None),
    "a salt with strange parameters": lambda asked: packed(asked, number=0, salt="a?expires=x&expires=\udcff"),
    "no base64": lambda asked: "\x00é" * 40,
    "letters that are not ASCII": lambda asked: "ａ" * 40,
    "nothing": lambda asked: "",
    "bytes that are no text": lambda asked: base64.b64encode(b"\xff\xfe\x00").decode(),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_what_is_no_proof_is_not_taken_for_one(forge: Any) -> None:
    page = published()
    assert post(page, forge(sum_of(look(page)))).status_code == 422
    assert not PendingOptIn.objects.exists()


def test_a_sum_of_another_installation_is_not_taken(settings: Any) -> None:
    page = published()
    asked = sum_of(look(page))
    settings.SECRET_KEY = "of somebody else"
    assert post(page, work_out(asked)).status_code == 422


def test_showing_a_sum_stores_nothing() -> None:
    page = published()
    before = tables() | {"campaign_cache": ""}
    look(page)
    assert changed(before) <= {"campaign_cache"}


@pytest.mark.parametrize(
    ("language", "said"), [("en", "Write to us instead, and we sign you up."), ("fr", "nous vous inscrirons.")]
)
def test_without_javascript_the_page_says_what_to_do(language: str, said: str) -> None:
    html = look(published(), language)
    note = html[html.index('id="needs-script"') :]
    assert said in note[: note.index("</p>")]
    assert "bonjour@jardins.example" in note[: note.index("</p>")]


def test_the_content_policy_stays_as_strict(settings: Any) -> None:
    page = published()
    url = reverse("landing:page", args=[page.slug])
    with_sum = visitor().get(url).headers["Content-Security-Policy"]
    settings.CAPTCHA = ""
    assert with_sum == visitor().get(url).headers["Content-Security-Policy"]
    assert "unsafe" not in with_sum
    assert "blob:" not in with_sum


@pytest.mark.parametrize(("value", "missing", "code"), [
    ("", True, None), ("altcha", False, None), ("recaptcha", False, "campaign.E018"), ("altcha", True, "campaign.E019"),
])  # fmt: skip
def test_the_checks_refuse_a_sum_that_cannot_be_made(
    value: str, missing: bool, code: str | None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CAPTCHA = value
    if missing:
        monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert [error.id for error in checks.check_captcha()] == [code] * (code is not None)
