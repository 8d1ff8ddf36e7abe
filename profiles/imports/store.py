"""Fetch the people a batch is about and write what became of them, in a number of queries that does not grow.

`load` and `facts` only read. `save` wants the transaction in which `load` locked the profiles.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db.models import F, Max, Min

from profiles import consent, left_out
from profiles.address_book import ASIDE
from profiles.addresses import search_text
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, Address, ConsentEvent, ErasedOptOut, Profile, Service, Subscription
from profiles.sql import bulk_create, hold_erased_opt_outs

from .columns import EXTERNAL_ID, FLAG_COLUMNS, TEXTS
from .lines import PersonLine
from .people import Facts, Held, People, Person, Step

_VALUES = (EXTERNAL_ID, *TEXTS)
_FLAGS = tuple(FLAG_COLUMNS)
# The search text is made before the database fills in its defaults.
_BLANK = dict.fromkeys(TEXTS, "") | {"birth_date": None}


def load(lines: Collection[PersonLine], *, service: Service | None, at: datetime, lock: bool = True) -> People:
    """Return the people that the lines may be about, in at most six queries; `lock` wants a transaction."""
    digests = {line.email_digest for line in lines if line.email}
    identifiers = {line.external_id for line in lines if line.external_id}
    owners = _oldest_owners(digests)
    ids = set(owners.values())
    if identifiers:
        ids.update(Profile.objects.filter(external_id__in=identifiers).values_list("pk", flat=True))
    by_pk = _profiles(ids, lock=lock)
    if service:
        _set_subscriptions(by_pk, service, at)
    return People(
        by_external_id={person.values[EXTERNAL_ID]: person for person in by_pk.values() if person.values[EXTERNAL_ID]},
        by_email={value: by_pk[pk] for value, pk in owners.items() if pk in by_pk},
        known=list(by_pk.values()),
    )


def facts(people: People, steps: Iterable[Step], *, at: datetime, lock: bool = True) -> Facts:
    """Look up what erased people left behind and which addresses are left out, in two queries."""
    if lock:
        hold_erased_opt_outs()
    erased: dict[bytes, list[tuple[int, int]]] = {}
    kept = ErasedOptOut.objects.filter(digest__in=people.digests()).order_by("channel", "service_id")
    for value, channel, service_id in kept.values_list("digest", "channel", "service_id"):
        erased.setdefault(bytes(value), []).append((channel, service_id))
    named = {value for step in steps for value in step.named}
    return Facts(erased=erased, left_out=left_out.among(named, at=at))


def save(people: People, *, service: Service | None, evidence: Evidence, at: datetime) -> None:
    """Write profiles and addresses, then opt out and subscribe."""
    touched = people.touched()
    _save_profiles(touched)
    _save_addresses(touched)
    gained = [(person.pk, value) for person in touched for value in person.gained if person.pk]
    if gained:
        consent.apply_erased_opt_outs_of(gained, at=at)
    for name, channel in FLAG_COLUMNS.items():
        if ids := [person.pk for person in touched if name in person.raised and person.pk]:
            consent.opt_out(ids, channel=channel, evidence=evidence, at=at)
    if service:
        ids = [person.pk for person in touched if person.subscribed and not person.was_subscribed and person.pk]
        consent.subscribe(ids, service, evidence=evidence, at=at)


def _oldest_owners(digests: Collection[bytes]) -> dict[bytes, int]:
    if not digests:
        return {}
    rows = Address.objects.filter(channel=Channel.EMAIL, digest__in=digests).values_list("digest")
    return {bytes(value): pk for value, pk in rows.annotate(oldest=Min("profile_id"))}


def _profiles(ids: Collection[int], *, lock: bool) -> dict[int, Person]:
    if not ids:
        return {}
    rows = Profile.objects.filter(pk__in=ids).order_by("pk")
    if lock:
        rows = rows.select_for_update(no_key=True)
    found: dict[int, Person] = {}
    for pk, attributes, *rest in rows.values_list("pk", "attributes", *_VALUES, *_FLAGS):
        values = dict(zip(_VALUES, rest, strict=False))
        flags = {name for name, raised in zip(_FLAGS, rest[len(_VALUES) :], strict=True) if raised}
        found[pk] = Person(pk=pk, values=values, attributes=attributes, flags=flags)
    addresses = Address.objects.filter(profile__in=ids).order_by("profile_id", "channel", "position")
    columns = ("profile_id", "channel", "value", "key", "digest", "validity", "pk", "position")
    for owner, channel, value, key, digest, validity, pk, position in addresses.values_list(*columns):
        if person := found.get(owner):
            held = Held(value, key, bytes(digest), validity, pk, position)
            person.held.setdefault(channel, []).append(held)
    return found


def _set_subscriptions(by_pk: dict[int, Person], service: Service, at: datetime) -> None:
    """Say who is subscribed, and who left the service by the last thing they did about it."""
    if not by_pk:
        return
    active = Subscription.objects.active(at).filter(service=service, profile__in=by_pk)
    for pk in active.values_list("profile_id", flat=True):
        by_pk[pk].subscribed = by_pk[pk].was_subscribed = True
    acts = (Act.SUBSCRIBE, Act.UNSUBSCRIBE, Act.EXPIRE)
    events = ConsentEvent.objects.filter(profile_id__in=by_pk, service_id=service.pk, act__in=acts)
    last = events.order_by().values("profile_id").annotate(last=Max("id")).values("last")
    left = ConsentEvent.objects.filter(id__in=last, act=Act.UNSUBSCRIBE)
    for owner in left.values_list("profile_id", flat=True):
        if owner is not None:
            by_pk[owner].unsubscribed = True


def _save_profiles(touched: Iterable[Person]) -> None:
    new = [person for person in touched if person.pk is None]
    changed = [person for person in touched if person.pk is not None and person.changed]
    for person, row in zip(new, Profile.objects.bulk_create(map(_row, new)), strict=True):
        person.pk = row.pk
    Profile.objects.bulk_create(
        map(_row, changed),
        # An upsert of rows that are there and locked: many times faster than `bulk_update`. Flags are left alone.
        update_conflicts=True,
        unique_fields=["pk"],
        update_fields=[*_VALUES, "attributes", "search", "updated_at"],
    )


def _row(person: Person) -> Profile:
    keys = (held.key for channel in sorted(person.held) for held in person.held[channel])
    row = Profile(pk=person.pk, attributes=person.attributes, **(_BLANK | person.values))
    row.search = search_text(row.full_name, row.external_id or "", *keys)
    return row


def _save_addresses(touched: Iterable[Person]) -> None:
    new: list[Address] = []
    moved: list[Address] = []
    for person in touched:
        if person.pk is None:
            continue
        for channel in person.moved:
            for position, held in enumerate(person.held[channel], 1):
                if held.position == position:
                    continue
                row = Address(
                    pk=held.pk, profile_id=person.pk, channel=channel, position=position,
                    value=held.value, key=held.key, digest=held.digest, validity=held.validity,
                )  # fmt: skip
                (moved if held.pk else new).append(row)
    if moved:
        # Out of the way first: (profile, channel, position) is unique at every moment.
        Address.objects.filter(pk__in=[row.pk for row in moved]).update(position=F("position") + ASIDE)
        Address.objects.bulk_create(moved, update_conflicts=True, unique_fields=["pk"], update_fields=["position"])
    bulk_create(new)
