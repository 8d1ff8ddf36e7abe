"""An address that several profiles have: who opted out, and whether messages still go to it, in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries.standing import ChannelVerdict
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.models import Address, Profile

_KINDS = (Channel.EMAIL, Channel.SMS, Channel.PHONE, Channel.PUSH)  # a household shares a postal address


@dataclass(frozen=True, slots=True)
class Sharing:
    """One address of several profiles; `reached`, those through which messages still go to it."""

    address: str
    channel: str
    told: str
    reached: Sequence[Profile]
    people: Sequence[Profile]
    unequal: bool  # somebody has opted out, and the address is still written to


def sharings(people: Sequence[Profile], verdicts: Mapping[int, Sequence[ChannelVerdict]]) -> list[Sharing]:
    """Return the addresses that several of these people have. One query."""
    if len(people) < 2:
        return []
    by_pk = {profile.pk: profile for profile in people}
    held: dict[tuple[Channel, bytes], list[Address]] = {}
    for row in Address.objects.filter(profile__in=by_pk, channel__in=_KINDS).order_by("channel", "profile"):
        held.setdefault((Channel(row.channel), bytes(row.digest)), []).append(row)
    shared = [(channel, digest, rows) for (channel, digest), rows in held.items() if len(rows) > 1]
    return [_sharing(channel, digest, rows, by_pk, verdicts) for channel, digest, rows in shared]


def _sharing(
    channel: Channel,
    digest: bytes,
    rows: Sequence[Address],
    people: Mapping[int, Profile],
    verdicts: Mapping[int, Sequence[ChannelVerdict]],
) -> Sharing:
    holders = [people[row.profile_id] for row in rows]
    reached = [p for p in holders if _goes_to(verdicts.get(p.pk, ()), channel, digest)]
    out = sum(any(getattr(profile, flag) for flag in (FLAGS[None], FLAGS[channel])) for profile in holders)
    told = _told(len(holders), out, len(reached))
    return Sharing(rows[0].value, str(channel.label), told, reached, holders, bool(out and reached))


def _goes_to(verdicts: Sequence[ChannelVerdict], channel: Channel, digest: bytes) -> bool:
    return any(one.channel == channel and one.reachable and one.verdict.digest == digest for one in verdicts)


def _told(number: int, out: int, reached: int) -> str:
    words: dict[str, int | str] = {"n": number, "out": out, "reached": reached}
    if not reached:
        return _("This address belongs to %(n)d profiles; no message goes to it through any of them.") % words
    if not out:
        return _("This address belongs to %(n)d profiles; a delivery writes to it only once.") % words
    if (number, out, reached) == (2, 1, 1):
        return _("This address belongs to 2 profiles; one is opted out; messages still go through the other.")
    words |= {"opted_out": ngettext("%(out)d is opted out", "%(out)d are opted out", out) % words}
    return (
        _("This address belongs to %(n)d profiles; %(opted_out)s; messages still go through %(reached)d of them.")
        % words
    )
