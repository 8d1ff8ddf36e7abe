"""Drains the outbox: confirmations, sent through the same gate and transport as everything else."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from profiles import outbox
from profiles.channels import Channel
from profiles.models import OutboxMessage
from profiles.tokens import Purpose, seal
from quarantine.answer_rules import own_rules

from . import gate, messages
from .models import LogStatus
from .rendering import Rendered
from .transports import Outcome, Transport, for_channel

S = OutboxMessage.State
BATCH = 200
# A claimed message whose worker died: its outcome is unknown, and it is not sent again.
CLAIM_LASTS = timedelta(minutes=5)
TRIES = 6
_STATES = {
    LogStatus.SENT: S.SENT,
    LogStatus.FAILED: S.FAILED,
    LogStatus.SUPPRESSED: S.SUPPRESSED,
    LogStatus.IN_DOUBT: S.IN_DOUBT,
    LogStatus.RETRY: S.PENDING,
}


def drain(*, transport: Transport | None = None) -> int:
    """Send the confirmations that are due; return how many were handed over."""
    own_rules()  # what is answered is read by them
    now = timezone.now()
    OutboxMessage.objects.filter(state=S.HANDING_OFF, claimed_at__lt=now - CLAIM_LASTS).update(
        state=S.IN_DOUBT, finished_at=now
    )
    due = OutboxMessage.objects.filter(state=S.PENDING, not_before__lte=now).order_by("not_before")
    carrier, handed = transport or for_channel(Channel.EMAIL), 0
    try:
        for message in due.select_related("brand", "service")[:BATCH]:
            envelope = _compose(message)
            if not _claim(message, at=timezone.now()):
                continue
            outcome = gate.hand_off(gate.Permit("outbox", message.pk, message.address), envelope, carrier)
            _record(message, outcome, at=timezone.now())
            handed += 1
    finally:
        carrier.close()
    return handed


def _claim(message: OutboxMessage, *, at: datetime) -> bool:
    with transaction.atomic():
        reason = gate.judge_confirmation(message, at=at)
        waiting = OutboxMessage.objects.filter(pk=message.pk, state=S.PENDING)
        if reason:
            waiting.update(state=S.SUPPRESSED, finished_at=at, error=reason.name.lower())
            return False
        return bool(waiting.update(state=S.HANDING_OFF, claimed_at=at, attempts=F("attempts") + 1))


def _record(message: OutboxMessage, outcome: Outcome, *, at: datetime) -> None:
    state, retry = _STATES[outcome.status], outcome.status == LogStatus.RETRY
    if retry and message.attempts + 1 >= TRIES:
        state, retry = S.FAILED, False
    not_before = at + timedelta(minutes=2**message.attempts) if retry else message.not_before
    OutboxMessage.objects.filter(Q(state=S.HANDING_OFF) | Q(state=S.IN_DOUBT), pk=message.pk).update(
        state=state, error=outcome.answer, not_before=not_before, finished_at=None if retry else at
    )


def _compose(message: OutboxMessage) -> messages.Envelope:
    """Return the message of an outbox row, with the token of its link."""
    link = ""
    if message.link_view and message.link_subject is not None:
        token = seal(Purpose(message.link_purpose), message.link_subject.to_bytes(8, "big"))
        link = message.brand.public_url + reverse(message.link_view, args=[token])
    words = outbox.render(message, link=link)
    rendered = Rendered(subject=words.subject, html=words.html, text=words.text)
    return messages.compose(
        rendered, brand=message.brand, recipient=message.address, language=message.language,
        message_id=messages.message_id(message.brand, "outbox", message.pk), at=timezone.now(),
        automatic=True,
    )  # fmt: skip
