"""What comes back from recipients: the one way to leave by a link of a message (reports about it: `reported`)."""

from datetime import datetime

from profiles import consent
from profiles.channels import Channel
from profiles.consent import Change, Evidence
from profiles.models import Service
from profiles.tokens import OptOutLink


def service_of(link: OptOutLink) -> Service | None:
    """Return the service that a link leaves; None when it has none, or when it is gone."""
    return Service.objects.filter(pk=link.service).first() if link.service else None


def unsubscribe(
    link: OptOutLink,
    service: Service | None,
    *,
    evidence: Evidence,
    at: datetime,
    whole_channel: bool = False,
    everything: bool = False,
) -> Change:
    """Opt out whoever has the address of a link: from its service (see `service_of`), else from its channel.

    Works when the delivery, its log, the service or the profile are gone: all it needs is in the link. `everything`
    stops every channel, `whole_channel` the channel of the link. Idempotent.
    """
    channel = Channel(link.channel)
    if everything:
        return consent.opt_out_address(channel, link.digest, service=None, flag=None, evidence=evidence, at=at)
    if whole_channel or service is None:
        return consent.opt_out_address(channel, link.digest, service=None, flag=channel, evidence=evidence, at=at)
    return consent.opt_out_address(channel, link.digest, service=service, evidence=evidence, at=at)
