"""Change the addresses of a person: kept numbered from 1 on each channel, searchable, and true to old opt-outs."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import F

from . import consent
from .models import Address, Profile
from .sql import lock_digests

# Positions are moved out of the way first: (profile, channel, position) is unique at every moment.
ASIDE = 10_000
LAST = ASIDE - 1  # the position to ask for when an address may go after all others


def change(profile: Profile, *, removed: Iterable[Address] = (), saved: Iterable[Address] = (), at: datetime) -> None:
    """Remove and save addresses of a profile, then number each channel again from 1.

    The `position` of a saved address says where it is wanted. Addresses given by somebody else in the meantime are
    kept. An opt-out that an address left behind while nobody had it applies to the profile from now on.
    """
    with transaction.atomic():
        Profile.objects.select_for_update(no_key=True).get(pk=profile.pk)
        Address.objects.filter(pk__in=[address.pk for address in removed], profile=profile).delete()
        before = dict(Address.objects.filter(profile=profile).values_list("pk", "position"))
        Address.objects.filter(profile=profile).update(position=F("position") + ASIDE)
        wanted = dict[int, float](before)
        added = list(saved)
        for number, address in enumerate(added):
            position, address.profile = address.position, profile
            address.position = 2 * ASIDE + number
            address.save()
            wanted[address.pk] = _place(position, before.get(address.pk))
        _number(profile, wanted)
        profile.refresh_search()
        # An opt-out of one of these addresses that is just being kept, as nobody had it, is seen below; one that comes
        # now waits, and then sees who has it.
        lock_digests(bytes(address.digest) for address in added)
        consent.apply_erased_opt_outs([profile.pk], at=at)


def _place(wanted: int, before: int | None) -> float:
    """Return where an address goes: before the one that stands there when it is new or moves up, else after it."""
    if wanted == before:
        return wanted
    return wanted + 0.5 if before is not None and wanted > before else wanted - 0.5


def _number(profile: Profile, wanted: dict[int, float]) -> None:
    rows = sorted(Address.objects.filter(profile=profile), key=lambda row: (row.channel, wanted[row.pk], row.pk))
    last: dict[int, int] = {}
    for row in rows:
        last[row.channel] = last.get(row.channel, 0) + 1
        Address.objects.filter(pk=row.pk).update(position=last[row.channel])
