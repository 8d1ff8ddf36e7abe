"""This person everywhere: opt out every profile of a person and leave all of their addresses out.

Opting one profile out leaves the person's other profiles alone, and leaving an address out leaves their other
addresses alone. Here both are done at once, for the profiles that an operator has chosen among the certain and
possible twins (`profiles.twins`), so that nothing reaches the person any more, from this platform, at any of these
addresses, also when two of the profiles have no address in common.

    look(ids)                           what would follow, before acting
    opt_out_everywhere(ids, ...)        do it, in one transaction
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from profiles import consent, twins
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Address, Profile

from .escalation import Target, quarantine
from .models import Cause

OTHERS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Consequences:
    """What acting on some profiles would touch. `others` have one of the addresses and are not chosen."""

    profiles: tuple[Profile, ...]
    addresses: tuple[Address, ...]
    others: tuple[Profile, ...]
    more_others: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What was done: profiles opted out just now, and addresses left out just now, of all that were chosen."""

    profiles: int
    addresses: int
    opted_out: int
    left_out: int


def look(profiles: Collection[int]) -> Consequences:
    """Return what `opt_out_everywhere` would touch. Three queries."""
    chosen = tuple(Profile.objects.filter(pk__in=profiles).order_by("pk"))
    once: dict[tuple[int, bytes], Address] = {}
    for row in Address.objects.filter(profile__in=profiles).order_by("profile", "channel", "position"):
        once.setdefault((row.channel, bytes(row.digest)), row)
    held = tuple(once.values())
    if not held:
        return Consequences(chosen, held, (), False)
    same = Address.objects.filter(twins.same_q(held)).exclude(profile__in=profiles)
    others = list(Profile.objects.filter(pk__in=same.values("profile")).order_by("pk")[: OTHERS_SHOWN + 1])
    return Consequences(chosen, held, tuple(others[:OTHERS_SHOWN]), len(others) > OTHERS_SHOWN)


def opt_out_everywhere(profiles: Collection[int], *, evidence: Evidence, at: datetime) -> Report:
    """Opt profiles out of every channel and quarantine all their addresses (cause: person), all or nothing.

    Profile rows are locked first, in id order, then the addresses, sorted: the order of every writer and of a
    hand-off. The addresses are read under the lock, so that one that is just being added is not missed.
    """
    with transaction.atomic():
        locked = Profile.objects.select_for_update(no_key=True).filter(pk__in=profiles).order_by("pk")
        ids = list(locked.values_list("pk", flat=True))
        rows = Address.objects.filter(profile__in=ids).order_by("digest")
        targets = [Target(Channel(row.channel), bytes(row.digest), row.value, row.key) for row in rows]
        opted_out = consent.opt_out(ids, channel=None, evidence=evidence, at=at)
        left_out = quarantine(targets, cause=Cause.PERSON, evidence=evidence, at=at)
    return Report(len(ids), len({(t.channel, t.digest) for t in targets}), len(opted_out), left_out)
