"""What opting out many addresses changes: read at once, and worked out in memory before anything is written.

    known = read(entries, owners)           what is opted out already
    plan = work_out(entries, known)         what each entry changes, in their order

`consent.opt_out_addresses` writes a plan; a dry run only reports it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db.models import Max

from .blacklist import FLAGS
from .channels import Channel
from .models import Act, Address, ConsentEvent, ErasedOptOut, Profile, Service, Subscription


@dataclass(frozen=True, slots=True)
class AddressOptOut:
    """An address that must not be written to: from a service, else on a channel (None: every channel)."""

    digest: bytes
    channel: Channel | None = None
    service: Service | None = None
    reason: str = ""
    lift: bool = False  # asks for the contrary, which is never done: only said


class Mark(NamedTuple):
    """One opt-out: of a profile, or (profile 0) kept for an address; from a service, else on a channel (0: every)."""

    profile: int
    digest: bytes
    channel: int
    service: int


Owners = Mapping[bytes, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Known:
    """Who has the addresses, and what is opted out already."""

    owners: Owners
    done: set[Mark] = field(default_factory=set)
    subscribed: Collection[tuple[int, int]] = ()  # (profile, service)

    def marks(self, entry: AddressOptOut) -> list[Mark]:
        """Return the opt-outs that an entry is about."""
        people = self.owners.get(entry.digest, ())
        if entry.service is None:
            channel = entry.channel or 0
            return [Mark(pk, b"", channel, 0) for pk in people] or [Mark(0, entry.digest, channel, 0)]
        service = entry.service.pk
        found = [Mark(pk, b"", 0, service) for pk in people if (pk, service) in self.subscribed]
        # Who has never subscribed cannot leave: it is kept for the address, so that no import subscribes them later.
        others = (Mark(pk, b"", 0, service) for pk in people if (pk, service) not in self.subscribed)
        if not people or any(mark not in self.done for mark in others):
            found.append(Mark(0, entry.digest, 0, service))
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one entry changed: who was opted out, whether it is kept for later, and a lift that was not done."""

    people: Sequence[int] = ()
    kept: bool = False
    lift_ignored: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What each entry changes, in their order, and the opt-outs to write, each with the entry that asks for it."""

    outcomes: Sequence[Outcome]
    new: Mapping[Mark, AddressOptOut]

    def people(self) -> dict[tuple[int, int], list[int]]:
        """Return the profiles to opt out, by (channel, service)."""
        found: dict[tuple[int, int], list[int]] = {}
        for mark in self.new:
            if mark.profile:
                found.setdefault((mark.channel, mark.service), []).append(mark.profile)
        return found

    def kept(self) -> list[Mark]:
        """Return the opt-outs to keep for addresses."""
        return [mark for mark in self.new if not mark.profile]


def owners_of(digests: Collection[bytes]) -> dict[bytes, list[int]]:
    """Return the profiles that have each of the addresses, in one query."""
    found: dict[bytes, list[int]] = {}
    rows = Address.objects.filter(digest__in=digests).order_by("profile_id")
    for digest, pk in rows.values_list("digest", "profile_id"):
        found.setdefault(bytes(digest), []).append(pk)
    return found


def read(entries: Sequence[AddressOptOut], owners: Owners) -> Known:
    """Return what is opted out already, in at most four queries."""
    people = {pk for many in owners.values() for pk in many}
    services = {entry.service.pk for entry in entries if entry.service}
    kept = ErasedOptOut.objects.filter(digest__in={entry.digest for entry in entries})
    done = {Mark(0, bytes(digest), *scope) for digest, *scope in kept.values_list("digest", "channel", "service_id")}
    for pk, *flags in Profile.objects.filter(pk__in=people).values_list("pk", *FLAGS.values()):
        done.update(Mark(pk, b"", channel or 0, 0) for channel, up in zip(FLAGS, flags, strict=True) if up)
    if not (people and services):
        return Known(owners, done)
    runs = Subscription.objects.filter(service__in=services, profile__in=people)
    done.update(Mark(pk, b"", 0, service) for pk, service in _who_left(people, services))
    return Known(owners, done, set(runs.values_list("profile_id", "service_id")))


def work_out(entries: Sequence[AddressOptOut], known: Known) -> Plan:
    """Say what each entry changes after those before it, which `known` then remembers."""
    outcomes, new = [], {}
    for entry in entries:
        marks = known.marks(entry)
        if entry.lift:
            outcomes.append(Outcome(lift_ignored=not known.done.isdisjoint(marks)))
            continue
        fresh = [mark for mark in marks if mark not in known.done]
        known.done.update(fresh)
        new.update(dict.fromkeys(fresh, entry))
        people = [mark.profile for mark in fresh if mark.profile]
        outcomes.append(Outcome(people=people, kept=len(people) < len(fresh)))
    return Plan(outcomes, new)


def _who_left(people: Collection[int], services: Collection[int]) -> list[tuple[int, int]]:
    """Return (profile, service) of those who left a service by the last thing they did about it."""
    acts = (Act.SUBSCRIBE, Act.UNSUBSCRIBE, Act.EXPIRE)
    events = ConsentEvent.objects.filter(profile_id__in=people, service_id__in=services, act__in=acts).order_by()
    last = events.values("profile_id", "service_id").annotate(last=Max("id")).values("last")
    left = ConsentEvent.objects.filter(id__in=last, act=Act.UNSUBSCRIBE)
    return [(pk, service) for pk, service in left.values_list("profile_id", "service_id") if pk and service]
