"""What comes into the mailbox of unsubscribe messages, one message at a time.

    receive(raw, at=...)    read a message and act on it, as a press of the mail program's button would

No message is answered, and none is trusted: whoever sends a valid token has the message that it was made for.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import transaction

from deliveries.models import Delivery
from profiles.consent import Evidence
from profiles.models import Profile, Source
from profiles.texts import supported
from profiles.tokens import OptOutLink
from quarantine.inbound import mail, opt_outs
from quarantine.inbound.opt_outs import Token

from . import stopping


class Kind(StrEnum):
    """What a message is about."""

    UNSUBSCRIBE = "unsubscribe"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was found in a message, and how many profiles it changed. It holds nothing personal."""

    kind: Kind
    token: Token
    profiles: int = 0


def receive(raw: bytes, *, at: datetime, dry_run: bool = False) -> Receipt:
    """Act on a message. Idempotent: the same message twice changes nothing more. No input raises."""
    found = opt_outs.find(mail.read(raw))
    kind = Kind.OTHER if found.token == Token.ABSENT else Kind.UNSUBSCRIBE
    if found.link is None or dry_run:
        return Receipt(kind, found.token)
    return Receipt(kind, found.token, _unsubscribe(found.link, at=at))


def _unsubscribe(link: OptOutLink, *, at: datetime) -> int:
    with transaction.atomic():
        return len(stopping.leave(link, evidence=_evidence(link), at=at))


def _evidence(link: OptOutLink) -> Evidence:
    """Return who did it, in the language of the person: a message says nothing sure about its own."""
    delivery = Delivery.objects.filter(pk=link.delivery).first() if link.delivery else None
    held = stopping.holder(link)
    person = Profile.objects.filter(pk=held.profile_id).first() if held else None
    return Evidence(
        source=Source.MAILTO, language=supported(person.language if person else ""),
        delivery_id=link.delivery or None, delivery_name=delivery.label if delivery else "",
    )  # fmt: skip
