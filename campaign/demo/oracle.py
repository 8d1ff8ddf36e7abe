"""Who should get a delivery, worked out a second time: person by person, in plain Python, apart from the engine.

The analysis asks the database in sets; this reads the people and goes through them one by one, as the rules are
written down. That both find the same addresses, and that the mail server received just these, is what the
demonstration shows.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime

from deliveries.models import Delivery
from profiles.addresses import Validity
from profiles.channels import Channel
from profiles.models import Address, Profile, Subscription
from quarantine.models import QuarantinedAddress


def expected(delivery: Delivery, *, at: datetime) -> Counter[str]:
    """Return the keys of the addresses that should get a marketing mail sent to the subscribers of a service."""
    subscribed = {
        subscription.profile_id
        for subscription in Subscription.objects.filter(service=delivery.service)
        if subscription.expires_at is None or subscription.expires_at > at
    }
    stopped = {
        bytes(entry.digest)
        for entry in QuarantinedAddress.objects.filter(channel=Channel.EMAIL)
        if entry.is_blocking(at)
    }
    primary, found = _primary_addresses(), Counter[str]()
    for person in Profile.objects.order_by("pk"):
        address = primary.get(person.pk)
        if person.pk not in subscribed or address is None or address.validity == Validity.INVALID:
            continue
        if person.blacklisted or person.blacklisted_email or bytes(address.digest) in stopped:
            continue
        found[address.key] = 1  # of several people with one address, one gets it
    return found


def _primary_addresses() -> Mapping[int, Address]:
    """Return each person's first email address."""
    of_person: dict[int, list[Address]] = defaultdict(list)
    for address in Address.objects.filter(channel=Channel.EMAIL):
        of_person[address.profile_id].append(address)
    return {person: min(addresses, key=lambda a: a.position) for person, addresses in of_person.items()}
