"""What a run goes by stays what it was; what has changed since is noticed before anything is sent."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from deliveries import analysis, plan, reports, sending, typologies
from deliveries.criteria import CriteriaRefused
from deliveries.errors import NotReady
from deliveries.models import Audience, Delivery, DeliveryLog, LogStatus, Reason, State, Target, Typology, TypologyRule
from deliveries.plan import Plan
from profiles.models import CustomField, Service
from quarantine.models import BlockedDomain
from tests.deliveries.test_two_workers import Collector
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory

pytestmark = pytest.mark.django_db
FRENCH = {"field": "country", "op": "in", "value": ["FR"]}
GROWN_UP = {"field": "age", "op": "gte", "value": 18}


def people(service: Service, number: int = 4) -> None:
    for one in range(number):
        ProfileFactory.create(services=[service], country="FR" if one % 2 else "BE")


def analysed(**fields: Any) -> Delivery:
    delivery = DeliveryFactory.create(**fields)
    analysis.start(delivery, at=timezone.now())
    analysis.work(delivery.pk)
    return Delivery.objects.get(pk=delivery.pk)


def is_outdated(delivery: Delivery) -> bool:
    delivery = Delivery.objects.get(pk=delivery.pk)
    assert delivery.current_run is not None
    return plan.outdated(delivery.current_run, delivery, at=timezone.now())


def test_a_plan_survives_being_stored() -> None:
    typology = Typology.objects.create(name="Ours")
    typology.rules.create(kind="filtering", criteria=FRENCH, label="French")
    typology.rules.create(kind="fatigue", most=3, hours=72, channels=[1])
    audience = Audience.objects.create(name="Grown-ups", criteria=GROWN_UP)
    BlockedDomain.objects.create(domain="example.net", subdomains=True)
    delivery = analysed(
        target=Target.AUDIENCE, audience=audience, typology=typology, control_percent=Decimal("12.50"), size_limit=9
    )
    kept = Plan.of(delivery.current_run)
    assert kept == plan.make(Delivery.objects.get(pk=delivery.pk), at=timezone.now())
    assert (kept.control_parts, kept.limit, kept.blocked) == (1_250, 9, ("@example.net", ".example.net"))
    assert kept.labels == {rule.pk: rule.label for rule in typology.rules.all()}


def test_a_changed_audience_asks_for_another_analysis() -> None:
    audience = Audience.objects.create(name="French", criteria=FRENCH)
    people(ServiceFactory.create())
    delivery = analysed(target=Target.AUDIENCE, audience=audience)
    assert not is_outdated(delivery)
    Audience.objects.update(criteria={"not": FRENCH})
    assert is_outdated(delivery)
    with pytest.raises(NotReady, match="Analyse again"):
        sending.start(Delivery.objects.get(pk=delivery.pk), at=timezone.now())
    assert Delivery.objects.get(pk=delivery.pk).state == State.ANALYSED


def test_ranges_go_by_the_audience_as_it_was_when_the_run_began(settings: Any) -> None:
    settings.ANALYSIS_RANGE = 1
    audience = Audience.objects.create(name="French", criteria=FRENCH)
    people(ServiceFactory.create())
    delivery = DeliveryFactory.create(target=Target.AUDIENCE, audience=audience)
    run = analysis.start(delivery, at=timezone.now())
    assert analysis._take(run, at=timezone.now())
    assert analysis.prepare(run)
    assert analysis.write_range(run)
    Audience.objects.update(criteria={"not": FRENCH})
    while run.upto < run.last_profile:
        assert analysis.write_range(run)
    assert {row.profile.country for row in DeliveryLog.objects.filter(run=run).select_related("profile")} == {"FR"}


@pytest.mark.parametrize(
    "change", [{"criteria": GROWN_UP}, {"active": False}, {"only_channel": 2}], ids=lambda change: next(iter(change))
)
def test_a_changed_sending_rule_asks_for_another_analysis(change: dict[str, Any]) -> None:
    rule = typologies.default().rules.create(kind="filtering", criteria=FRENCH)
    delivery = analysed()
    assert not is_outdated(delivery)
    TypologyRule.objects.filter(pk=rule.pk).update(**change)
    assert is_outdated(delivery)


def test_messages_promised_meanwhile_ask_for_another_analysis_where_pressure_counts_them() -> None:
    service = ServiceFactory.create()
    people(service, 2)
    first, second = analysed(service=service), analysed(service=service)
    sending.start(first, at=timezone.now())
    assert not is_outdated(second)  # no rule counts them
    typologies.default().rules.create(kind="fatigue", most=1, hours=24)
    third = analysed(service=service)
    assert {row.reason for row in DeliveryLog.objects.filter(run=third.current_run)} == {Reason.FATIGUE_RULE}
    assert not is_outdated(third)
    sending.start(analysed(service=ServiceFactory.create()), at=timezone.now())
    assert is_outdated(third)


def test_a_rule_is_obeyed_by_the_deliveries_it_is_meant_for_only() -> None:
    service, other = ServiceFactory.create(), ServiceFactory.create()
    for one in (service, other):
        people(one, 2)
    typologies.default().rules.create(kind="filtering", criteria={"not": FRENCH}, only_service=service)
    assert analysed(service=service).current_run.rules.get().number == 1
    assert not analysed(service=other).current_run.rules.exists()


def test_criteria_that_name_a_field_which_is_gone_are_refused_before_anything_begins() -> None:
    CustomField.objects.create(name="points", kind="number")
    criteria = {"field": "attributes.points", "op": "gte", "value": 3}
    delivery = analysed(target=Target.AUDIENCE, audience=Audience.objects.create(name="Keen", criteria=criteria))
    CustomField.objects.all().delete()
    with pytest.raises(NotReady, match="points"):
        sending.start(delivery, at=timezone.now())
    with pytest.raises(CriteriaRefused, match="points"):
        analysis.start(delivery, at=timezone.now())
    assert Delivery.objects.get(pk=delivery.pk).state == State.ANALYSED


def test_a_domain_blocked_after_the_analysis_stops_its_messages_at_the_hand_off() -> None:
    service = ServiceFactory.create()
    ProfileFactory.create(services=[service], email="zoe@mail.example.net")
    ProfileFactory.create(services=[service], email="zoe@example.org")
    delivery = analysed(service=service)
    BlockedDomain.objects.create(domain="example.net", subdomains=True)
    assert not is_outdated(delivery)
    sending.start(delivery, at=timezone.now())
    transport = Collector()
    sending.work(delivery.pk, transport=transport)
    assert transport.sent == ["zoe@example.org"]
    stopped = DeliveryLog.objects.get(status=LogStatus.SUPPRESSED)
    assert (stopped.address, stopped.reason) == ("zoe@mail.example.net", Reason.BLOCKED_DOMAIN)


def test_a_blocked_domain_has_its_own_line_with_or_without_the_domains_below_it() -> None:
    service = ServiceFactory.create()
    addresses = ["a@exact.example", "b@mail.exact.example", "c@wide.example", "d@deep.mail.wide.example",
                 "e@notwide.example", "f@wide.example.org"]  # fmt: skip
    for address in addresses:
        ProfileFactory.create(services=[service], email=address)
    QuarantinedAddressFactory.create(value="c@wide.example")  # both forbid it: the quarantine comes first
    BlockedDomain.objects.create(domain="exact.example")
    BlockedDomain.objects.create(domain="wide.example", subdomains=True)
    run = analysed(service=service).current_run
    assert run is not None
    found = reports.waterfall(run)
    lines = {line.reason: (line.first, line.in_all) for line in found.lines if line.in_all}
    assert lines == {Reason.QUARANTINED_BOUNCE: (1, 1), Reason.BLOCKED_DOMAIN: (2, 3)}
    assert found.to_send == 3
    left_out = DeliveryLog.objects.filter(run=run, reason=Reason.BLOCKED_DOMAIN).values_list("address", flat=True)
    assert set(left_out) == {"a@exact.example", "d@deep.mail.wide.example"}


def test_the_default_rules_come_with_the_system_and_stay_as_people_made_them() -> None:
    usual = typologies.default()
    assert [rule.active for rule in usual.rules.all()] == [False]
    usual.rules.all().delete()
    typologies.install_default()
    assert not usual.rules.exists()
    assert Typology.objects.count() == 1
