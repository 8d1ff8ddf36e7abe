"""The six flags of a profile that say "no longer contact": one for every channel, one per channel."""

from django.db.models import Q

from .channels import Channel

ALL_CHANNELS_FLAG = "blacklisted"
FLAGS: dict[Channel | None, str] = {
    None: ALL_CHANNELS_FLAG,
    **{channel: f"blacklisted_{channel.slug}" for channel in Channel},
}


def blacklisted_q(channel: Channel) -> Q:
    """Say who does not want to be contacted on a channel: not at all, or not there."""
    return Q(**{FLAGS[None]: True}) | Q(**{FLAGS[channel]: True})
