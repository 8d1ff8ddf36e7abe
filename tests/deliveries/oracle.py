"""The exclusions again, in plain Python: slow, obvious, and compared with the SQL."""

from datetime import datetime

from deliveries.models import Delivery, MessageClass, Reason, Target
from profiles.addresses import Validity
from profiles.channels import Channel
from profiles.models import Profile
from quarantine.models import QuarantinedAddress

CAUSES = {1: 5, 2: 6, 3: 7, 4: 8, 5: 9, 6: 10}


def judge(delivery: Delivery, at: datetime) -> dict[int, tuple[Reason, frozenset[Reason]]]:
    """Return profile id → (the reason, all reasons) for every person targeted."""
    channel, result, taken = Channel(delivery.channel), {}, set()
    for person in Profile.objects.order_by("pk"):
        if delivery.target == Target.SERVICE:
            running = [
                s for s in person.subscriptions.filter(service=delivery.service)
                if s.expires_at is None or s.expires_at > at
            ]  # fmt: skip
            if not running:
                continue
        address = person.addresses.filter(channel=channel, position=1).first()
        reasons = set()
        if address is None:
            reasons.add(Reason.ADDRESS_MISSING)
        elif address.validity == Validity.INVALID:
            reasons.add(Reason.ADDRESS_INVALID)
        if delivery.message_class == MessageClass.MARKETING:
            if person.blacklisted:
                reasons.add(Reason.BLACKLISTED)
            if getattr(person, f"blacklisted_{channel.slug}"):
                reasons.add(Reason.BLACKLISTED_CHANNEL)
        if address is not None:
            for entry in QuarantinedAddress.objects.all():
                same = (entry.channel, bytes(entry.digest)) == (channel, bytes(address.digest))
                if same and entry.is_blocking(at):
                    reasons.add(Reason(CAUSES[entry.cause]))
        if not reasons and address is not None:
            if bytes(address.digest) in taken:
                reasons.add(Reason.DUPLICATE)
            taken.add(bytes(address.digest))
        result[person.pk] = (min(reasons, default=Reason.NONE), frozenset(reasons))
    return result
