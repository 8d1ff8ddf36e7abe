"""Tests of a message, to an explicit list of addresses: the same rendering and the same gate, marked as tests."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from profiles.addresses import read
from profiles.channels import Channel
from profiles.digests import digest
from profiles.tokens import OptOutLink

from . import gate, messages, rendering, specimens, view_online
from .errors import ChannelNotSent, TemplateRefused
from .models import Delivery, LogStatus, MessageClass, Proof, ProofRecipient, Reason
from .transports import Outcome, Transport, for_channel

GIVEN_UP_AFTER = timedelta(minutes=2)


def ask(delivery: Delivery, address: str, *, language: str, by: Any, at: datetime) -> Proof:
    """Store a test to send to an address, which joins the delivery's list; the edge then rings the task."""
    if delivery.channel != Channel.EMAIL:
        raise ChannelNotSent
    recipient, _created = ProofRecipient.objects.get_or_create(delivery=delivery, address=address)
    return Proof.objects.create(
        delivery=delivery, delivery_version=delivery.version, address=recipient.address, language=language, by=by,
        created_at=at,
    )  # fmt: skip


def send(proof_id: int, *, transport: Transport | None = None) -> None:
    """Send one test; repeating the task sends nothing twice."""
    proof = Proof.objects.select_related("delivery__brand", "delivery__service").get(pk=proof_id)
    key = read(Channel.EMAIL, proof.address).key
    mark = digest(Channel.EMAIL, key)
    problem, envelope = "", None
    try:
        envelope = _compose(proof, mark)
    except TemplateRefused as error:
        problem = str(error)
    with transaction.atomic():
        reason = gate.judge_proof(proof.address, mark, at=timezone.now())
        after = LogStatus.SUPPRESSED if reason else LogStatus.HANDING_OFF
        if not Proof.objects.filter(pk=proof.pk, status=LogStatus.PENDING).update(status=after, reason=reason):
            return
    if reason:
        return
    if envelope is None:
        _record(proof, Outcome(LogStatus.FAILED, text=problem))
        return
    carrier = transport or for_channel(Channel.EMAIL)
    outcome = gate.hand_off(gate.Permit("proof", proof.pk, proof.address), envelope, carrier)
    carrier.close()
    # A test is asked for again rather than retried: somebody is looking.
    _record(proof, replace(outcome, status=LogStatus.FAILED) if outcome.status == LogStatus.RETRY else outcome)


def to_ring_again(at: datetime) -> list[int]:
    """Return the tests whose ring was lost; those whose worker died are marked: their outcome is unknown."""
    old = Proof.objects.filter(created_at__lte=at - GIVEN_UP_AFTER)
    old.filter(status=LogStatus.HANDING_OFF).update(status=LogStatus.IN_DOUBT, finished_at=at)
    return list(old.filter(status=LogStatus.PENDING).values_list("pk", flat=True))


def _record(proof: Proof, outcome: Outcome) -> None:
    reason = Reason.ENCODING if outcome.status == LogStatus.SUPPRESSED else Reason.NONE
    Proof.objects.filter(pk=proof.pk, status=LogStatus.HANDING_OFF).update(
        status=outcome.status, reason=reason, answer=outcome.answer, finished_at=timezone.now()
    )


def _compose(proof: Proof, mark: bytes) -> messages.Envelope:
    delivery = proof.delivery
    content = delivery.contents.filter(language=proof.language).first() or delivery.contents.first()
    with override(proof.language):
        sign = _("[Test]")
        if content is None:
            raise TemplateRefused(_("Content"), None, _("Write the message in at least one language."))
    link = OptOutLink(channel=delivery.channel, digest=mark, delivery=delivery.pk, service=delivery.service_id or 0)
    urls = messages.opt_out_urls(delivery.brand, link)
    values = rendering.values_for(
        profile=specimens.made_up_person(content.language), address=proof.address,
        brand=delivery.brand, service=delivery.service, opt_out_url=urls.page, language=content.language,
        view_online_url=view_online.url(content, delivery.brand, view_online.PROOF, proof.pk),
    )  # fmt: skip
    rendered = rendering.render(content, values)
    return messages.compose(
        replace(rendered, subject=f"{sign} {rendered.subject}"), brand=delivery.brand, recipient=proof.address,
        language=content.language, message_id=messages.message_id(delivery.brand, "proof", proof.pk), at=timezone.now(),
        urls=urls if delivery.message_class == MessageClass.MARKETING else None,
        return_path=messages.return_path(-proof.pk, mark),
    )  # fmt: skip
