"""Other profiles of the same person.

Certain: another profile has the same address (a phone number is the same one by SMS and by phone). A postal address
does not count: a household shares it.
Possible: the same name, and the same birth date or postal address. They may be two people, so nothing is ever done
to them unless somebody who knows says so.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date

from django.db.models import Q

from .addresses import search_text
from .blacklist import FLAGS
from .channels import Channel
from .digests import digest
from .models import Address, Profile

LIMIT = 50
_NUMBERS = (Channel.SMS, Channel.PHONE)


@dataclass(frozen=True, slots=True)
class Twin:
    """Another profile, with the addresses that make it the same person (none: it is only possible)."""

    profile: Profile
    shared: tuple[Address, ...] = ()

    @property
    def opted_out_of(self) -> list[str]:
        return opted_out_of(self.profile)


def opted_out_of(profile: Profile) -> list[str]:
    """Return the labels of the flags that are set, such as "by email"."""
    return [flag_label(name) for name in FLAGS.values() if getattr(profile, name)]


def flag_label(name: str) -> str:
    """Return the words of a flag, such as "by email" for ``blacklisted_email``."""
    return str(Profile._meta.get_field(name).verbose_name)  # type: ignore[union-attr]


def certain(profiles: Collection[int], *, limit: int = LIMIT) -> list[Twin]:
    """Return the other profiles that share an address with one of these, in id order. Three queries."""
    held = sharing(Address.objects.filter(profile__in=profiles).exclude(channel=Channel.DIRECT_MAIL))
    if not held:
        return []
    rows = Address.objects.filter(held).exclude(profile__in=profiles).select_related("profile")
    found: dict[int, list[Address]] = {}
    for row in rows.order_by("profile", "channel", "position")[: limit * 5]:
        found.setdefault(row.profile_id, []).append(row)
    return [Twin(shared[0].profile, tuple(shared)) for shared in list(found.values())[:limit]]


def possible(profiles: Collection[int], *, limit: int = LIMIT) -> list[Twin]:
    """Return other profiles with the name, and the birth date or postal address, of one of these, in id order."""
    known = set(profiles) | {twin.profile.pk for twin in certain(profiles)}
    found: dict[int, Profile] = {}
    for profile in Profile.objects.filter(pk__in=profiles).order_by("pk"):
        name = search_text(profile.full_name)
        if not name:
            continue
        people = Profile.objects.filter(search__startswith=name).filter(_alike(profile.pk, profile.birth_date))
        for other in people.exclude(pk__in=known).order_by("pk")[:limit]:
            if search_text(other.full_name) == name:
                found[other.pk] = other
    return [Twin(found[pk]) for pk in sorted(found)[:limit]]


def same_q(addresses: Iterable[Address]) -> Q:
    """Say which addresses have the channel and digest of one of these; an empty Q for none."""
    return _digests_q((Channel(address.channel), bytes(address.digest)) for address in addresses)


def sharing(addresses: Iterable[Address]) -> Q:
    """Say which addresses are the same as one of these, a number by SMS being that by phone; an empty Q for none."""
    pairs: list[tuple[Channel, bytes]] = []
    for address in addresses:
        own = Channel(address.channel)
        pairs.append((own, bytes(address.digest)))
        pairs += [(other, digest(other, address.key)) for other in _NUMBERS if own in _NUMBERS and other != own]
    return _digests_q(pairs)


def _digests_q(pairs: Iterable[tuple[Channel, bytes]]) -> Q:
    """Say which addresses are one of these (channel, digest), in the form that the index serves."""
    by_channel: dict[Channel, set[bytes]] = {}
    for channel, value in pairs:
        by_channel.setdefault(channel, set()).add(value)
    condition = Q()
    for channel, digests in sorted(by_channel.items()):
        condition |= Q(channel=channel, digest__in=sorted(digests))
    return condition


def _alike(profile: int, birth_date: date | None) -> Q:
    """Say who was born on that day, or lives at a postal address of that profile.

    The neighbours are read first: beside a subquery, "or" would make the database read everybody.
    """
    homes = Address.objects.filter(profile=profile, channel=Channel.DIRECT_MAIL).values_list("digest", flat=True)
    same_home = Address.objects.filter(channel=Channel.DIRECT_MAIL, digest__in=[bytes(d) for d in homes])
    condition = Q(pk__in=list(same_home.values_list("profile_id", flat=True)[: LIMIT * 10]))
    return condition | Q(birth_date=birth_date) if birth_date else condition
