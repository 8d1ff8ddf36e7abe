"""The try-out page: it says what is understood of a report or an answer, and changes, stores and logs nothing."""

import logging

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from deliveries.models import DeliveryLog, LogStatus
from profiles.tokens import OptOutLink, Purpose, seal
from quarantine.models import AnswerRule, Effect, Reason
from tests.factories import UserFactory

from .reporting import SPAM, arf, away, dsn, proof_of
from .test_sending import ready

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:what_it_says")
BUTTON = "Make a rule from this answer"


def of_role(name: str) -> Client:
    user, client = UserFactory.create(), Client()
    user.groups.add(Group.objects.get(name=name))
    client.force_login(user)
    return client


def understood(text: str | bytes, role: str = "operator") -> str:
    posted = text if isinstance(text, str) else text.decode()
    page = of_role(role).post(PAGE, {"text": posted}).content.decode()
    assert "Nothing was changed." in page
    return page.split('aria-labelledby="c-understood"')[1]


def row_sent() -> DeliveryLog:
    ready(people=1)
    DeliveryLog.objects.update(status=LogStatus.SENT)
    return DeliveryLog.objects.select_related("delivery__brand").get()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("550 5.1.1 User unknown", "Failed for good: No such mailbox"),
        ("452 4.2.2 Mailbox full", "Failed for now: Mailbox full"),
        ("554 5.7.1 Message rejected as spam", "Says nothing against the address: Refused (the refusal is about us)"),
        ("421 4.7.28 unusual rate", "Refused (its provider asks us to wait, or blocks us for now)"),
        ("whatever this is", "Failed for now: Not known"),
    ],
)
def test_an_answer_is_told_in_words_with_what_decided(answer: str, words: str) -> None:
    page = understood(answer)
    assert words in page
    assert "Built-in rules" in page
    assert answer in page


def test_an_own_rule_that_decided_is_named_and_leads_to_itself() -> None:
    rule = AnswerRule.objects.create(pattern="greener pastures", effect=Effect.HARD, reason=Reason.ACCOUNT_DISABLED)
    page = understood("554 She went to Greener Pastures")
    assert "Failed for good: Mailbox closed" in page
    assert reverse("admin:quarantine_answerrule_change", args=[rule.pk]) in page
    assert "greener pastures" in understood(dsn("a@example.org", says=("5.0.0", "554 greener pastures")))


def test_a_report_is_told_with_its_recipients_and_its_proof() -> None:
    row = row_sent()
    proven = understood(dsn(row.address, proof=proof_of(row)))
    assert "Message returned" in proven
    assert row.address in proven
    assert "Failed for good: No such mailbox" in proven
    assert "It proves which message it is about" in proven
    assert "It would be acted on." in proven
    unproven = understood(dsn(row.address))
    assert "It does not prove which message it is about." in unproven
    assert "It would wait for a decision." in unproven
    foreign = understood(dsn("other@example.org", proof=proof_of(row)))
    assert "is of a message to somebody else" in foreign


def test_complaints_replies_and_unsubscribe_messages_are_told_apart() -> None:
    row = row_sent()
    assert "Reported the message as spam" in understood(arf(proof=proof_of(row)))
    assert "Automatic reply" in understood(away(proof_of(row)))
    link = OptOutLink(channel=1, digest=bytes(row.digest or b""), log=row.pk)
    leaving = f"From: a@example.org\r\nSubject: {seal(Purpose.ONE_CLICK, link.pack())}\r\n\r\n\r\n"
    assert "Whoever has the address of that message opts out." in understood(leaving)
    assert "Says nothing against the address" in understood(dsn(row.address, says=SPAM))


@pytest.mark.parametrize("text", ["", " ", "x" * 500_001])
def test_nothing_and_too_much_are_refused_kindly(text: str) -> None:
    page = of_role("operator").post(PAGE, {"text": text}).content.decode()
    assert 'role="alert"' in page
    assert "What is understood" not in page


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "From ",
        "a:b\n c",
        ":\n",
        "A: b\n\n",
        "é" * 9_000,
    ],
)
def test_no_text_is_too_strange(text: str) -> None:
    assert of_role("operator").post(PAGE, {"text": text}).status_code == 200


def test_what_is_pasted_is_shown_as_text_and_as_nothing_else() -> None:
    page = understood('550 5.1.1 <script>alert(1)</script> "><img src=x onerror=alert(2)>')
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page


def test_nothing_is_changed_stored_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    row = row_sent()
    client = of_role("administrator")
    client.get(PAGE)
    before = {model._meta.label: model._default_manager.count() for model in apps.get_models()}
    with caplog.at_level(logging.DEBUG):
        answer = client.post(PAGE, {"text": dsn(row.address, proof=proof_of(row)).decode()})
    assert answer.status_code == 200
    assert {model._meta.label: model._default_manager.count() for model in apps.get_models()} == before
    row.refresh_from_db()
    assert row.reported == 0
    texts = [record.getMessage() for record in caplog.records if record.name != "django.db.backends"]
    assert not [text for text in texts if row.address in text]
    assert row.address not in str(dict(client.session))
    assert "no-store" in answer["Cache-Control"]
    assert row.address not in client.get(PAGE).content.decode()


def test_it_becomes_a_rule_for_who_may_write_rules() -> None:
    assert BUTTON not in understood("550 unheard of words")
    assert BUTTON in understood("550 unheard of words", "administrator")


@pytest.mark.parametrize("role", ["viewer", "operator", "marketer", "administrator"])
def test_whoever_sees_reports_may_try(role: str) -> None:
    assert of_role(role).get(PAGE).status_code == 200


def test_strangers_may_not() -> None:
    assert Client().post(PAGE, {"text": "x"}).status_code == 302
