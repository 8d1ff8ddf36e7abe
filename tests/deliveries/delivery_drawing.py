"""Drawn deliveries: people, what is known of their addresses, sending rules, messages sent before, and a target."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from deliveries.models import (
    Addresses,
    Audience,
    Delivery,
    DeliveryLog,
    ListMember,
    LogStatus,
    MessageClass,
    PeopleList,
    State,
    Target,
    Typology,
    TypologyRule,
)
from profiles.channels import Channel
from profiles.models import CustomField, Profile, Service, Subscription
from quarantine.models import BlockedDomain, Cause, Status
from tests.deliveries import criteria_drawing
from tests.factories import DeliveryFactory, ProfileFactory, QuarantinedAddressFactory, ServiceFactory, add_address

EMAILS = ["a@example.org", "A@example.org", "b@sub.example.org", "é@example.net", "not an address"]
PHONES = ["+33639980001", "06 39 98 00 01", "+33639980002"]
PERSON = st.fixed_dictionaries(
    {
        "known": criteria_drawing.KNOWN,
        "emails": st.lists(st.sampled_from(EMAILS), max_size=2, unique_by=str.casefold),
        "phones": st.lists(st.sampled_from(PHONES), max_size=1),
        "subscribed": st.sampled_from([None, "for good", "still", "over"]),
        "listed": st.booleans(),
        "flags": st.sets(st.sampled_from(["blacklisted", "blacklisted_email", "blacklisted_sms"]), max_size=1),
        "got": st.lists(st.tuples(st.integers(0, 2), st.sampled_from(list(LogStatus))), max_size=3),
    }
)
ENTRY = st.fixed_dictionaries(
    {
        "value": st.sampled_from(["a@example.org", "b@sub.example.org", "+33639980001", "z@example.org"]),
        "status": st.sampled_from(list(Status)),
        "cause": st.sampled_from(list(Cause)),
        "release": st.sampled_from([None, timedelta(days=1), timedelta(days=-1)]),
    }
)
FATIGUE = st.fixed_dictionaries(
    {
        "most": st.integers(0, 3),
        "own": st.booleans(),
        "hours": st.sampled_from([1, 72, 1000]),
        "channels": st.sampled_from([[], [int(Channel.EMAIL)], [int(Channel.SMS)]]),
        "active": st.sampled_from([True, True, False]),
        "only_channel": st.sampled_from([None, None, Channel.EMAIL]),
    }
)
# Other deliveries: how they stand, and when they reach people, counted from the moment of the analysis.
OTHER = st.tuples(
    st.sampled_from([State.FINISHED, State.SENDING, State.SCHEDULED, State.ANALYSED]),
    st.sampled_from([timedelta(0), timedelta(hours=-72), timedelta(hours=30), timedelta(days=-10)]),
    st.sampled_from([Channel.EMAIL, Channel.SMS]),
    st.sampled_from([MessageClass.MARKETING, MessageClass.MARKETING, MessageClass.TRANSACTIONAL]),
)
SETTINGS = st.fixed_dictionaries(
    {
        "channel": st.sampled_from([Channel.EMAIL, Channel.EMAIL, Channel.SMS]),
        "target": st.sampled_from(list(Target)),
        "message_class": st.sampled_from([MessageClass.MARKETING, MessageClass.MARKETING, MessageClass.TRANSACTIONAL]),
        "addresses": st.sampled_from(list(Addresses)),
        "control": st.sampled_from([{}, {}, {"control_percent": "33.33"}, {"control_count": 1}, {"control_count": 9}]),
        "size_limit": st.sampled_from([None, None, 0, 1, 3]),
        "salt": st.integers(1, 2**31 - 2),
        "scheduled": st.sampled_from([None, timedelta(hours=50)]),
    }
)


def populate(people: list[dict[str, Any]], entries: list[dict[str, Any]], service: Service, at: datetime) -> None:
    """Make people and what is known of addresses."""
    criteria_drawing.declare()
    on_list = PeopleList.objects.create(name="Drawn")
    for number, drawn in enumerate(people):
        known = {**drawn["known"], "external_id": None}
        person = ProfileFactory.create(email="", **known, **dict.fromkeys(drawn["flags"], True))
        for channel, values in ((Channel.EMAIL, drawn["emails"]), (Channel.SMS, drawn["phones"])):
            for value in values:
                add_address(person, channel, value)
        if drawn["subscribed"]:
            expires = {"for good": None, "still": at + timedelta(days=1), "over": at - timedelta(days=1)}
            Subscription.objects.create(
                service=service, profile=person, source="import", expires_at=expires[drawn["subscribed"]]
            )
        if drawn["listed"]:
            ListMember.objects.create(people_list=on_list, profile=person)
        Profile.objects.filter(pk=person.pk).update(created_at=at - timedelta(days=number))
    for drawn in {entry["value"]: entry for entry in entries}.values():
        channel = Channel.EMAIL if "@" in drawn["value"] else Channel.SMS
        QuarantinedAddressFactory.create(
            channel=channel, value=drawn["value"], status=drawn["status"], cause=drawn["cause"],
            release_at=at + drawn["release"] if drawn["release"] else None,
        )  # fmt: skip


def send_before(others: list[Any], people: list[dict[str, Any]], at: datetime) -> None:
    """Make other deliveries, and the rows of their runs that the people drew."""
    made = []
    for state, when, channel, message_class in others:
        other = DeliveryFactory.create(contents=False, channel=channel, message_class=message_class, target="everybody")
        run = other.runs.create(number=1, delivery_version=1, at=at, state="done")
        dates = {"scheduled_at": at + when, "approved": 1} if state == State.SCHEDULED else {"started_at": at + when}
        Delivery.objects.filter(pk=other.pk).update(state=state, current_run=run, **dates)
        made.append((other, run))
    persons = list(Profile.objects.order_by("pk"))
    for person, drawn in zip(persons, people, strict=True):
        for position, (which, status) in enumerate(drawn["got"], 1):
            if which < len(made):
                other, run = made[which]
                DeliveryLog.objects.create(
                    run=run, delivery=other, profile=person, position=position, status=status, finished_at=at
                )


def rules(filtering: list[Any], fatigue: list[dict[str, Any]]) -> Typology:
    """Make a set of sending rules."""
    typology = Typology.objects.create(name="Drawn")
    for place, (criteria, active) in enumerate(filtering):
        TypologyRule.objects.create(
            typology=typology, kind="filtering", criteria=criteria, active=active, place=place, label=f"Rule {place}"
        )
    points = CustomField.objects.get(name="points")
    for drawn in fatigue:
        fields = {name: value for name, value in drawn.items() if name != "own"}
        TypologyRule.objects.create(
            typology=typology, kind="fatigue", most_field=points if drawn["own"] else None, label="Pressure", **fields
        )
    return typology


def delivery(
    drawn: dict[str, Any], service: Service, criteria: Any, typology: Typology | None, at: datetime
) -> Delivery:
    """Make the delivery to analyse."""
    made: Delivery = DeliveryFactory.create(
        service=service, channel=drawn["channel"], target=drawn["target"], message_class=drawn["message_class"],
        addresses=drawn["addresses"], audience=Audience.objects.create(name="Drawn", criteria=criteria),
        people_list=PeopleList.objects.get(name="Drawn"), typology=typology, size_limit=drawn["size_limit"],
        salt=drawn["salt"], scheduled_at=at + drawn["scheduled"] if drawn["scheduled"] else None, contents=False,
        **drawn["control"],
    )  # fmt: skip
    made.refresh_from_db()
    return made


def block(domains: list[tuple[str, bool]]) -> None:
    for domain, subdomains in domains:
        BlockedDomain.objects.create(domain=domain, subdomains=subdomains)


def service(channel: Channel) -> Service:
    made: Service = ServiceFactory.create(channel=channel)
    return made
