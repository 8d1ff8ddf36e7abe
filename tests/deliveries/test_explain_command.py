"""The command that says why a person will or won't get it: the same verdicts as the analysis, with their evidence."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries import analysis
from deliveries.exclusions import EXCLUSIONS
from deliveries.management.commands import explain
from deliveries.models import Delivery, DeliveryLog, LogStatus, Reason
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import ConsentEvent, Profile, Source
from quarantine.escalation import Target, quarantine
from quarantine.models import Cause, QuarantinedAddress
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory, add_address

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(capsys: Any) -> Any:
    """Run the command and return what it prints."""

    def run(*words: Any) -> str:
        call_command("explain", *map(str, words))
        return str(capsys.readouterr().out)

    return run


@pytest.fixture
def answered(told: Any) -> Any:
    """Run the command with --json and return the object."""
    return lambda *words: json.loads(told(*words, "--json"))


def analysed(delivery: Delivery) -> Delivery:
    analysis.start(delivery, at=timezone.now())
    while analysis.work(delivery.pk):
        pass
    delivery.refresh_from_db()
    return delivery


def opt_out(profile: Profile, channel: Channel | None = None) -> ConsentEvent:
    evidence = Evidence(source=Source.OPERATOR, actor_name="Ada", reason="asked by phone")
    consent.opt_out([profile.pk], channel=channel, evidence=evidence, at=timezone.now())
    return ConsentEvent.objects.latest("pk")


def email_of(found: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in found["channels"] if one["channel"] == "email")


def test_a_person_who_opted_out_is_shown_with_the_event(told: Any) -> None:
    profile = ProfileFactory.create(external_id="C-7", email="zoe@example.org", sms="+33639980001")
    event = opt_out(profile, Channel.EMAIL)
    for who in ("Zoe@EXAMPLE.org", "06 39 98 00 01", "C-7", profile.pk):
        out = told(who)
        assert "Email zoe@example.org: cannot be written to\n    - Opted out of this channel" in out
        assert f"by Ada, “asked by phone”, event {event.pk}" in out
        assert "SMS +33639980001: can be written to" in out


def test_every_rule_that_forbids_is_told_in_order(answered: Any) -> None:
    profile = ProfileFactory.create(email="zoe@example.org")
    QuarantinedAddressFactory.create(value="zoe@example.org")
    opt_out(profile, Channel.EMAIL)
    opt_out(profile)
    reasons = [one["reason"] for one in email_of(answered(profile.pk)["profiles"][0])["reasons"]]
    assert reasons == ["blacklisted", "blacklisted_channel", "quarantined_bounce"]


def test_an_address_left_out_is_told_with_who_did_it_and_why(answered: Any) -> None:
    profile = ProfileFactory.create(email="zoe@example.org")
    address = profile.addresses.get()
    target = Target(Channel.EMAIL, bytes(address.digest), address.value, address.key)
    evidence = Evidence(source=Source.OPERATOR, actor_name="Ada", reason="wrong person")
    quarantine([target], cause=Cause.OPERATOR, evidence=evidence, at=timezone.now())
    found = answered("zoe@example.org")
    (rule,) = email_of(found["profiles"][0])["reasons"]
    assert rule["reason"] == "quarantined_operator"
    assert (rule["evidence"]["by"], rule["evidence"]["note"]) == ("Ada", "wrong person")
    assert rule["evidence"]["entry"] == QuarantinedAddress.objects.get().pk
    assert rule["evidence"] == found["left_out"][0]["evidence"]


def test_a_second_address_that_is_left_out_is_told_although_the_first_can_be_written_to(told: Any) -> None:
    profile = ProfileFactory.create(email="zoe@example.org")
    add_address(profile, Channel.EMAIL, "old@example.org")
    QuarantinedAddressFactory.create(value="old@example.org")
    out = told("old@example.org")
    assert "Email old@example.org is left out, whoever has it" in out
    assert "Email zoe@example.org: can be written to" in out


def test_everybody_with_the_address_is_listed_up_to_a_limit(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [ProfileFactory.create(email="both@example.org") for _ in range(2)]
    out = told("both@example.org")
    assert all(f"Profile {one.pk}:" in out for one in people)
    assert "There are more" not in out
    monkeypatch.setattr(explain, "LIMIT", 1)
    out = told("both@example.org")
    assert f"Profile {people[1].pk}:" not in out
    assert "only the first 1 profiles" in out


def test_an_address_that_nobody_has_is_explained_when_it_is_left_out(told: Any) -> None:
    QuarantinedAddressFactory.create(value="gone@example.org", cause=Cause.COMPLAINT)
    out = told("Gone@example.org")
    assert "Email gone@example.org is left out" in out
    assert "Complaint" in out
    assert "Nobody has this address now." in out


def test_a_delivery_is_told_for_who_is_left_out_who_got_it_and_who_was_not_meant(told: Any) -> None:
    service = ServiceFactory.create()
    left, sent = (ProfileFactory.create(services=[service]) for _ in range(2))
    stranger = ProfileFactory.create()
    event = opt_out(left)
    delivery = analysed(DeliveryFactory.create(service=service, label="Spring"))
    now = timezone.now()
    DeliveryLog.objects.filter(profile=sent).update(status=LogStatus.SENT, finished_at=now, answer="250 ok")
    out = told(left.pk, "--delivery", delivery.pk)
    row = out[out.index("“Spring”, analysis 1") :]
    assert "Left out\n    - Opted out of everything" in row
    assert f"event {event.pk}" in row
    out = told(sent.pk, "--delivery", "Spring")
    assert f"“Spring”, analysis 1 {sent.addresses.get()}: Sent, " in out
    assert "“250 ok”" in out
    assert "not among the people targeted" in told(stranger.pk, "--delivery", delivery.pk)


def test_json_has_stable_names(answered: Any) -> None:
    service = ServiceFactory.create()
    profile = ProfileFactory.create(services=[service])
    event = opt_out(profile)
    delivery = analysed(DeliveryFactory.create(service=service))
    found = answered(profile.pk, "--delivery", delivery.pk)
    assert set(found) == {"at", "delivery", "left_out", "profiles", "more"}
    assert found["delivery"] == {"id": delivery.pk, "name": delivery.label, "analysis": 1}
    (person,) = found["profiles"]
    assert set(person) == {"id", "external_id", "name", "channels", "targeted", "absent", "foreseen", "messages"}
    assert [one["channel"] for one in person["channels"]] == ["email", "sms", "push", "direct_mail", "phone"]
    names = {"channel", "address", "reachable", "confirmations", "reasons", "rules", "others"}
    assert set(person["channels"][0]) == names
    assert person["channels"][0]["confirmations"] == "reach"
    rules = {one["rule"]: one["verdict"] for one in person["channels"][0]["rules"]}
    assert list(rules) == [one.reason.name.lower() for one in EXCLUSIONS]
    assert {name for name, said in rules.items() if said == "applies"} == {"blacklisted"}
    (message,) = person["messages"]
    assert set(message) == {"id", "address", "status", "reason", "at", "answer", "evidence"}
    assert (message["status"], message["reason"]) == ("excluded", "blacklisted")
    assert set(message["evidence"]) == {"what", "at", "source", "by", "note", "profile", "entry", "event"}
    assert (message["evidence"]["event"], message["evidence"]["at"]) == (event.pk, event.at.isoformat())
    assert "messages" not in answered(profile.pk)["profiles"][0]


def test_what_cannot_be_told_says_what_to_do() -> None:
    profile = ProfileFactory.create()
    for nobody in ("nobody@example.org", "99999999", "9" * 40, "", "C-0"):
        with pytest.raises(CommandError, match="Give a whole email address"):
            call_command("explain", nobody)
    with pytest.raises(CommandError, match="0 deliveries are called"):
        call_command("explain", str(profile.pk), "--delivery", "99999999")


def test_it_agrees_with_the_analysis_about_everybody(answered: Any) -> None:
    service = ServiceFactory.create()
    emails = ["a@example.org", "b@example.org", "c@example.org", "d@example.org", "not an address", ""]
    people = [ProfileFactory.create(services=[service], email=email) for email in emails]
    opt_out(people[1])
    opt_out(people[2], Channel.EMAIL)
    opt_out(people[4])
    for value, cause in (("c@example.org", Cause.PERSON), ("d@example.org", Cause.BOUNCE)):
        QuarantinedAddressFactory.create(value=value, cause=cause)
    delivery = analysed(DeliveryFactory.create(service=service))
    log = {row.profile_id: Reason(row.reason).name.lower() for row in DeliveryLog.objects.filter(delivery=delivery)}
    told = {}
    for one in people:
        (person,) = answered(one.pk, "--delivery", delivery.pk)["profiles"]
        first = [rule["reason"] for rule in email_of(person)["reasons"]][:1]
        told[one.pk] = first[0] if first else "none"
        assert [message["reason"] for message in person["messages"]] == [told[one.pk]]
    assert told == log
    assert len(set(log.values())) == 6


def test_several_people_take_as_many_queries_as_one(answered: Any) -> None:
    service = ServiceFactory.create()
    delivery = DeliveryFactory.create(service=service)
    for number, address in ((1, "one@example.org"), (2, "two@example.org"), (3, "three@example.org")):
        for _ in range(number):
            opt_out(ProfileFactory.create(services=[service], email=address))
    analysed(delivery)
    taken = []
    for address in ("one@example.org", "two@example.org", "three@example.org"):
        with CaptureQueriesContext(connection) as captured:
            answered(address, "--delivery", delivery.pk)
        taken.append(len(captured))
    assert taken[2] == taken[1] == taken[0] <= 26
