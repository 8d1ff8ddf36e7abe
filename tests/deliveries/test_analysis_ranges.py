"""The ranges of an analysis: what one reads, and how its counts are added up."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deliveries import analysis, sql
from deliveries.models import (
    Addresses,
    Audience,
    Delivery,
    DeliveryLog,
    PeopleList,
    Reason,
    RunReason,
    Target,
    Typology,
)
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Source
from tests.factories import DeliveryFactory, ProfileFactory, ServiceFactory, add_address

pytestmark = pytest.mark.django_db


def scans(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each table that a plan reads, and the conditions on its rows; which of them an index serves depends on
    statistics, of which a database of tests has none that mean anything."""
    if "Relation Name" in plan:
        yield plan["Relation Name"], f"{plan.get('Index Cond', '')} {plan.get('Filter', '')}"
    for below in plan.get("Plans", []):
        yield from scans(below)


def deliver_to(target: Target, **fields: Any) -> Delivery:
    """Return a delivery whose target, rules and draws look into every table that an analysis may look into."""
    service = ServiceFactory()
    criteria = {
        "all": [
            {"field": "subscription", "op": "in", "value": [service.pk]},
            {"not": {"field": "email_domain", "op": "in", "value": ["example.net"]}},
            {"field": "received", "op": "not_last_days", "value": 7},
        ]
    }
    typology = Typology.objects.create(name="All kinds")
    typology.rules.create(kind="filtering", criteria=criteria)
    typology.rules.create(kind="fatigue", most=3, hours=72)
    audience = Audience.objects.create(name="A", criteria=criteria)
    return DeliveryFactory(
        service=service, target=target, typology=typology, audience=audience,
        people_list=PeopleList.objects.create(name="L"), control_percent=10, **fields,
    )  # fmt: skip


@pytest.mark.parametrize("addresses", list(Addresses))
@pytest.mark.parametrize("target", list(Target))
def test_a_range_reads_its_own_people_from_every_table_and_no_others(target: Target, addresses: Addresses) -> None:
    """A table that is joined is read between the bounds of the range; one that is looked into, for one person."""
    if connection.vendor != "postgresql":
        pytest.skip("about the plans of PostgreSQL")
    delivery = deliver_to(target, addresses=addresses)
    run = analysis.start(delivery, at=timezone.now())
    select, params = analysis._targeting(run).rows(1_000, 2_000).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {select}", params)
        [(explained,)] = cursor.fetchall()
    found = list(scans((json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"]))
    assert len(found) >= 8

    def is_bounded(condition: str) -> bool:
        return ("> 1000)" in condition and "<= 2000)" in condition) or "(profile_id = profiles_profile.id)" in condition

    assert [(table, condition) for table, condition in found if not is_bounded(condition)] == []


def test_counts_of_several_ranges_add_up(settings: Any, django_assert_max_num_queries: Any) -> None:
    settings.ANALYSIS_RANGE = 4
    people = [ProfileFactory(email="") for _ in range(10)]
    for number, person in enumerate(people):
        if number % 2:
            add_address(person, Channel.EMAIL, f"p{number}@example.org")
    evidence = Evidence(source=Source.OPERATOR, reason="asked")
    consent.opt_out([people[0].pk, people[1].pk, people[9].pk], channel=None, evidence=evidence, at=timezone.now())
    delivery = DeliveryFactory(target=Target.EVERYBODY)
    run = analysis.start(delivery, at=timezone.now())
    assert analysis._take(run, at=timezone.now())
    assert analysis.prepare(run)
    while run.upto < run.last_profile:
        with django_assert_max_num_queries(8):  # the savepoint and its release among them
            assert analysis.write_range(run)
    counters = {c.reason: (c.first, c.in_all) for c in RunReason.objects.filter(run=run)}
    assert counters == {Reason.ADDRESS_MISSING: (5, 5), Reason.BLACKLISTED: (2, 3)}
    assert DeliveryLog.objects.filter(run=run).count() == 10


def test_a_range_without_anybody_left_out_has_nothing_to_count(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        sql.add_counts(1, {})
