"""Webhooks of mail providers (/hooks/<provider>/), read by django-anymail: who signs for an event, and what it says.

A provider's address exists only where ESP names it, its package is installed and its secret is set: an event that
nobody has signed is worth nothing. What is signed is acted on as a report that came in by mail would be: it counts for
the recipient of the message that it proves, once, and else waits for a person.

One row per provider: the view of django-anymail that reads it, and the setting (of ANYMAIL) that proves the sender.
"""

import importlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.db import transaction

from deliveries import esp, matching, reported
from deliveries.models import Delivery
from deliveries.reported import Incoming
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Source
from profiles.tokens import OptOutLink
from quarantine.answer_rules import own_rules
from quarantine.models import ReportKind

from . import stopping

PASSWORD = "WEBHOOK_SECRET"  # noqa: S105 (the name of a setting): basic authentication, for those who sign nothing
LIMIT = 2_500_000  # octets of one request; the largest batches of providers are about a million
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Provider:
    """Where its view is, and which setting proves it is the sender."""

    view: str
    secret: str = PASSWORD


PROVIDERS: Mapping[str, Provider] = {
    "amazon_ses": Provider("landing.sns.SesView"),
    "brevo": Provider("anymail.webhooks.brevo.BrevoTrackingWebhookView"),
    "mailersend": Provider(
        "anymail.webhooks.mailersend.MailerSendTrackingWebhookView", "MAILERSEND_SIGNING_SECRET"
    ),
    "mailgun": Provider("anymail.webhooks.mailgun.MailgunTrackingWebhookView", "MAILGUN_WEBHOOK_SIGNING_KEY"),
    "mailjet": Provider("anymail.webhooks.mailjet.MailjetTrackingWebhookView"),
    "mailtrap": Provider("anymail.webhooks.mailtrap.MailtrapTrackingWebhookView", "MAILTRAP_SIGNING_SECRET"),
    "mandrill": Provider("anymail.webhooks.mandrill.MandrillCombinedWebhookView", "MANDRILL_WEBHOOK_KEY"),
    "postal": Provider("anymail.webhooks.postal.PostalTrackingWebhookView", "POSTAL_WEBHOOK_KEY"),
    "postmark": Provider("anymail.webhooks.postmark.PostmarkTrackingWebhookView"),
    "resend": Provider("anymail.webhooks.resend.ResendTrackingWebhookView"),
    "sendgrid": Provider(
        "anymail.webhooks.sendgrid.SendGridTrackingWebhookView", "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY"
    ),
    "sparkpost": Provider("anymail.webhooks.sparkpost.SparkPostTrackingWebhookView"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """How many events of a request there were, and of these how many said something about an address."""

    events: int
    reports: int


def is_open(name: str) -> bool:
    """Say whether the events of a provider are taken."""
    provider = PROVIDERS.get(name)
    return bool(
        provider and name in settings.ESP and settings.ANYMAIL.get(provider.secret) and find_spec("anymail") is not None
    )


def view_of(name: str) -> Any:
    """Return the class of django-anymail that reads the events of a provider."""
    module, _dot, view = PROVIDERS[name].view.rpartition(".")
    return getattr(importlib.import_module(module), view)


def act(events: Sequence[Any], name: str, esp_name: str, *, at: datetime) -> Done:
    """Act on the signed events of one request, all or nothing. The same ones again change nothing more."""
    rules = own_rules()
    pairs = [(event, esp.finding_of(event, esp_name, rules)) for event in events]
    said = [
        Incoming(finding, _raw(event), source=name, name=esp.name_of(event, esp_name))
        for event, finding in pairs
        if finding is not None
    ]
    with transaction.atomic():
        reported.receive(_without_those_who_leave(said, at=at), at=at)
    return Done(len(events), len(said))


def _without_those_who_leave(said: Sequence[Incoming], *, at: datetime) -> list[Incoming]:
    """Opt out those who unsubscribed at the provider, and whose message proves it; return the others."""
    leaving = [one for one in said if one.finding.kind == ReportKind.UNSUBSCRIBE]
    links = [_links(match) for match in matching.match([one.finding for one in leaving])] if leaving else []
    for one in (link for some in links for link in some):
        stopping.leave(one, evidence=Evidence(source=Source.WEBHOOK, delivery_id=one.delivery or None), at=at)
    gone = {id(one) for one, some in zip(leaving, links, strict=True) if some}
    return [one for one in said if id(one) not in gone]


def _links(match: matching.Match) -> list[OptOutLink]:
    """Return by what links those whom an event proves would have left."""
    found = []
    for who in match.proven:
        delivery = Delivery.objects.filter(pk=who.row.delivery).first() if who.row else None
        found.append(
            OptOutLink(
                channel=Channel.EMAIL, digest=who.digest, log=who.number, delivery=delivery.pk if delivery else 0,
                service=(delivery.service_id or 0) if delivery else 0,
            )
        )  # fmt: skip
    return found


def _raw(event: Any) -> bytes:
    """Return an event as a person can read it, for those that wait."""
    return json.dumps(event.esp_event, indent=1, default=str, ensure_ascii=False).encode("utf-8", "replace")
