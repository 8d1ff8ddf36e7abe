"""Notice opt-outs that machines may have made: many of one mail domain, each within seconds of its own message.

    watch(at)       look at the latest opt-outs by links; note bursts (see OptOutBurst)

Some mail filters open every link of a message, and press what they find, before they let it through. Nothing tells one
such press from that of a person who is quick. What tells them is their number: people of one organisation do not all
leave within two minutes. So a burst is noted, a human looks, and `restoring` gives back what they decide to.

A run reads the opt-outs of the last hour again, whatever it has read before: an event that commits late
is not missed, whatever its number, and one row per delivery and domain is all that a second look can make.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max, Q

from deliveries.models import DeliveryLog, Lease, LogStatus
from profiles.addresses import domain, read
from profiles.channels import Channel
from profiles.models import Act, Address, ConsentEvent, Source

from .models import OptOutBurst

State = OptOutBurst.State
LOOK_BACK = timedelta(hours=1)  # outlasts a worker that was stopped for a while, and a slow sending
CHUNK, AT_MOST = 2_000, 50_000  # events read at once, and in one run
SHOWN = 2_000  # events that a page looks at
PRESSES = (Act.OPT_OUT, Act.UNSUBSCRIBE)
# "Never write to this address again" is one press with two events: the opt-out, and the address left out.
BESIDE = (Act.QUARANTINE,)
BY_LINK = (Source.ONE_CLICK, Source.LANDING_PAGE)
Messages = dict[tuple[int, int | bytes], DeliveryLog]  # (delivery, profile or digest) → the message that left
_COLUMNS = ("at", "act", "profile_id", "digest", "delivery_id", "delivery_name", "source")


@dataclass(slots=True)
class Group:
    """The quick opt-outs of one delivery and mail domain: events, by the digest of the address written to."""

    delivery: int
    domain: str
    name: str = ""
    events: dict[bytes, list[ConsentEvent]] = field(default_factory=dict)
    runs: set[int] = field(default_factory=set)
    spellings: set[str] = field(default_factory=set)  # of the domain, as typed
    within: int = 0

    def add(self, event: ConsentEvent, row: DeliveryLog, digest: bytes, seconds: int) -> None:
        self.name = event.delivery_name or self.name
        self.events.setdefault(digest, []).append(event)
        self.runs.add(row.run_id)
        self.spellings |= {self.domain, row.address.rpartition("@")[2].lower()}
        self.within = max(self.within, seconds)

    def without(self, known: Collection[int]) -> dict[bytes, list[int]]:
        """Return the people, with their events, who have none among those known."""
        found = {digest: [event.pk for event in events] for digest, events in self.events.items()}
        return {digest: ids for digest, ids in found.items() if not set(ids) & set(known)}

    @property
    def numbers(self) -> list[int]:
        return sorted(event.pk for events in self.events.values() for event in events)

    @property
    def moments(self) -> list[datetime]:
        return [event.at for events in self.events.values() for event in events]


def watch(at: datetime) -> int:
    """Note the bursts of the last minutes; return how many are new.

    The number of queries grows with the number of delivery-and-domain pairs that may be a new burst, not with that of
    events (each 2,000 of them cost a few more).
    """
    groups = _groups(_recent(at - LOOK_BACK))
    known = {
        (row.delivery_id, row.domain): row
        for row in OptOutBurst.objects.filter(delivery_id__in={group.delivery for group in groups})
    }
    return sum(_note(group, known.get((group.delivery, group.domain))) for group in groups)


def _recent(since: datetime) -> list[ConsentEvent]:
    """Return the opt-outs by links since a moment, read backwards along their index until older ones come."""
    found: list[ConsentEvent] = []
    before: int | None = None
    read_so_far = 0
    while read_so_far < AT_MOST:
        # What else is asked for is sorted out below: the index knows only which events a delivery led to.
        rows = ConsentEvent.objects.filter(delivery_id__isnull=False, **({"pk__lt": before} if before else {}))
        chunk = list(rows.order_by("-pk").only(*_COLUMNS)[:CHUNK])
        read_so_far += len(chunk)
        found += [row for row in chunk if row.at >= since and row.source in BY_LINK and row.act in PRESSES + BESIDE]
        if len(chunk) < CHUNK or any(row.at < since for row in chunk):
            break
        before = chunk[-1].pk
    return found


def _groups(events: Sequence[ConsentEvent]) -> list[Group]:
    """Return the opt-outs that came within seconds of their own message, by delivery and domain."""
    messages = _messages({(e.delivery_id or 0, e.profile_id) for e in events if e.profile_id and e.act in PRESSES})
    by_digest: Messages = {(row.delivery_id, bytes(row.digest or b"")): row for row in messages.values()}
    groups: dict[tuple[int, str], Group] = {}
    for event in sorted(events, key=lambda event: event.act in BESIDE):  # what is beside a press comes after it
        delivery, beside = event.delivery_id or 0, event.act in BESIDE
        known = by_digest if beside else messages
        row = known.get((delivery, bytes(event.digest or b"") if beside else event.profile_id or 0))
        if row is None or row.finished_at is None:
            continue
        seconds = max(0, math.ceil((event.at - row.finished_at).total_seconds()))
        host, digest = domain(read(Channel.EMAIL, row.address).key), bytes(row.digest or b"")
        if not host or seconds > settings.BURST_SECONDS:
            continue
        group = groups.setdefault((delivery, host), Group(delivery, host))
        if not beside or digest in group.events:
            group.add(event, row, digest, seconds)
    return [group for group in groups.values() if group.events]


def _messages(pairs: Collection[tuple[int, int]]) -> Messages:
    """Return (delivery, profile) → the message whose press opted the profile out, where it is known.

    It is the profile's own, as a rule. A press opts out everybody who has the address, though, and the message may
    have been that of another of them.
    """
    own: Messages = {(row.delivery_id, row.profile_id): row for row in _rows(pairs)}
    lacking = {pair for pair in pairs if pair not in own}
    if not lacking:
        return own
    held: dict[int, list[bytes]] = {}
    addresses = Address.objects.filter(channel=Channel.EMAIL, profile__in={profile for _d, profile in lacking})
    for profile, digest in addresses.order_by("position").values_list("profile_id", "digest"):
        held.setdefault(profile, []).append(bytes(digest))
    holders = Address.objects.with_digests({digest for digests in held.values() for digest in digests})
    others = {(delivery, holder) for holder in holders.values_list("profile_id", flat=True) for delivery, _p in lacking}
    theirs = {(row.delivery_id, bytes(row.digest or b"")): row for row in [*_rows(others), *own.values()]}
    for delivery, profile in lacking:
        found = (theirs.get((delivery, digest)) for digest in held.get(profile, ()))
        if row := next((row for row in found if row), None):
            own[delivery, profile] = row
    return own


def _rows(pairs: Collection[tuple[int, int]]) -> list[DeliveryLog]:
    """Return the messages that left in these deliveries for these profiles, along the index by profile."""
    wanted, found = sorted({profile for _delivery, profile in pairs}), []
    deliveries = {delivery for delivery, _profile in pairs}
    for start in range(0, len(wanted), CHUNK):
        rows = DeliveryLog.objects.filter(
            profile__in=wanted[start : start + CHUNK], delivery__in=deliveries, status=LogStatus.SENT
        )
        found += [row for row in rows.order_by("pk") if (row.delivery_id, row.profile_id) in pairs]
    return found


def _note(group: Group, known: OptOutBurst | None) -> int:
    """Make or update the row of a group; return 1 when it has something new to look at."""
    if known is None:
        return _begin(group)
    fresh = sorted(set(group.numbers) - set(known.events))
    people = group.without(known.events)
    if not fresh or known.state not in (State.NEW, State.RESTORED):
        return 0
    again = known.state == State.RESTORED
    if again and len(people) < settings.BURST_MIN:
        return 0
    changes = {
        "events": [*known.events, *fresh], "last_at": max(known.last_at, *group.moments),
        "first_at": min(group.moments) if again else min(known.first_at, *group.moments),
        "within": group.within if again else max(known.within, group.within),
        "people": len(people) if again else known.people + len(people),
        **({"settled": known.events, "state": State.NEW} if again else {}),
    }  # fmt: skip
    changed = OptOutBurst.objects.filter(pk=known.pk, state=known.state).update(**changes)
    return changed if again else 0


def _begin(group: Group) -> int:
    people = len(group.events)
    if people < settings.BURST_MIN:
        return 0
    enough = math.floor(people / settings.BURST_SHARE)
    sent = _sent_to(group, at_most=enough + 1)
    if sent > enough:
        return 0
    _row, new = OptOutBurst.objects.get_or_create(
        delivery_id=group.delivery, domain=group.domain[:254],
        defaults={
            "delivery_name": group.name, "first_at": min(group.moments), "last_at": max(group.moments),
            "events": group.numbers, "people": people, "within": group.within,
            "share": min(100, round(100 * people / max(sent, people))),
        },
    )  # fmt: skip
    return int(new)


def _sent_to(group: Group, *, at_most: int) -> int:
    """Count the messages that left for the domain, up to a number: rarely more than a part of the run is read."""
    reached = Lease.objects.filter(run__in=group.runs, sent__gt=0).aggregate(last=Max("upto_profile"))["last"] or 0
    there = Q()
    for spelling in sorted(group.spellings):
        there |= Q(address__iendswith=f"@{spelling}")
    rows = DeliveryLog.objects.filter(there, run__in=group.runs, profile__lte=reached, status=LogStatus.SENT)
    return len(rows.values_list("pk", flat=True)[:at_most])


@dataclass(frozen=True, slots=True)
class Press:
    """The first opt-out of one person of a burst, and the message that led to it."""

    address: str
    left_at: datetime
    seconds: int
    event: ConsentEvent


def presses(burst: OptOutBurst) -> list[Press]:
    """Return the opt-outs of a burst as far as a page shows them, the quickest first. A few queries."""
    events = ConsentEvent.objects.filter(pk__in=burst.events[-SHOWN:], act__in=PRESSES).order_by("pk")
    own = {event.pk: (event.delivery_id or 0, event.profile_id or 0) for event in events}
    messages = _messages(set(own.values()))
    found: dict[bytes, Press] = {}
    for event in events:
        row = messages.get(own[event.pk])
        if row and row.finished_at:
            seconds = max(0, math.ceil((event.at - row.finished_at).total_seconds()))
            found.setdefault(bytes(row.digest or b""), Press(row.address, row.finished_at, seconds, event))
    return sorted(found.values(), key=lambda press: (press.seconds, press.event.pk))
