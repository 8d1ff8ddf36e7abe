"""What comes back from recipients: the one way to leave by a link of a message, and reports about it."""

from datetime import datetime

from django.db.models import F

from profiles import consent
from profiles.channels import Channel
from profiles.consent import Change, Evidence
from profiles.models import Service
from profiles.tokens import OptOutLink

from . import watch
from .models import AnalysisRun, Delivery, DeliveryLog, State


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


def note_complaint(row: DeliveryLog) -> None:
    """Mark that a message was reported as spam; its delivery pauses when too many were. Its address stays as it is."""
    _note(row, "complaints")


def note_bounce(row: DeliveryLog) -> None:
    """Mark that a message came back after it was accepted."""
    _note(row, "bounces")


def _note(row: DeliveryLog, counter: str) -> None:
    AnalysisRun.objects.filter(pk=row.run_id).update(**{counter: F(counter) + 1})
    delivery = Delivery.objects.filter(pk=row.delivery_id, state=State.SENDING).first()
    if delivery is not None and delivery.current_run_id == row.run_id:
        watch.pause_if_needed(delivery, AnalysisRun.objects.get(pk=row.run_id))
