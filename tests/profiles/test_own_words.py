"""What marketers write themselves: picked by language, kept with the message, and harmless."""

from typing import Any

import pytest
from django.utils import timezone

from profiles import outbox, own_words
from profiles.channels import Channel
from profiles.digests import digest
from profiles.models import Confirmation, OutboxMessage
from profiles.own_words import Words
from tests.factories import BrandFactory, ServiceFactory

pytestmark = pytest.mark.django_db
OWN = Confirmation.OWN


@pytest.mark.parametrize(
    ("subjects", "texts", "language", "expected"),
    [
        ({"en": "Hello", "fr": "Bonjour"}, {"en": "Text", "fr": "Texte"}, "fr", ("Bonjour", "Texte", "fr")),
        ({"en": "Hello", "fr": "Bonjour"}, {"en": "Text", "fr": "Texte"}, "fr-CA", ("Bonjour", "Texte", "fr")),
        ({"en": "Hello", "fr": "Bonjour"}, {"en": "Text"}, "fr", ("Hello", "Text", "en")),
        ({"fr": "Bonjour"}, {"fr": "Texte"}, "en", ("Bonjour", "Texte", "fr")),
        ({"fr": "Bonjour"}, {"fr": "Texte"}, "de", ("Bonjour", "Texte", "fr")),
    ],
)
def test_subject_and_text_are_of_one_language(subjects: Any, texts: Any, language: str, expected: Any) -> None:
    assert own_words.words_in(subjects, texts, language) == Words(*expected)


def test_without_a_language_that_has_both_the_default_message_goes() -> None:
    assert own_words.words_in({"en": "Hello", "fr": " "}, {"fr": "Texte"}, "en") is None
    assert own_words.chosen(Confirmation.DEFAULT, {"en": "Hello"}, {"en": "Text"}, "en") is None


@pytest.mark.parametrize(
    ("choice", "subjects", "texts", "wrong"),
    [
        (OWN, {}, {}, (1, 1)),
        (OWN, {"en": "Hello"}, {}, (0, 1)),
        (OWN, {}, {"en": "Text", "fr": "Texte"}, (2, 0)),
        (OWN, {"en": "Hello"}, {"en": "Text", "fr": "Texte"}, (1, 0)),
        (OWN, {"en": "Hello"}, {"en": "Text"}, (0, 0)),
        (Confirmation.DEFAULT, {}, {"en": "kept for later"}, (0, 0)),
        (Confirmation.NONE, {"en": "x" * 201}, {"en": "x" * 10_001}, (1, 1)),
    ],
)
def test_what_is_missing_is_said(choice: Confirmation, subjects: Any, texts: Any, wrong: tuple[int, int]) -> None:
    assert tuple(len(found) for found in own_words.flaws(choice, subjects, texts)) == wrong


def own(text: str, subject: str = "Hello", template: str = "subscribed", **fields: Any) -> OutboxMessage:
    outbox.post(
        template, address="a@example.org", digest=digest(Channel.EMAIL, "a@example.org"), brand=BrandFactory(),
        language="fr", at=timezone.now(), words=Words(subject, text, "en"), **fields,
    )  # fmt: skip
    return OutboxMessage.objects.latest("pk")


def test_it_stands_in_the_frame_of_the_brand_in_its_own_language() -> None:
    message = own("First.\n\nSecond,\nthird.")
    shown = outbox.render(message)
    assert "<p>First.</p>" in shown.html
    assert "Second,<br>third." in shown.html
    for text in (shown.html, shown.text):
        assert "1 rue des Lilas, 69001 Lyon" in text
        assert "You can stop it at any time" in text
    assert "First.\n\nSecond,\nthird." in shown.text
    assert message.language == "en"


@pytest.mark.parametrize(("template", "told"), [("opted_in", True), ("unsubscribed", False), ("opted_out", False)])
def test_how_to_stop_is_said_to_those_who_begin_only(template: str, told: bool) -> None:
    shown = outbox.render(own("Text", template=template))
    assert ("You can stop it at any time" in shown.html) is told
    assert ("You can stop it at any time" in shown.text) is told


@pytest.mark.parametrize(
    "attack",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{% debug %}{{ brand.pk }}", "a & b < c"],
)
def test_nothing_in_it_runs_and_nothing_of_it_is_lost(attack: str) -> None:
    shown = outbox.render(
        own(attack, subject=f"{attack}\r\nBcc: x@example.org", service=ServiceFactory(label={"en": attack}))
    )
    assert "<script" not in shown.html
    assert "<img" not in shown.html
    assert attack in shown.text
    assert shown.subject == f"{attack} Bcc: x@example.org"


def test_editing_the_service_later_changes_no_message_on_its_way() -> None:
    service = ServiceFactory(on_subscribe=OWN, subscribe_subject={"en": "Old"}, subscribe_text={"en": "Old text"})
    message = own("Old text", service=service)
    service.subscribe_text = {"en": "New text"}
    service.save()
    assert "Old text" in outbox.render(OutboxMessage.objects.get(pk=message.pk)).text
