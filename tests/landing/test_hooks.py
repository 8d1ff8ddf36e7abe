"""Webhooks of mail providers: signed events count for the recipient of their message, once; nothing else counts."""

import json
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from campaign.checks import check_esp
from deliveries import messages, reported
from deliveries.models import AnalysisRun, DeliveryLog, LogStatus, Reported
from landing import hooks
from profiles.models import ConsentEvent, Profile, Source, Subscription
from quarantine.models import (
    Cause,
    QuarantinedAddress,
    Report,
    ReportKind,
    ReportState,
    Status,
    Triage,
)
from quarantine.models import Reason as Fault
from tests.deliveries.test_sending import ready

from .hooking import POSTERS, SECRETS, TOPIC, USER, Event, Posted, as_json, basic, post, sns

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:django-anymail has dropped official support"),
]
EVERY = sorted(POSTERS)
NEW = "550 5.1.1 No such user here"


@pytest.fixture(autouse=True)
def _configured(settings: Any) -> None:
    settings.ESP = EVERY
    settings.ANYMAIL = SECRETS
    settings.ESP_SNS_TOPICS = [TOPIC]


def sent(people: int = 1) -> list[DeliveryLog]:
    """Return the rows of a delivery that has left."""
    ready(people=people)
    DeliveryLog.objects.update(status=LogStatus.SENT)
    return list(DeliveryLog.objects.select_related("delivery__brand").order_by("pk"))


def identifier(row: DeliveryLog) -> str:
    return messages.message_id(row.delivery.brand, "row", row.pk)


def told(provider: str, what: str, row: DeliveryLog, **fields: Any) -> Posted:
    return POSTERS[provider](Event(what, **{"address": row.address, "identifier": identifier(row), **fields}))


@pytest.mark.parametrize("provider", EVERY)
def test_a_bounce_leaves_the_address_out_once_with_the_words_of_its_system(provider: str) -> None:
    row, other = sent(2)
    for _again in range(3):
        assert post(provider, told(provider, "bounced", row)).status_code == 200
    entry = QuarantinedAddress.objects.get()
    assert (entry.value, entry.cause, entry.reason) == (row.address, Cause.BOUNCE, Fault.USER_UNKNOWN)
    assert "No such user here" in entry.text
    row.refresh_from_db(), other.refresh_from_db()
    assert (row.reported, other.reported) == (Reported.HARD, 0)
    assert AnalysisRun.objects.get(pk=row.run_id).bounces == 1
    assert not Report.objects.exists()


@pytest.mark.parametrize("provider", EVERY)
def test_a_complaint_leaves_that_address_out_and_nothing_else(provider: str) -> None:
    row, _other = sent(2)
    for number in "12":
        assert post(provider, told(provider, "complained", row, number=number)).status_code == 200
    entry = QuarantinedAddress.objects.get()
    assert (entry.value, entry.cause) == (row.address, Cause.COMPLAINT)
    assert AnalysisRun.objects.get(pk=row.run_id).complaints == 1
    assert not Profile.objects.filter(blacklisted_email=True).exists()


@pytest.mark.parametrize("provider", ["brevo", "mandrill", "postmark", "sendgrid", "mailgun"])
def test_who_unsubscribes_at_the_provider_leaves_the_service(provider: str) -> None:
    row, other = sent(2)
    for _again in range(2):
        assert post(provider, told(provider, "unsubscribed", row)).status_code == 200
    assert list(Subscription.objects.values_list("profile", flat=True)) == [other.profile_id]
    event = ConsentEvent.objects.get(source=Source.WEBHOOK)
    assert (event.profile_id, event.delivery_id) == (row.profile_id, row.delivery_id)
    assert not Report.objects.exists()


@pytest.mark.parametrize("provider", ["amazon_ses", "brevo", "mandrill", "postmark"])
def test_what_the_provider_calls_temporary_is_an_error_and_no_more(provider: str) -> None:
    (row,) = sent()
    assert post(provider, told(provider, "soft", row, answer=NEW)).status_code == 200
    entry = QuarantinedAddress.objects.get()
    assert (entry.status, entry.errors) == (Status.ERRONEOUS, 1)


@pytest.mark.parametrize("provider", ["mailgun", "postmark", "sendgrid"])
def test_what_is_tried_again_says_nothing_against_the_address(provider: str) -> None:
    (row,) = sent()
    answer = "451 4.3.0 Temporary lookup failure"
    assert post(provider, told(provider, "deferred", row, answer=answer)).status_code == 200
    assert not QuarantinedAddress.objects.exists()
    assert not Report.objects.exists()


@pytest.mark.parametrize("answer", ["554 5.7.1 Message rejected as spam", "550 5.7.1 blocked using Spamhaus"])
def test_a_refusal_of_what_we_send_is_nobodys_bounce(answer: str) -> None:
    (row,) = sent()
    assert post("postmark", told("postmark", "bounced", row, answer=answer)).status_code == 200
    assert not QuarantinedAddress.objects.exists()


@pytest.mark.parametrize("provider", ["brevo", "sendgrid", "mandrill"])
def test_other_events_and_unknown_words_mean_nothing(provider: str) -> None:
    (row,) = sent()
    for what in ("delivered", "open", "click", "anything", "\N{SNOWMAN}"):
        assert post(provider, told(provider, what, row)).status_code == 200
    assert not QuarantinedAddress.objects.exists()
    assert not Report.objects.exists()


@pytest.mark.parametrize("provider", EVERY)
@pytest.mark.parametrize("what", ["bounced", "complained"])
def test_an_event_without_our_identifier_or_for_somebody_else_waits_once(provider: str, what: str) -> None:
    row, other = sent(2)
    for _again in range(2):
        post(provider, told(provider, what, row, identifier=""))
        post(provider, told(provider, what, other, identifier=identifier(row), number="2"))
    assert not QuarantinedAddress.objects.exists()
    found = Report.objects.order_by("pk")
    assert [report.state for report in found] == [ReportState.WAITING] * 2
    assert found[1].triage == Triage.OTHER_RECIPIENT
    assert found[1].source == provider
    assert other.address in bytes(found[1].raw or b"").decode()


@pytest.mark.parametrize("provider", EVERY)
def test_what_nobody_has_signed_is_refused_and_nothing_is_written(
    provider: str, caplog: pytest.LogCaptureFixture
) -> None:
    (row,) = sent()
    good = told(provider, "bounced", row)
    body = good.body.replace(b'signature": "', b'signature": "0') if provider == "mailgun" else good.body
    unsigned = Posted(body, {}, good.content_type)
    client = Client()
    for headers in ({}, {"Authorization": "Basic eDp5"}):
        url = reverse("landing:hook", args=[provider])
        answer = client.post(url, unsigned.body, content_type=unsigned.content_type, headers=headers)
        assert 400 <= answer.status_code < 500
    assert not QuarantinedAddress.objects.exists()
    assert not Report.objects.exists()
    assert row.address not in caplog.text


@pytest.mark.parametrize("provider", ["mailgun", "mandrill", "sendgrid"])
def test_a_body_that_was_changed_is_refused(provider: str) -> None:
    (row,) = sent()
    good = told(provider, "bounced", row)
    wrong = {
        "mailgun": replace(good, body=good.body.replace(b'1795812345"', b'1795812346"')),
        "mandrill": replace(good, body=good.body + b"%20"),
        "sendgrid": replace(good, body=good.body.replace(b"bounce", b"bounse")),
    }[provider]
    assert wrong.body != good.body
    assert post(provider, wrong).status_code == 400
    assert not QuarantinedAddress.objects.exists()


@pytest.mark.parametrize("provider", EVERY)
@pytest.mark.parametrize("change", ["not named", "no secret"])
def test_without_its_secret_or_name_an_address_is_not_there(provider: str, change: str, settings: Any) -> None:
    (row,) = sent()
    if change == "not named":
        settings.ESP = []
    else:
        settings.ANYMAIL = {"MANDRILL_WEBHOOK_URL": "https://news.example/"}
    assert post(provider, told(provider, "bounced", row)).status_code == 404
    assert Client().get(reverse("landing:hook", args=[provider])).status_code == 404
    assert not QuarantinedAddress.objects.exists()


def test_without_the_package_the_addresses_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = sent()
    monkeypatch.setattr(hooks, "find_spec", lambda name: None)
    assert post("postmark", told("postmark", "bounced", row)).status_code == 404


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_nothing_but_a_post_does_anything(method: str) -> None:
    answer = getattr(Client(), method)(reverse("landing:hook", args=["postmark"]), headers=basic())
    assert answer.status_code == 405


@pytest.mark.parametrize("provider", EVERY)
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"event": []}', b'"x"'])
def test_a_body_of_another_shape_is_refused_and_never_an_error(provider: str, body: bytes) -> None:
    good = POSTERS[provider](Event("complained", "a@example.org"))
    assert post(provider, replace(good, body=body)).status_code in (200, 400)
    assert not Report.objects.exists()


def test_signed_bodies_with_values_of_other_kinds_are_refused_and_never_an_error() -> None:
    strange: list[Any] = [None, 7, [], {}, "x" * 100_000, "\0", {"a": [1]}, 1e400, True]
    for value in strange:
        for name in ("RecordType", "Type", "Email", "Details", "Metadata", "ID", "BouncedAt", "Recipient"):
            found = json.loads(POSTERS["postmark"](Event("bounced", "a@example.org")).body)
            answer = post("postmark", as_json({**found, name: value}))
            assert answer.status_code in (200, 400), (name, value)
    assert not QuarantinedAddress.objects.exists()


def test_too_large_a_body_is_refused_before_it_is_read() -> None:
    huge = replace(POSTERS["postmark"](Event("bounced", "a@example.org")), body=b" " * (hooks.LIMIT + 1))
    assert post("postmark", huge).status_code == 413


def test_a_network_that_is_refused_too_often_is_no_longer_listened_to(settings: Any) -> None:
    settings.HOOK_REFUSALS_PER_HOUR = 3
    (row,) = sent()
    good = told("postmark", "bounced", row)
    wrong = [post("postmark", good, Authorization="Basic eDp5").status_code for _n in range(5)]
    assert wrong == [400, 400, 400, 429, 429]
    assert post("postmark", good).status_code == 429
    elsewhere = Client(REMOTE_ADDR="203.0.113.9")
    assert post("postmark", good, client=elsewhere).status_code == 200


def test_signed_events_are_never_too_many(settings: Any) -> None:
    settings.HOOK_REFUSALS_PER_HOUR = 1
    (row,) = sent()
    answers = {post("postmark", told("postmark", "delivered", row)).status_code for _n in range(5)}
    assert answers == {200}


def test_when_the_database_does_not_take_it_the_provider_is_asked_to_come_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (row,) = sent()
    with monkeypatch.context() as patch:
        patch.setattr(reported, "receive", _fail)
        assert post("postmark", told("postmark", "bounced", row)).status_code == 503
    assert row.address not in caplog.text
    assert post("postmark", told("postmark", "bounced", row)).status_code == 200
    assert QuarantinedAddress.objects.count() == 1


def _fail(*_args: Any, **_more: Any) -> None:
    raise OperationalError("cannot write a@example.org")


# -- Amazon -----------------------------------------------------------------------------------------------------------


def test_a_topic_that_is_not_ours_is_refused() -> None:
    (row,) = sent()
    whole = json.loads(told("amazon_ses", "bounced", row).body)
    for topic in ("arn:aws:sns:eu-west-1:999999999999:other", ""):
        wrong = sns({"Type": "Notification", "Message": whole["Message"]}, topic=topic)
        assert post("amazon_ses", wrong).status_code == 400
    assert not QuarantinedAddress.objects.exists()


def test_a_subscription_is_confirmed_by_a_person_and_by_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_args: Any, **_more: Any) -> None:
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr(socket, "create_connection", refuse)
    asked = sns({"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": "https://sns.example/confirm"})
    for _again in range(2):
        assert post("amazon_ses", asked).status_code == 200
    report = Report.objects.get()
    assert (report.state, report.kind, report.source) == (ReportState.BROKEN, ReportKind.OTHER, "amazon_ses")
    assert b"https://sns.example/confirm" in bytes(report.raw or b"")


def test_amazon_is_told_to_log_in_first() -> None:
    asked = sns({"Type": "UnsubscribeConfirmation"})
    bare = {name: value for name, value in asked.headers.items() if name != "Authorization"}
    answer = post("amazon_ses", replace(asked, headers=bare))
    assert (answer.status_code, answer["WWW-Authenticate"][:5]) == (401, "Basic")


# -- what leaves ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "header"),
    [
        ("amazon_ses", 'X-Metadata: {"campaign-id": "token@host"}'),
        ("postmark", "X-PM-Metadata-campaign-id: token@host"),
        ("sendgrid", 'X-SMTPAPI: {"unique_args":{"campaign-id": "token@host"}}'),
        ("sparkpost", 'X-MSYS-API: {"metadata":{"campaign-id": "token@host"}}'),
    ],
)
def test_a_message_carries_its_identifier_where_its_provider_returns_it(
    provider: str, header: str, settings: Any
) -> None:
    from deliveries.esp import tracking_headers

    settings.ESP = [provider]
    assert tracking_headers("<token@host>") == header + "\r\n"
    settings.ESP = ["resend"]
    assert tracking_headers("<token@host>") == ""


# -- the settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({}, []),
        ({"ESP": ["postmark", "pigeon"]}, ["campaign.E022"]),
        ({"ANYMAIL": {"WEBHOOK_SECRET": USER}, "ESP": ["postmark", "mailgun"]}, ["campaign.E023"]),
        ({"ANYMAIL": {"WEBHOOK_SECRET": "short:one"}, "ESP": ["postmark"]}, ["campaign.E024"]),
        ({"ANYMAIL": {"WEBHOOK_SECRET": "a-long-password-without-name"}, "ESP": ["postmark"]}, ["campaign.E024"]),
        ({"ESP_SNS_TOPICS": []}, ["campaign.E025"]),
        ({"ESP": []}, []),
    ],
)
def test_settings_that_would_refuse_every_event_are_told(
    changed: dict[str, Any], codes: list[str], settings: Any
) -> None:
    for name, value in changed.items():
        setattr(settings, name, value)
    assert [error.id for error in check_esp()] == codes


def test_a_missing_package_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from campaign import checks

    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    (error,) = check_esp()
    assert error.id == "campaign.E026"
    assert "requirements/esp.txt" in str(error.hint)
