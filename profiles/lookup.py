"""Read what somebody typed to say whom they mean: an address, however it is spelled."""

from django.conf import settings
from django.db.models import Q

from . import addresses
from .channels import Channel
from .digests import digest
from .models import Address, Profile, ProfileQuerySet

_TYPED = (Channel.EMAIL, Channel.SMS, Channel.PHONE)
_DIGITS = 18  # of a number that surely fits the database's


def address_q(text: str) -> Q:
    """Say what has the address that the text reads as, on email, SMS and phone; an empty Q when it is none.

    It fits whatever has a channel and a digest: the addresses of people, and those left out.
    """
    condition = Q()
    for channel in _TYPED:
        read = addresses.read(channel, text, country=settings.DEFAULT_COUNTRY)
        if read.flaw is None:
            condition |= Q(channel=channel, digest=digest(channel, read.key))
    return condition


def holders(same: Q) -> ProfileQuerySet:
    """Return the people who have an address that `address_q` says."""
    return Profile.objects.filter(pk__in=Address.objects.filter(same).values("profile"))


def meant(text: str, same: Q, *, limit: int) -> list[Profile]:
    """Return who has the address (`same`); if nobody does, who has that identifier or number. Two queries at most."""
    if same and (found := list(holders(same).order_by("pk")[:limit])):
        return found
    called = Q(external_id=text) if text else Q(pk__in=[])
    if text.isdecimal() and len(text) <= _DIGITS:
        called |= Q(pk=int(text))
    return list(Profile.objects.filter(called).order_by("pk")[:limit])
