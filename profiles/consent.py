"""The only writer of flags, subscriptions and ledger events.

Each function takes any number of profiles, locks their rows in id order, changes those that need changing and
writes one event per change, in one transaction. The lock comes first, so that the order of a profile's events is
the order in which they happened, and so that a hand-off that is checking the profile and an opt-out wait for
each other.

Opting out is monotone: nothing here clears a flag but `opt_in`, and `opt_in` refuses every source but the person
and an operator who gives a reason.

Every function that writes is in `WRITERS`, by its name. Flags, subscriptions and kept opt-outs are the fold of the
events that these functions wrote: `profiles.verify` computes it again.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from django.db import transaction
from django.db.models import Q

from . import opt_outs, sql
from .blacklist import FLAGS
from .channels import Channel
from .errors import LiftNeedsReason, LiftRefused
from .models import Act, Address, ConsentEvent, ErasedOptOut, Profile, Service, Source, Subscription, Wording
from .opt_outs import AddressOptOut, Outcome, Plan
from .sql import lock_digests

BATCH = 5_000
# The registry: no other code writes flags, subscriptions or events (a test reads every syntax tree).
WRITERS: dict[str, Callable[..., Any]] = {}
F = TypeVar("F", bound=Callable[..., Any])
LIFTERS = {Source.LANDING_PAGE, Source.PREFERENCES, Source.OPERATOR}


class _AddressTaken(Exception):
    """Somebody was given one of the addresses meanwhile."""


def writer(function: F) -> F:
    """Enter a function into the registry of those that write."""
    WRITERS[function.__name__] = function
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Who did it, from where, and what they were told: the columns that every event of one act shares."""

    source: Source
    actor_id: int | None = None
    actor_name: str = ""
    language: str = ""
    wording_id: int | None = None
    ip: str = ""
    user_agent: str = ""
    delivery_id: int | None = None
    delivery_name: str = ""
    reason: str = ""

    @classmethod
    def of_operator(cls, user: Any, *, reason: str = "", **more: Any) -> Self:
        """Return the evidence of an act by somebody of the back-office."""
        return cls(source=Source.OPERATOR, actor_id=user.pk, actor_name=user.get_username(), reason=reason, **more)

    def event(self, act: Act, at: datetime, **more: Any) -> ConsentEvent:
        """Return an unsaved event of this act."""
        shared = {name: getattr(self, name) for name in self.__slots__}
        shared |= {"user_agent": self.user_agent[:300], "service_name": ""}
        return ConsentEvent(act=act, at=at, **{**shared, **more})


@dataclass(frozen=True, slots=True)
class Change:
    """What an act changed: the profiles in whose row or subscription something changed, in id order."""

    profiles: Sequence[int] = field(default=())

    def __len__(self) -> int:
        return len(self.profiles)


def cite(text: str, language: str) -> Wording:
    """Return the stored version of a text that was shown, stored now if it is new."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    wording, _created = Wording.objects.get_or_create(digest=digest, language=language, defaults={"text": text})
    return wording


@writer
def opt_out(profiles: Iterable[int], *, channel: Channel | None, evidence: Evidence, at: datetime) -> Change:
    """Set the flag "no longer contact" of a channel, or of every channel (None)."""
    return _set_flag(profiles, channel, True, Act.OPT_OUT, evidence, at)


@writer
def opt_in(profiles: Iterable[int], *, channel: Channel | None, evidence: Evidence, at: datetime) -> Change:
    """Lift one flag. Only the person, or an operator who says why, may: LiftRefused, LiftNeedsReason."""
    if evidence.source not in LIFTERS:
        raise LiftRefused(evidence.source)
    if evidence.source == Source.OPERATOR and not evidence.reason.strip():
        raise LiftNeedsReason
    return _set_flag(profiles, channel, False, Act.OPT_IN, evidence, at)


@writer
def subscribe(
    profiles: Iterable[int],
    service: Service,
    *,
    evidence: Evidence,
    at: datetime,
    expires_at: datetime | None = None,
) -> Change:
    """Subscribe people to a service; those who are already subscribed keep their subscription.

    It lasts as long as the service says, unless `expires_at` says otherwise.
    """
    expires = expires_at or (at + timedelta(days=service.validity_days) if service.validity_days else None)
    changed: list[int] = []
    for ids in _batches(profiles):
        with transaction.atomic(savepoint=False):
            locked = _lock(ids)
            Subscription.objects.filter(service=service, profile__in=locked).exclude(
                Subscription.objects.active_q(at)
            ).delete()
            known = set(
                Subscription.objects.filter(service=service, profile__in=locked).values_list("profile_id", flat=True)
            )
            new = [pk for pk in locked if pk not in known]
            Subscription.objects.bulk_create(
                Subscription(service=service, profile_id=pk, created_at=at, expires_at=expires, source=evidence.source)
                for pk in new
            )
            _record(evidence, Act.SUBSCRIBE, at, new, expires_at=expires, **_of_service(service))
            changed += new
    return Change(changed)


@writer
def unsubscribe(
    profiles: Iterable[int], service: Service, *, evidence: Evidence, at: datetime, act: Act = Act.UNSUBSCRIBE
) -> Change:
    """End the subscriptions of these people to a service."""
    changed: list[int] = []
    for ids in _batches(profiles):
        with transaction.atomic(savepoint=False):
            locked = _lock(ids)
            rows = Subscription.objects.filter(service=service, profile__in=locked)
            if ended := sorted(rows.values_list("profile_id", flat=True)):
                rows.filter(profile__in=ended).delete()
                _record(evidence, act, at, ended, **_of_service(service))
                changed += ended
    return Change(changed)


@writer
def expire_subscriptions(at: datetime) -> int:
    """Tidy away the subscriptions that have ended by themselves; return how many."""
    ended = 0
    for service in Service.objects.filter(validity_days__isnull=False):
        over = (
            Subscription.objects.filter(service=service, expires_at__lte=at)
            .order_by("profile")
            .values_list("profile_id", flat=True)
        )
        ended += len(
            unsubscribe(list(over[:BATCH]), service, evidence=Evidence(source=Source.SYSTEM), at=at, act=Act.EXPIRE)
        )
    return ended


@writer
def agree(profile: int, wording: Wording, *, evidence: Evidence, at: datetime) -> None:
    """Note that a person agreed to a text."""
    replace(evidence, wording_id=wording.pk, language=wording.language).event(
        Act.AGREEMENT, at, profile_id=profile
    ).save()


@writer
def state_provenance(reason: str, *, evidence: Evidence, at: datetime, service: Service | None = None) -> None:
    """Note where imported people come from and on which lawful basis they may be written to."""
    evidence.event(Act.PROVENANCE, at, reason=reason, **(_of_service(service) if service else {})).save()


@writer
def note_address_events(events: Iterable[tuple[Act, Channel, bytes, Evidence, datetime]]) -> None:
    """Write the events of addresses that are quarantined or released, in the transaction that does it."""
    sql.bulk_create([by.event(act, at, channel=channel, digest=digest) for act, channel, digest, by, at in events])


@writer
def opt_out_address(
    channel: Channel,
    digest: bytes,
    *,
    service: Service | None,
    flag: Channel | None = None,
    evidence: Evidence,
    at: datetime,
) -> Change:
    """Opt out every person who has an address: from a service, or from a channel (`flag`; None: every channel).

    Where nobody has the address any more, the opt-out is kept by digest and applied to whoever is given it later.
    """
    while not (people := _having(digest)):
        try:
            with transaction.atomic():
                _keep_opt_out(digest, service=service, flag=flag, evidence=evidence, at=at)
                # An import of people holds the table of kept opt-outs until it commits: whom it gave the address can
                # be seen only now. Starting again gives the lock of the digest back, also inside another transaction:
                # profiles are locked before digests, or a hand-off and this would wait for each other for ever.
                if _having(digest):
                    raise _AddressTaken
                return Change()
        except _AddressTaken:
            continue
    if service:
        return unsubscribe(people, service, evidence=evidence, at=at)
    return opt_out(people, channel=flag, evidence=evidence, at=at)


@writer
def forget_kept_opt_out(
    digest: bytes,
    *,
    service: Service | None,
    flag: Channel | None = None,
    keeping: Iterable[Channel] = (),
    evidence: Evidence,
    at: datetime,
) -> bool:
    """Forget the opt-out of exactly this scope that is kept for an address; return whether there was one.

    Only for the person, who has just proven that the address is theirs. Call it in a transaction. `keeping` are the
    channels that stay opted out when the opt-out of every channel is forgotten.
    """
    if evidence.source not in LIFTERS:
        raise LiftRefused(evidence.source)
    _lock(_having(digest))  # profiles before digests, as everywhere
    lock_digests([digest])
    gone, _rows = ErasedOptOut.objects.filter(
        digest=digest, channel=0 if service else flag or 0, service_id=service.pk if service else 0
    ).delete()
    if gone:
        more = _of_service(service) if service else {"channel": flag}
        evidence.event(Act.OPT_IN, at, digest=digest, **more).save()
        for channel in keeping:
            ErasedOptOut.objects.get_or_create(digest=digest, channel=channel, service_id=ErasedOptOut.EVERY)
            evidence.event(Act.OPT_OUT, at, digest=digest, channel=channel).save()
    return bool(gone)


@writer
def apply_erased_opt_outs(profiles: Iterable[int], *, at: datetime) -> Change:
    """Opt out newly made profiles whose address opted out while nobody had it. Call it when addresses are added."""
    held = Address.objects.filter(profile__in=list(profiles)).values_list("profile_id", "digest")
    return apply_erased_opt_outs_of(held, at=at)


@writer
def apply_erased_opt_outs_of(held: Iterable[tuple[int, bytes | memoryview]], *, at: datetime) -> Change:
    """Do the same for these (profile, digest of an address) pairs only, in a number of queries that does not grow."""
    people: dict[bytes, set[int]] = {}
    for profile, digest in held:
        people.setdefault(bytes(digest), set()).add(profile)
    scopes: dict[tuple[int, int], set[int]] = {}
    for kept in ErasedOptOut.objects.filter(digest__in=list(people)):
        scopes.setdefault((kept.channel, kept.service_id), set()).update(people[bytes(kept.digest)])
    services = Service.objects.in_bulk([service for _channel, service in scopes if service])
    evidence = Evidence(source=Source.ERASURE)
    changed: set[int] = set()
    for (channel, service_id), ids in sorted(scopes.items()):
        if service_id == ErasedOptOut.EVERY:
            flag = Channel(channel) if channel else None
            changed.update(opt_out(ids, channel=flag, evidence=evidence, at=at).profiles)
        elif service := services.get(service_id):
            changed.update(unsubscribe(ids, service, evidence=evidence, at=at).profiles)
    return Change(sorted(changed))


@writer
def blank_visitors(*, before: datetime) -> int:
    """Forget the network address and the browser in a batch of the events older than a moment; return of how many.

    What was done, when and by which text stays. Seals hold keyed digests of what is blanked, so they stay good.
    """
    old = ConsentEvent.objects.filter(~Q(ip="") | ~Q(user_agent=""), at__lt=before).order_by("at")
    batch = list(old.values_list("pk", flat=True)[:BATCH])
    return ConsentEvent.objects.filter(pk__in=batch).update(ip="", user_agent="")


def _having(digest: bytes) -> list[int]:
    held = Address.objects.with_digests([digest]).order_by("profile_id")
    return list(held.values_list("profile_id", flat=True).distinct())


def _keep_opt_out(
    digest: bytes, *, service: Service | None, flag: Channel | None, evidence: Evidence, at: datetime
) -> None:
    """Keep the opt-out of an address that nobody has, with its event; said again, it changes nothing."""
    lock_digests([digest])
    _kept, new = ErasedOptOut.objects.get_or_create(
        digest=digest, channel=0 if service else flag or 0, service_id=service.pk if service else 0
    )
    if new:
        act = Act.UNSUBSCRIBE if service else Act.OPT_OUT
        more = _of_service(service) if service else {"channel": flag}
        evidence.event(act, at, digest=digest, **more).save()


def _set_flag(
    profiles: Iterable[int], channel: Channel | None, value: bool, act: Act, evidence: Evidence, at: datetime
) -> Change:
    name = FLAGS[channel]
    changed: list[int] = []
    for ids in _batches(profiles):
        with transaction.atomic(savepoint=False):
            if todo := _lock(ids, ~Q(**{name: value})):
                Profile.objects.filter(pk__in=todo).update(**{name: value, "updated_at": at})
                _record(evidence, act, at, todo, channel=channel)
                changed += todo
    return Change(changed)


def _batches(profiles: Iterable[int]) -> Iterable[list[int]]:
    ids = sorted(set(profiles))
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def _lock(ids: list[int], condition: Q | None = None) -> list[int]:
    """Lock profile rows in id order and return those that still meet the condition."""
    rows = Profile.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    return list((rows.filter(condition) if condition else rows).values_list("pk", flat=True))


def _record(evidence: Evidence, act: Act, at: datetime, profiles: Iterable[int], **more: Any) -> None:
    sql.bulk_create([evidence.event(act, at, profile_id=pk, **more) for pk in profiles])


def _of_service(service: Service) -> dict[str, Any]:
    return {"service_id": service.pk, "service_name": service.name, "channel": service.channel}


@writer
def opt_out_addresses(entries: Sequence[AddressOptOut], *, evidence: Evidence, at: datetime) -> Sequence[Outcome]:
    """Do what `opt_out_address` does for a thousand addresses, in a number of queries that does not grow.

    All or nothing; said again, it changes nothing. Return what each entry changed, in their order. Each address that
    nobody has is locked until the transaction ends: a few thousand of them would fill PostgreSQL's table of locks.
    """
    while True:
        try:
            with transaction.atomic():
                return _opt_out_addresses(entries, evidence, at)
        except _AddressTaken:  # the locks are gone: profiles can be locked again before digests
            continue


def _opt_out_addresses(entries: Sequence[AddressOptOut], evidence: Evidence, at: datetime) -> Sequence[Outcome]:
    digests = {entry.digest for entry in entries}
    locked = set(_lock(sorted({pk for people in opt_outs.owners_of(digests).values() for pk in people})))
    owners = opt_outs.owners_of(digests)
    if not locked.issuperset(pk for people in owners.values() for pk in people):
        raise _AddressTaken
    nobodys = digests - owners.keys()
    lock_digests(nobodys)
    plan = opt_outs.work_out(entries, opt_outs.read(entries, owners))
    _write_opt_outs(plan, evidence, at)
    # An import of people holds the table of kept opt-outs until it commits: what it added can be seen only now.
    if opt_outs.owners_of(nobodys):
        raise _AddressTaken
    return plan.outcomes


def _write_opt_outs(plan: Plan, evidence: Evidence, at: datetime) -> None:
    for (channel, service), people in plan.people().items():
        if service:
            Subscription.objects.filter(service=service, profile__in=people).delete()
        else:
            raised = {FLAGS[Channel(channel) if channel else None]: True}
            Profile.objects.filter(pk__in=people).update(**raised, updated_at=at)
    ErasedOptOut.objects.bulk_create(
        ErasedOptOut(digest=mark.digest, channel=mark.channel, service_id=mark.service) for mark in plan.kept()
    )
    events = []
    for mark, entry in plan.new.items():
        who: dict[str, Any] = {"profile_id": mark.profile} if mark.profile else {"digest": mark.digest}
        scope = _of_service(entry.service) if entry.service else {"channel": entry.channel}
        act = Act.UNSUBSCRIBE if entry.service else Act.OPT_OUT
        events.append(evidence.event(act, at, reason=entry.reason or evidence.reason, **who, **scope))
    sql.bulk_create(events)
