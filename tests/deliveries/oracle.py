"""The exclusions again, in plain Python: slow, obvious, and compared with the SQL."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from deliveries.models import (
    Addresses,
    Delivery,
    DeliveryLog,
    LogStatus,
    MessageClass,
    Reason,
    State,
    Target,
    Typology,
    TypologyRule,
)
from profiles.addresses import Validity
from profiles.channels import Channel
from profiles.models import Address, Profile
from quarantine.models import BlockedDomain, QuarantinedAddress
from tests.deliveries import criteria_oracle

CAUSES = {1: 5, 2: 6, 3: 7, 4: 8, 5: 9, 6: 10}
PRIME = 2**31 - 1


@dataclass
class Judged:
    """What the oracle says of one address: the reason, all reasons, and the sending rule that counts."""

    reason: Reason
    reasons: frozenset[Reason]
    rule: int | None = None


def judge(delivery: Delivery, at: datetime) -> dict[tuple[int, int], Judged]:
    """Return (profile id, position) → what is said of it, for every address targeted."""
    result: dict[tuple[int, int], Judged] = {}
    taken: set[bytes] = set()
    for person in Profile.objects.order_by("pk"):
        if not _is_targeted(person, delivery, at):
            continue
        held = list(person.addresses.filter(channel=delivery.channel).order_by("position"))
        if delivery.addresses == Addresses.PRIMARY:
            held = [one for one in held if one.position == 1]
        for address in held or [None]:
            found = _independent(person, address, delivery, at)
            if not found.reasons:
                found = _among_survivors(person, address, delivery, at, taken)
            result[person.pk, address.position if address else 1] = found
    _draw(result, delivery)
    return result


def _is_targeted(person: Profile, delivery: Delivery, at: datetime) -> bool:
    match delivery.target:
        case Target.SERVICE:
            rows = person.subscriptions.filter(service=delivery.service)
            return any(row.expires_at is None or row.expires_at > at for row in rows)
        case Target.AUDIENCE:
            return criteria_oracle.meets(delivery.audience.criteria, person, at)
        case Target.LIST:
            return person.list_memberships.filter(people_list=delivery.people_list).exists()
    return True


def _independent(person: Profile, address: Address | None, delivery: Delivery, at: datetime) -> Judged:
    channel, reasons, rule = Channel(delivery.channel), set(), None
    marketing = delivery.message_class == MessageClass.MARKETING
    if address is None:
        reasons.add(Reason.ADDRESS_MISSING)
    elif address.validity == Validity.INVALID:
        reasons.add(Reason.ADDRESS_INVALID)
    if marketing and person.blacklisted:
        reasons.add(Reason.BLACKLISTED)
    if marketing and getattr(person, f"blacklisted_{channel.slug}"):
        reasons.add(Reason.BLACKLISTED_CHANNEL)
    if address is not None:
        for entry in QuarantinedAddress.objects.all():
            same = (entry.channel, bytes(entry.digest)) == (channel, bytes(address.digest))
            if same and entry.is_blocking(at):
                reasons.add(Reason(CAUSES[entry.cause]))
        if channel == Channel.EMAIL:
            domain = address.key.rpartition("@")[2]
            for blocked in BlockedDomain.objects.all():
                if domain == blocked.domain or (blocked.subdomains and domain.endswith("." + blocked.domain)):
                    reasons.add(Reason.BLOCKED_DOMAIN)
            if not settings.EMAIL_SMTPUTF8 and not address.key.isascii():
                reasons.add(Reason.ENCODING)
    if marketing:
        for one in rules(delivery, "filtering"):
            if criteria_oracle.constant(one.criteria) is not True and criteria_oracle.meets(one.criteria, person, at):
                reasons.add(Reason.FILTERING_RULE)
                rule = rule or one.pk
    reason = min(reasons, default=Reason.NONE)
    return Judged(reason, frozenset(reasons), rule if reason == Reason.FILTERING_RULE else None)


def _among_survivors(person: Profile, address: Address, delivery: Delivery, at: datetime, taken: set[bytes]) -> Judged:
    if delivery.message_class == MessageClass.MARKETING:
        for rule in rules(delivery, "fatigue"):
            most = rule.most
            if rule.most_field:
                own = person.attributes.get(rule.most_field.name)
                most = own if isinstance(own, int | float) and not isinstance(own, bool) else most
            if _got(person, rule, delivery, at) >= most:
                return Judged(Reason.FATIGUE_RULE, frozenset([Reason.FATIGUE_RULE]), rule.pk)
    if bytes(address.digest) in taken:
        return Judged(Reason.DUPLICATE, frozenset([Reason.DUPLICATE]))
    taken.add(bytes(address.digest))
    return Judged(Reason.NONE, frozenset())


def _got(person: Profile, rule: TypologyRule, delivery: Delivery, at: datetime) -> int:
    """Return the most messages that any window of the rule holds, of those that hold the contact date."""
    contact, window = delivery.scheduled_at or at, timedelta(hours=rule.hours)
    dates: list[datetime] = []
    for other in Delivery.objects.exclude(pk=delivery.pk).filter(message_class=MessageClass.MARKETING):
        date = other.scheduled_at if other.state == State.SCHEDULED else other.started_at
        planned = other.state in ("scheduled", "sending", "paused", "stopping", "stopped", "finished")
        if planned and date is not None and (not rule.channels or other.channel in rule.channels):
            counted = ("PENDING", "HANDING_OFF", "RETRY", "SENT", "IN_DOUBT")
            rows = DeliveryLog.objects.filter(run=other.current_run, profile=person)
            dates += [date for row in rows if LogStatus(row.status).name in counted]
    starts = [start for date in (*dates, contact) for start in (date, date - window)]
    holding = [start for start in starts if start <= contact <= start + window]
    return max(sum(start <= date <= start + window for date in dates) for start in holding)


def rules(delivery: Delivery, kind: str) -> list[TypologyRule]:
    typology = delivery.typology or Typology.objects.get(is_default=True)
    return [
        rule
        for rule in sorted(typology.rules.all(), key=lambda rule: (rule.place, rule.pk))
        if rule.kind == kind
        and rule.active
        and rule.only_channel in (None, delivery.channel)
        and rule.only_service_id in (None, delivery.service_id)
        and rule.only_brand_id in (None, delivery.brand_id)
    ]


def _draw(result: dict[tuple[int, int], Judged], delivery: Delivery) -> None:
    """Take out the control group, then whoever is beyond the size limit."""

    def survivors() -> list[tuple[int, int]]:
        return [key for key, found in result.items() if not found.reasons]

    def leave_out(keys: list[tuple[int, int]], reason: Reason) -> None:
        for key in keys:
            result[key] = Judged(reason, frozenset([reason]))

    def number(key: tuple[int, int]) -> int:
        return (key[0] + delivery.salt) ** 5 % PRIME

    if delivery.control_percent:
        below = PRIME * int(delivery.control_percent * 100) // 10_000
        leave_out([key for key in survivors() if number(key) < below], Reason.CONTROL_GROUP)
    if delivery.control_count:
        people = sorted({key[0]: number(key) for key in survivors()}.items(), key=lambda pair: pair[1])
        drawn = {profile for profile, _number in people[: delivery.control_count]}
        leave_out([key for key in survivors() if key[0] in drawn], Reason.CONTROL_GROUP)
    if delivery.size_limit is not None:
        second = delivery.salt * 48_271 % PRIME
        order = sorted(survivors(), key=lambda key: ((key[0] + second) ** 5 % PRIME, key[1]))
        leave_out(order[delivery.size_limit :], Reason.SIZE_LIMIT)
