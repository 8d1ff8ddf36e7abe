"""What mail providers tell by their webhooks, in our words: an event becomes what a report that came in would be.

    finding_of(event, esp, rules)     an event of django-anymail as a Finding; None where it says nothing of an address
    tracking_headers(message_id)      what a message carries so that its provider's events name it

Foreign words → our words are tables. A word that is in none of them means nothing, and is never an error.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings

from profiles.addresses import domain
from quarantine.failures import NOT_DEFINED, Failure, Fault, Kind, Rule, classify
from quarantine.inbound.opt_outs import Found, Token
from quarantine.inbound.reports import Finding, Recipient
from quarantine.models import Reason, ReportKind

KEY = "campaign-id"  # the name of our identifier among the data that a provider returns with each event
DIAGNOSTIC = 500

# django-anymail's normalised event types (anymail.signals.EventType). The others say nothing about an address.
KINDS: Mapping[str, ReportKind] = {
    "bounced": ReportKind.BOUNCE,
    "rejected": ReportKind.BOUNCE,
    "failed": ReportKind.BOUNCE,
    "deferred": ReportKind.BOUNCE,
    "complained": ReportKind.COMPLAINT,
    "unsubscribed": ReportKind.UNSUBSCRIBE,
}
_OURS = Failure(Kind.IGNORED, Reason.REFUSED, Fault.SENDER)
_LATER = Failure(Kind.IGNORED, Reason.UNREACHABLE)
# Why a provider did not even try (anymail.signals.RejectReason): from what it has met at the address before.
REJECTIONS: Mapping[str, ReportKind | Failure] = {
    "invalid": Failure(Kind.HARD, Reason.USER_UNKNOWN),
    "bounced": Failure(Kind.HARD, Reason.USER_UNKNOWN),
    "timed_out": Failure(Kind.SOFT, Reason.UNREACHABLE),
    "blocked": _OURS,
    "spam": ReportKind.COMPLAINT,
    "unsubscribed": ReportKind.UNSUBSCRIBE,
}
_H, _S, _I = Kind.HARD, Kind.SOFT, Kind.IGNORED
# Where each provider says how lasting a bounce is, and in which words; "*" is whatever name stands there.
LASTING: Mapping[str, tuple[Sequence[str], Mapping[str, Kind]]] = {
    # docs.aws.amazon.com/ses/latest/dg/notification-contents.html#bounce-types
    "Amazon SES": (("bounce", "bounceType"), {"permanent": _H, "transient": _S, "undetermined": _S}),
    # postmarkapp.com/developer/api/bounce-api#bounce-types
    "Postmark": (("Type",), {"hardbounce": _H, "bademailaddress": _H, "softbounce": _S, "virusnotification": _I}),
    # documentation.mailgun.com, events: severity
    "Mailgun": (("event-data", "severity"), {"permanent": _H, "temporary": _S}),
    # twilio.com/docs/sendgrid, event webhook: type of a bounce
    "SendGrid": (("type",), {"bounce": _H, "blocked": _I, "expired": _S}),
    # developers.brevo.com/docs/transactional-webhooks
    "Brevo": (("event",), {"hard_bounce": _H, "invalid_email": _H, "soft_bounce": _S}),
    # dev.mailjet.com/email/guides/webhooks
    "Mailjet": (("hard_bounce",), {"true": _H, "false": _S}),
    # support.sparkpost.com, bounce classification codes
    "SparkPost": (
        ("msys", "*", "bounce_class"),
        {
            **dict.fromkeys(("10", "30", "90"), _H),
            **dict.fromkeys(("1", "20", "21", "22", "24", "40", "70"), _S),
            **dict.fromkeys(("23", "25", "50", "51", "52", "53", "54"), _I),
        },
    ),
    # mailchimp.com/developer/transactional/docs/webhooks
    "Mandrill": (("event",), {"hard_bounce": _H, "soft_bounce": _S}),
    # developers.mailersend.com, webhooks
    "MailerSend": (("data", "type"), {"hard_bounced": _H, "soft_bounced": _S}),
    # resend.com/docs/webhooks
    "Resend": (("data", "bounce", "type"), {"permanent": _H, "transient": _S}),
    # docs.mailtrap.io, webhooks
    "Mailtrap": (("event",), {"bounce": _H, "soft bounce": _S}),
    # godocs.unisender.ru, webhook
    "Unisender Go": (("event_data", "status"), {"hard_bounced": _H, "soft_bounced": _S}),
}
# What a message carries, so that its provider returns it with every event; %s is JSON, or the identifier alone.
HEADERS: Mapping[str, str] = {
    "amazon_ses": "X-Metadata: {json}",
    "brevo": "X-Mailin-custom: {json}",
    "mailgun": "X-Mailgun-Variables: {json}",
    "mailjet": "X-MJ-EventPayload: {json}",
    "mailtrap": "X-MT-Custom-Variables: {json}",
    "mandrill": "X-MC-Metadata: {json}",
    "postmark": "X-PM-Metadata-" + KEY + ": {plain}",
    "sendgrid": 'X-SMTPAPI: {{"unique_args":{json}}}',
    "sparkpost": 'X-MSYS-API: {{"metadata":{json}}}',
}
_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")  # RFC 3463 section 2


def finding_of(event: Any, esp: str, rules: Sequence[Rule] = ()) -> Finding | None:
    """Return what an event says; `esp` is the provider's name as django-anymail writes it."""
    kind = KINDS.get(str(event.event_type))
    address = _one_line(event.recipient)
    if kind is None or not address:
        return None
    said = _one_line(event.mta_response) or _one_line(event.description)
    failure: Failure | None = None
    if kind == ReportKind.BOUNCE:
        verdict = _verdict(event, esp, said, rules)
        kind, failure = (ReportKind.BOUNCE, verdict) if isinstance(verdict, Failure) else (verdict, None)
    status = _STATUS.search(said)
    who = Recipient(_folded(address), failure, status and status[0], _action(event), said)
    return Finding(kind, (who,), (), identifiers(event), Found(Token.ABSENT))


def identifiers(event: Any) -> tuple[str, ...]:
    """Return the identifiers of the message that an event is about: ours as we gave it, then as the message had it."""
    returned = event.metadata if isinstance(event.metadata, dict) else {}
    names = {str(name).lower(): value for name, value in returned.items()}
    found = (_text(value).strip("<> ") for value in (names.get(KEY), event.message_id))
    return tuple(dict.fromkeys(value for value in found if value))


def name_of(event: Any, esp: str) -> bytes:
    """Return what tells an event apart, and is the same when it is told again."""
    parts = [
        event.event_id, event.event_type, event.recipient, event.message_id, event.timestamp, event.mta_response
    ]  # fmt: skip
    known = parts[:3] if event.event_id else parts[1:]
    return hashlib.sha256("\0".join([esp, *map(str, known)]).encode("utf-8", "replace")).digest()


def tracking_headers(message_id: str) -> str:
    """Return the headers by which providers name a message in their events; none but for those of ESP."""
    return "".join(template % message_id.strip("<>") for template in _templates(tuple(settings.ESP)))


@lru_cache(maxsize=4)
def _templates(providers: tuple[str, ...]) -> tuple[str, ...]:
    """Return header lines with %s for the identifier, which holds no letter that JSON would escape."""
    found = (HEADERS[name] for name in providers if name in HEADERS)
    return tuple(line.format(json=json.dumps({KEY: "%s"}), plain="%s") + "\r\n" for line in found)


def _verdict(event: Any, esp: str, said: str, rules: Sequence[Rule]) -> Failure | ReportKind:
    """Return what a message that did not arrive says about its address: by the answer, else by the provider's word.

    What is called temporary is never for good, whatever the answer.
    """
    match str(event.event_type):
        case "failed":
            return _OURS
        case "rejected":
            return REJECTIONS.get(str(event.reject_reason), NOT_DEFINED) if event.reject_reason else _OURS
        case "deferred":
            failure = classify(0, said, rules)
            return _LATER if failure.kind != Kind.IGNORED else failure
    failure, lasting = classify(0, said, rules), _lasting(event, esp)
    if failure == NOT_DEFINED and lasting is not None:
        return {_H: Failure(_H, Reason.USER_UNKNOWN), _S: NOT_DEFINED, _I: _OURS}[lasting]
    if failure.kind == Kind.HARD and lasting == Kind.SOFT:
        return Failure(Kind.SOFT, failure.reason)
    return failure


def _lasting(event: Any, esp: str) -> Kind | None:
    """Return how lasting the provider calls a bounce."""
    path, words = LASTING.get(esp, ((), {}))
    found: Any = event.esp_event
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = next(iter(found.values()), None) if name == "*" else found.get(name)
    return words.get(str(found).lower()) if path else None


def _action(event: Any) -> str:
    return "delayed" if event.event_type == "deferred" else "failed" if event.event_type in KINDS else ""


def _folded(address: str) -> str:
    host = domain(address)
    return f"{address[: -len(host)]}{host.lower()}" if host else address


def _one_line(value: Any) -> str:
    text = "".join(char if char.isprintable() else " " for char in _text(value)[: 4 * DIAGNOSTIC])
    return " ".join(text.split())[:DIAGNOSTIC]


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
