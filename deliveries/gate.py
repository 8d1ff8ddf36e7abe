"""The one gate: every message of every path passes here, and nothing else may reach a transport.

    permit = claim_row(...)            locks, then checks, then marks: in one short transaction
    outcome = hand_off(permit, ...)    takes a permit only, once its claim has committed

The order of statements is the suppression guarantee. A claim first locks what a suppression would change (the
profile row and the digest of the address, shared), and reads them in a later statement. Whoever suppresses takes the
same locks exclusively. So either the suppression commits first, and the claim sees it; or the claim commits first,
and the message was already leaving.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, Q, QuerySet

from profiles.channels import Channel
from profiles.models import Act, Address, ConsentEvent, OutboxMessage, Subscription
from profiles.sql import lock_digests

from . import sql
from .exclusions import Judging, Verdict, blocked_reason, quarantine_reason, verdict
from .messages import Envelope
from .models import AnalysisRun, Delivery, DeliveryLog, MessageClass, Reason, Target
from .transports import Outcome, Transport

CLOCKS_APART = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Permit:
    """A claim that has committed: this message may be handed over, once, to this address."""

    kind: str
    number: int
    address: str


def hand_off(permit: Permit, envelope: Envelope, transport: Transport) -> Outcome:
    """Give one claimed message to a transport."""
    if not _is_same(envelope.recipient, permit.address):
        raise ValueError("The message is for another address than the one that was claimed.")
    return transport.send(envelope)


def _is_same(one: str, other: str) -> bool:
    """Say whether two ways of writing an address mean the same one; those in ASCII need not be read for that."""
    if one.isascii() and one.lower() == other.strip().lower():
        return True
    return Address.make(Channel.EMAIL, one).digest == Address.make(Channel.EMAIL, other).digest


def judge_row(
    row: DeliveryLog, delivery: Delivery, run: AnalysisRun, *, at: datetime, by: Judging | None = None
) -> Reason:
    """Lock, then say why a log row may not be sent now, or NONE. Call it inside the claim's transaction.

    `by` is what is configured (blocked domains...), which a worker need not read again for each message.
    """
    channel, digest = Channel(delivery.channel), bytes(row.digest or b"")
    sql.lock_for_hand_off(delivery.pk, row.profile_id)
    lock_digests([digest], shared=True)
    message_class = MessageClass(delivery.message_class)
    return refusal(
        verdict(row.profile_id, channel, at=at, message_class=message_class, digest=digest, by=by),
        quarantined=lambda: quarantine_reason(channel, digest, at=at),
        left=lambda: _has_left(row.profile_id, delivery, run, at=at),
    )


def refusal(found: Verdict | None, *, quarantined: Callable[[], Reason], left: Callable[[], bool]) -> Reason:
    """Say why a message may not leave, or NONE.

    `found` is what the exclusions say of its person at its address, `quarantined` why nobody is written to there, and
    `left` whether the person has left the delivery's service.
    """
    if found is None:
        return Reason.PROFILE_GONE
    if found.reason == Reason.ADDRESS_MISSING:
        return quarantined() or Reason.ADDRESS_CHANGED
    return found.reason or (Reason.UNSUBSCRIBED if left() else Reason.NONE)


def judge_confirmation(message: OutboxMessage, *, at: datetime) -> Reason:
    """Lock, then say why a confirmation may not be sent now, or NONE.

    One that the person has just asked for may reach an address that was quarantined at their own request.
    """
    lock_digests([bytes(message.digest)], shared=True)
    reason = quarantine_reason(Channel.EMAIL, bytes(message.digest), at=at)
    if message.requested and reason == Reason.QUARANTINED_PERSON:
        reason = Reason.NONE
    return reason or blocked_reason(message.address)


def judge_proof(address: str, digest: bytes, *, at: datetime) -> Reason:
    """Lock, then say why a test may not be sent to an address now, or NONE."""
    lock_digests([digest], shared=True)
    return quarantine_reason(Channel.EMAIL, digest, at=at) or blocked_reason(address)


def staying(
    profile: int, delivery: Delivery, run: AnalysisRun, *, at: datetime
) -> tuple[QuerySet[Any, Any], bool] | None:
    """Return the rows that tell whether a person still follows the delivery's service, and whether there must be any.

    None when it does not matter.
    """
    if delivery.service_id is None or delivery.message_class != MessageClass.MARKETING:
        return None
    if delivery.target == Target.SERVICE:
        return Subscription.objects.active(at).filter(service=delivery.service_id, profile=profile), True
    # The clock that the event was written by may be behind that of the analysis.
    left = Q(act__in=[Act.UNSUBSCRIBE, Act.EXPIRE], at__gte=run.at - CLOCKS_APART)
    back = Subscription.objects.active(at).filter(service=delivery.service_id, profile=profile)
    return ConsentEvent.objects.filter(~Exists(back), left, profile_id=profile, service_id=delivery.service_id), False


def _has_left(profile: int, delivery: Delivery, run: AnalysisRun, *, at: datetime) -> bool:
    """Say whether the person has left the delivery's service since the analysis."""
    found = staying(profile, delivery, run, at=at)
    return found is not None and found[0].exists() != found[1]
