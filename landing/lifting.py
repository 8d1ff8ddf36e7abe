"""What somebody who has proven that an address is theirs may lift: opt-outs of theirs, and their own wish about it.

lift_channels(profile, channels, ...)    clear the opt-out of these channels, and of no other
write_again(channel, digest, ...)        use the address again that its owner had asked us not to use
"""

from collections.abc import Collection
from datetime import datetime

from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile
from quarantine import escalation
from quarantine.models import Cause, QuarantinedAddress, Status


def lift_channels(
    profile: int, channels: Collection[Channel], *, digest: bytes, evidence: Evidence, at: datetime
) -> None:
    """Lift the opt-out of these channels, and of no other; `digest` is the address that has been proven.

    Where every channel is off, the others stay off one by one. The same goes for what is kept for the address.
    """
    others = [other for other in Channel if other not in channels]
    if Profile.objects.filter(pk=profile, blacklisted=True).exists():
        for other in others:
            consent.opt_out([profile], channel=other, evidence=evidence, at=at)
        consent.opt_in([profile], channel=None, evidence=evidence, at=at)
    for channel in channels:
        consent.opt_in([profile], channel=channel, evidence=evidence, at=at)
        consent.forget_kept_opt_out(digest, service=None, flag=channel, evidence=evidence, at=at)
    consent.forget_kept_opt_out(digest, service=None, keeping=others, evidence=evidence, at=at)


def write_again(channel: Channel, digest: bytes, *, evidence: Evidence, at: datetime) -> None:
    """Use an address again that its owner had asked us not to use; no other cause is theirs to lift."""
    asked = QuarantinedAddress.objects.filter(
        channel=channel, digest=digest, status=Status.QUARANTINED, cause=Cause.PERSON
    )
    escalation.release(asked, evidence=evidence, at=at)
