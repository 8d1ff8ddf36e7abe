"""The choices on the page that a message links to, what each of them does, and how it is taken back.

    stop(link, choice, ...)     act at once; return the token of the undo button
    undo(token, ...)            give back what that click took away, for a day, if nothing newer has happened

A click is recognised in the ledger by its moment: the events that it wrote share it, to the microsecond. So the token
needs to hold no list of profiles, and what somebody else did is never undone.
"""

import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum

from django.db import transaction
from django.db.models import Q, QuerySet

from deliveries import inbound
from profiles.channels import Channel
from profiles.consent import Change, Evidence
from profiles.errors import TokenRefused
from profiles.models import Act, Address, ConsentEvent
from profiles.tokens import OptOutLink, Purpose, open_token, seal
from quarantine import escalation
from quarantine.escalation import Target
from quarantine.models import Cause

from .giving_back import give_back
from .notices import tell_unsubscribed

UNDO_LASTS = timedelta(days=1)
UNDONE = "undo"  # what the ledger says of the events of an undo
CONSENT_ACTS = (Act.OPT_OUT, Act.OPT_IN, Act.SUBSCRIBE, Act.UNSUBSCRIBE, Act.EXPIRE, Act.QUARANTINE, Act.RELEASE)
STOPS = (Act.OPT_OUT, Act.UNSUBSCRIBE, Act.QUARANTINE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLICK = struct.Struct(">Q")


class Choice(IntEnum):
    """What somebody may stop. The names are those of the buttons."""

    SERVICE = 1
    CHANNEL = 2
    EVERYTHING = 3
    ADDRESS = 4


class Undone(Enum):
    """What became of an undo."""

    RESTORED = "restored"
    ALREADY = "already"
    NEWER = "newer"
    TOO_LATE = "too_late"


@dataclass(frozen=True, slots=True)
class Click:
    """One press of a button: on which link, and when. It is all that its undo needs."""

    link: OptOutLink
    at: datetime

    def seal(self) -> str:
        moment = (self.at - _EPOCH) // timedelta(microseconds=1)
        return seal(Purpose.UNDO, _CLICK.pack(moment) + self.link.pack())

    @classmethod
    def open(cls, token: str) -> "Click":
        """Return the click of an undo button; raise TokenRefused when the token is not one."""
        payload = open_token(Purpose.UNDO, token)
        if len(payload) <= _CLICK.size:
            raise TokenRefused
        (moment,) = _CLICK.unpack(payload[: _CLICK.size])
        return cls(OptOutLink.unpack(payload[_CLICK.size :]), _EPOCH + timedelta(microseconds=moment))

    def is_over(self, at: datetime) -> bool:
        return not timedelta(0) <= at - self.at <= UNDO_LASTS


def stop(link: OptOutLink, choice: Choice, *, evidence: Evidence, at: datetime) -> Click | None:
    """Do what a button says, at once; return what can be undone, or None when nothing was left to stop.

    Works when the delivery, its log, the service or the profile are gone.
    """
    with transaction.atomic():
        service = inbound.service_of(link)
        change = inbound.unsubscribe(
            link, service, evidence=evidence, at=at, everything=choice == Choice.EVERYTHING,
            whole_channel=choice in (Choice.CHANNEL, Choice.ADDRESS),
        )  # fmt: skip
        if choice == Choice.ADDRESS:
            escalation.quarantine([target_of(link)], cause=Cause.PERSON, evidence=evidence, at=at)
        if choice == Choice.SERVICE and service:
            tell_unsubscribed(change, service, digest=link.digest, language=evidence.language, at=at)
        last = _events(link.digest).last()
    if last is not None and last.at == at:
        return Click(link, at)
    # Pressed twice: the second press changes nothing, and its page still offers to undo the first.
    same = last is not None and last.source == evidence.source and (last.delivery_id or 0) == link.delivery
    if choice == Choice.EVERYTHING:
        same = same and last is not None and last.channel is None
    return Click(link, last.at) if same and last and last.act in STOPS else None


def leave(link: OptOutLink, *, evidence: Evidence, at: datetime) -> Change:
    """Do what the unsubscribe button of a mail program asks for: stop the service of the message, else its channel.

    Who presses is a program, so the message of the service, where it wants one sent, is in the person's own language.
    """
    with transaction.atomic():
        service = inbound.service_of(link)
        change = inbound.unsubscribe(link, service, evidence=evidence, at=at)
        if service:
            tell_unsubscribed(change, service, digest=link.digest, language="", at=at)
    return change


def target_of(link: OptOutLink) -> Target:
    """Return the address of a link, in clear where somebody still has it."""
    held = holder(link)
    return Target(Channel(link.channel), link.digest, held.value if held else None, held.key if held else None)


def holder(link: OptOutLink) -> Address | None:
    """Return the address that a link was sent to, as its oldest profile has it; None once nobody has it."""
    return Address.objects.filter(channel=link.channel, digest=link.digest).order_by("profile").first()


def undo(click: Click, *, evidence: Evidence, at: datetime) -> Undone:
    """Give back what a click took away, where nothing newer has happened to the person."""
    if click.is_over(at):
        return Undone.TOO_LATE
    evidence = replace(evidence, reason=UNDONE)
    with transaction.atomic():
        events = _events(click.link.digest)
        taken = list(events.filter(at=click.at).exclude(reason=UNDONE))
        if not taken:
            return Undone.NEWER
        newer = events.filter(pk__gt=taken[0].pk).exclude(at=click.at)
        if later := list(newer):
            undone = any(event.reason == UNDONE for event in later)
            return Undone.ALREADY if undone and _all_of_one_moment(later) else Undone.NEWER
        give_back(taken, evidence=evidence, at=at)
    return Undone.RESTORED


def _events(digest: bytes) -> QuerySet[ConsentEvent]:
    """Return what happened to an address and to those who have it, in its order."""
    people = list(Address.objects.with_digests([digest]).values_list("profile_id", flat=True))
    mine = Q(profile_id__in=people) | Q(digest=digest)
    return ConsentEvent.objects.filter(mine, act__in=CONSENT_ACTS).order_by("pk")


def _all_of_one_moment(events: list[ConsentEvent]) -> bool:
    return len({event.at for event in events}) == 1
