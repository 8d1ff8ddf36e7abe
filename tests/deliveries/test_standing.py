"""How people stand, rule by rule: the verdicts of the exclusions, each with what decided it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries import analysis, exclusions, explain, standing
from deliveries.exclusions import EXCLUSIONS, Exclusion
from deliveries.models import Audience, Delivery, DeliveryLog, LogStatus, MessageClass, Reason, RunRule, Target
from deliveries.standing import ChannelVerdict, Confirmations, Outcome
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import ConsentEvent, Profile, Source, Subscription
from quarantine.models import BlockedDomain, Cause
from tests.factories import (
    DeliveryFactory,
    ProfileFactory,
    QuarantinedAddressFactory,
    ServiceFactory,
    add_address,
)

pytestmark = pytest.mark.django_db
OPERATOR = Evidence(source=Source.OPERATOR, actor_name="Ada", reason="asked by phone")


def email_of(profile: Profile, **more: Any) -> ChannelVerdict:
    found = standing.channels([profile.pk], at=timezone.now(), **more)[profile.pk]
    return next(one for one in found if one.channel == Channel.EMAIL)


def opt_out(profile: Profile, channel: Channel | None = None) -> ConsentEvent:
    consent.opt_out([profile.pk], channel=channel, evidence=OPERATOR, at=timezone.now())
    return ConsentEvent.objects.latest("pk")


def analysed(delivery: Delivery) -> Delivery:
    analysis.start(delivery, at=timezone.now())
    while analysis.work(delivery.pk):
        pass
    delivery.refresh_from_db()
    return delivery


def outcomes(one: ChannelVerdict) -> dict[Reason, Outcome]:
    return {rule.reason: rule.outcome for rule in one.rules}


class TestEveryRule:
    def test_is_told_in_the_order_of_the_analysis_with_what_decided_those_that_apply(self) -> None:
        profile = ProfileFactory.create(email="zoe@example.org")
        event = opt_out(profile, Channel.EMAIL)
        entry = QuarantinedAddressFactory.create(value="zoe@example.org", cause=Cause.COMPLAINT)
        one = email_of(profile)
        assert [rule.reason for rule in one.rules] == [rule.reason for rule in EXCLUSIONS]
        applying = {rule.reason: rule.evidence for rule in one.rules if rule.applies}
        assert set(applying) == {Reason.BLACKLISTED_CHANNEL, Reason.QUARANTINED_COMPLAINT} == one.verdict.reasons
        told, left = applying[Reason.BLACKLISTED_CHANNEL], applying[Reason.QUARANTINED_COMPLAINT]
        assert told and (told.event, told.by) == (event.pk, "Ada")
        assert left and left.entry == entry.pk
        assert outcomes(one)[Reason.BLACKLISTED] == Outcome.DOES_NOT

    def test_of_opt_outs_is_not_judged_for_transactional_messages(self) -> None:
        profile = ProfileFactory.create()
        opt_out(profile)
        one = email_of(profile, message_class=MessageClass.TRANSACTIONAL)
        assert one.reachable
        assert outcomes(one)[Reason.BLACKLISTED] == Outcome.NOT_JUDGED
        assert outcomes(one)[Reason.ADDRESS_MISSING] == Outcome.DOES_NOT

    def test_that_is_added_to_the_exclusions_is_explained(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also one that depends on a delivery: it is judged where there is one."""
        rules = (*EXCLUSIONS, Exclusion(Reason.PROFILE_GONE, lambda by: Q(last_name="Zed")))
        monkeypatch.setattr(exclusions, "EXCLUSIONS", rules)
        monkeypatch.setattr(standing, "EXCLUSIONS", rules)
        service = ServiceFactory.create()
        zed, other = (ProfileFactory.create(last_name=name, services=[service]) for name in ("Zed", "Other"))
        assert [rule.reason for rule in email_of(zed).rules if rule.applies] == [Reason.PROFILE_GONE]
        assert outcomes(email_of(other))[Reason.PROFILE_GONE] == Outcome.DOES_NOT
        monkeypatch.setattr(standing, "OF_A_DELIVERY", frozenset({Reason.PROFILE_GONE}))
        assert outcomes(email_of(other))[Reason.PROFILE_GONE] == Outcome.NOT_JUDGED
        (one,) = standing.foreseen(DeliveryFactory.create(service=service), [other.pk], at=timezone.now())[other.pk]
        assert outcomes(one)[Reason.PROFILE_GONE] == Outcome.DOES_NOT

    def test_takes_as_many_queries_for_many_people_as_for_one(self) -> None:
        people = [ProfileFactory.create(email=f"p{number}@example.org") for number in range(5)]
        for profile in people:
            opt_out(profile)
            add_address(profile, Channel.EMAIL, f"more{profile.pk}@example.org")
            QuarantinedAddressFactory.create(value=f"more{profile.pk}@example.org")
            QuarantinedAddressFactory.create(value=str(profile.addresses.earliest("pk")))
        taken = []
        for some in ([people[0].pk], [profile.pk for profile in people]):
            with CaptureQueriesContext(connection) as captured:
                assert len(standing.channels(some, at=timezone.now())) == len(some)
            taken.append(len(captured))
        assert taken[0] == taken[1] <= 15


class TestConfirmations:
    def test_reach_who_opted_out(self) -> None:
        profile = ProfileFactory.create()
        opt_out(profile)
        assert email_of(profile).confirmations == Confirmations.REACH

    @pytest.mark.parametrize(
        ("cause", "expected"),
        [(Cause.BOUNCE, Confirmations.STOPPED), (Cause.PERSON, Confirmations.ASKED_FOR_ONLY)],
    )
    def test_stop_at_an_address_not_in_use_but_for_one_just_asked_for(
        self, cause: Cause, expected: Confirmations
    ) -> None:
        profile = ProfileFactory.create(email="zoe@example.org")
        QuarantinedAddressFactory.create(value="zoe@example.org", cause=cause)
        assert email_of(profile).confirmations == expected

    def test_do_not_reach_who_has_no_address(self) -> None:
        assert email_of(ProfileFactory.create(email="")).confirmations == Confirmations.STOPPED


def test_further_addresses_are_told_with_what_forbids_writing_to_them() -> None:
    profile = ProfileFactory.create(email="first@example.org")
    for value in ("second@example.org", "not an address", "third@bad.example", "fine@example.org"):
        add_address(profile, Channel.EMAIL, value)
    entry = QuarantinedAddressFactory.create(value="second@example.org", cause=Cause.STOP)
    BlockedDomain.objects.create(domain="bad.example", note="typing mistakes")
    one = email_of(profile)
    assert one.reachable
    against = {str(other.address): dict(other.against) for other in one.others}
    left = against["second@example.org"][Reason.QUARANTINED_STOP]
    assert left and left.entry == entry.pk
    assert list(against["not an address"]) == [Reason.ADDRESS_INVALID]
    blocked = against["third@bad.example"][Reason.BLOCKED_DOMAIN]
    assert blocked and blocked.note == "typing mistakes"
    assert against["fine@example.org"] == {}


def test_subdomains_are_blocked_only_where_the_entry_says_so() -> None:
    BlockedDomain.objects.create(domain="strict.example", subdomains=True)
    BlockedDomain.objects.create(domain="exact.example")
    values = ["a@mail.strict.example", "a@strict.example", "a@exact.example", "a@mail.exact.example", "a@x.example"]
    assert set(explain.blocked_domains(values)) == set(values[:3])


class TestOneDelivery:
    def test_that_is_analysed_tells_what_became_of_each(self) -> None:
        service = ServiceFactory.create()
        out, got = (ProfileFactory.create(services=[service]) for _ in range(2))
        event = opt_out(out)
        delivery = analysed(DeliveryFactory.create(service=service))
        found = standing.in_delivery(delivery, [out.pk, got.pk], at=timezone.now())
        (row,) = found[out.pk].rows
        assert (row.reason, row.evidence and row.evidence.event) == (Reason.BLACKLISTED, event.pk)
        assert [row.row.status for row in found[got.pk].rows] == [LogStatus.PENDING]
        assert found[got.pk].foreseen == ()

    def test_that_is_not_analysed_tells_what_would(self) -> None:
        service = ServiceFactory.create()
        out, would = (ProfileFactory.create(services=[service]) for _ in range(2))
        opt_out(out, Channel.EMAIL)
        delivery = DeliveryFactory.create(service=service)
        found = standing.in_delivery(delivery, [out.pk, would.pk], at=timezone.now())
        assert [one.verdict.reason for one in found[out.pk].foreseen] == [Reason.BLACKLISTED_CHANNEL]
        assert [one.reachable for one in found[would.pk].foreseen] == [True]
        assert not DeliveryLog.objects.exists()

    def test_that_is_not_analysed_foresees_who_gets_it_of_those_who_share_an_address(self) -> None:
        service = ServiceFactory.create()
        first, twin = (ProfileFactory.create(services=[service], email="both@example.org") for _ in range(2))
        found = standing.in_delivery(DeliveryFactory.create(service=service), [first.pk, twin.pk], at=timezone.now())
        assert [one.reachable for one in found[first.pk].foreseen] == [True]
        ((reason, evidence),) = found[twin.pk].foreseen[0].evidence
        assert (reason, evidence and evidence.profile) == (Reason.DUPLICATE, first.pk)

    def test_of_transactional_kind_foresees_that_it_reaches_who_opted_out(self) -> None:
        service = ServiceFactory.create()
        out = ProfileFactory.create(services=[service])
        opt_out(out)
        delivery = DeliveryFactory.create(service=service, message_class=MessageClass.TRANSACTIONAL)
        (one,) = standing.in_delivery(delivery, [out.pk], at=timezone.now())[out.pk].foreseen
        assert one.reachable

    def test_tells_why_somebody_was_not_subscribed(self) -> None:
        service, now = ServiceFactory.create(), timezone.now()
        left, later, ended, never = (ProfileFactory.create() for _ in range(4))
        consent.subscribe([left.pk], service, evidence=OPERATOR, at=now - timedelta(days=3))
        consent.unsubscribe([left.pk], service, evidence=OPERATOR, at=now - timedelta(days=2))
        Subscription.objects.create(service=service, profile=ended, source="import", expires_at=now - timedelta(days=1))
        delivery = analysed(DeliveryFactory.create(service=service))
        consent.subscribe([later.pk], service, evidence=OPERATOR, at=timezone.now() + timedelta(minutes=1))
        ids = [left.pk, later.pk, ended.pk, never.pk]
        found = standing.in_delivery(delivery, ids, at=timezone.now())
        assert not any(found[pk].targeted for pk in ids)
        told = {pk: found[pk].absent for pk in ids}
        assert all(told.values())
        assert [one.what for one in told.values() if one] == [
            "Unsubscribed", "Subscribed only later", "Subscription ended", "Not subscribed to this service",
        ]  # fmt: skip
        assert told[left.pk] == explain.of_event(ConsentEvent.objects.get(profile_id=left.pk, act="unsubscribe"))

    def test_to_everybody_tells_who_came_later(self) -> None:
        ProfileFactory.create()
        delivery = analysed(DeliveryFactory.create(target=Target.EVERYBODY))
        later = ProfileFactory.create()
        absent = standing.in_delivery(delivery, [later.pk], at=timezone.now())[later.pk].absent
        assert absent and absent.at == later.created_at

    def test_names_the_sending_rule_and_the_blocked_domain(self) -> None:
        service = ServiceFactory.create()
        people = [
            ProfileFactory.create(services=[service], email=email) for email in ("a@example.org", "b@bad.example")
        ]
        delivery = analysed(DeliveryFactory.create(service=service))
        BlockedDomain.objects.create(domain="bad.example")
        RunRule.objects.create(run=delivery.current_run, rule=7, reason=Reason.FILTERING_RULE, label="Not at Easter")
        log = DeliveryLog.objects.filter(run=delivery.current_run)
        log.filter(profile=people[0]).update(reason=Reason.FILTERING_RULE, rule=7, status=LogStatus.EXCLUDED)
        log.filter(profile=people[1]).update(reason=Reason.BLOCKED_DOMAIN, status=LogStatus.EXCLUDED)
        told = [one.evidence and one.evidence.what for one in explain.rows(delivery, log.order_by("profile"))]
        assert told == ["Not at Easter", "Nothing is sent to bad.example."]


def test_what_left_somebody_out_of_one_delivery_does_not_explain_another() -> None:
    """Opted out by email for the first, and left out for their address in the second."""
    service = ServiceFactory.create()
    profile = ProfileFactory.create(services=[service], email="zoe@example.org")
    entry = QuarantinedAddressFactory.create(value="zoe@example.org")
    analysed(DeliveryFactory.create(service=service))
    event = opt_out(profile, Channel.EMAIL)
    analysed(DeliveryFactory.create(service=service))
    newest, oldest = explain.history(profile.pk)
    assert (newest.reason, newest.evidence and newest.evidence.event) == (Reason.BLACKLISTED_CHANNEL, event.pk)
    assert (oldest.reason, oldest.evidence and oldest.evidence.entry) == (Reason.QUARANTINED_BOUNCE, entry.pk)


def test_history_is_not_cut_short_by_analyses_that_no_longer_count() -> None:
    service = ServiceFactory.create()
    profile = ProfileFactory.create(services=[service])
    old = analysed(DeliveryFactory.create(service=service, label="Old"))
    often = analysed(DeliveryFactory.create(service=service, label="Often"))
    for _again in range(5):
        Delivery.objects.filter(pk=often.pk).update(state="draft")
        often.refresh_from_db()
        analysed(often)
    assert [one.row.delivery_id for one in explain.history(profile.pk, limit=2)] == [often.pk, old.pk]


def test_an_audience_that_names_what_is_gone_is_said_instead_of_a_guess() -> None:
    profile = ProfileFactory.create()
    tree = {"field": "own:gone", "op": "is", "value": "x"}
    audience = Audience.objects.create(name="Broken", criteria=tree)
    delivery = DeliveryFactory.create(target=Target.AUDIENCE, audience=audience)
    became = standing.in_delivery(delivery, [profile.pk], at=timezone.now())[profile.pk]
    assert not became.targeted
    assert became.absent and became.absent.what != "Not in the audience “Broken”"
