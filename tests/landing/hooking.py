"""Events as mail providers post them: their shapes, their signatures, our identifier where each returns it.

post(POSTERS["mailgun"], Event("bounced", address, identifier, "550 5.1.1 No such user"))
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

USER, TOPIC = "esp:a-long-password-of-ours", "arn:aws:sns:eu-west-1:123456789012:ses-events"
KEY, MANDRILL_KEY, STAMP = "key-0123456789abcdef", "mandrill-key-0123456789", "1795812345"
MANDRILL_URL = "https://news.example/hooks/mandrill/"
_SENDGRID = ec.generate_private_key(ec.SECP256R1())


def _public_key() -> str:
    pem = _SENDGRID.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "".join(pem.decode().splitlines()[1:-1])


SECRETS = {
    "WEBHOOK_SECRET": USER,
    "MAILGUN_WEBHOOK_SIGNING_KEY": KEY,
    "MANDRILL_WEBHOOK_KEY": MANDRILL_KEY,
    "MANDRILL_WEBHOOK_URL": MANDRILL_URL,
    "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": _public_key(),
}


@dataclass(frozen=True, slots=True)
class Event:
    """What happened (bounced, soft, complained, unsubscribed, deferred, delivered), to whom, about which message."""

    what: str
    address: str
    identifier: str = ""
    answer: str = "550 5.1.1 No such user here"
    number: str = "1"

    @property
    def returned(self) -> dict[str, str]:
        return {"campaign-id": self.identifier.strip("<>")} if self.identifier else {}


@dataclass(frozen=True, slots=True)
class Posted:
    """A request as a provider makes it."""

    body: bytes
    headers: Mapping[str, str]
    content_type: str = "application/json"


Poster = Callable[[Event], Posted]


def basic() -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(USER.encode()).decode()}


def as_json(found: Any, **headers: str) -> Posted:
    return Posted(json.dumps(found).encode(), headers or basic())


def mailgun(event: Event) -> Posted:
    named = {"bounced": "failed", "soft": "failed", "deferred": "failed"}.get(event.what, event.what)
    token = hashlib.sha256(event.number.encode()).hexdigest()[:50]
    signature = hmac.new(KEY.encode(), f"{STAMP}{token}".encode(), "sha256").hexdigest()
    data: dict[str, Any] = {
        "event": named, "id": f"id-{event.number}", "timestamp": 1795812345.2, "recipient": event.address,
        "message": {"headers": {"message-id": event.identifier.strip("<>")}}, "user-variables": event.returned,
        "tags": [],
    }  # fmt: skip
    if named == "failed":
        code, _blank, _words = event.answer.partition(" ")
        lasting = "permanent" if event.what == "bounced" else "temporary"
        data |= {"severity": lasting, "reason": "bounce"}
        data["delivery-status"] = {"code": int(code), "message": event.answer, "description": ""}
    found = {"signature": {"timestamp": STAMP, "token": token, "signature": signature}, "event-data": data}
    return as_json(found, Unused="")


def amazon_ses(event: Event) -> Posted:
    kind = {"bounced": "Bounce", "soft": "Bounce", "complained": "Complaint", "delivered": "Delivery"}[event.what]
    headers = [{"name": "X-Metadata", "value": json.dumps(event.returned)}]
    told: dict[str, Any] = {
        "eventType": kind, "mail": {"messageId": "0102-ses", "destination": [event.address], "headers": headers},
    }  # fmt: skip
    if kind == "Bounce":
        lasting = "Permanent" if event.what == "bounced" else "Transient"
        one = {"emailAddress": event.address, "diagnosticCode": f"smtp; {event.answer}", "status": "5.1.1"}
        told["bounce"] = {"bounceType": lasting, "bounceSubType": "General", "bouncedRecipients": [one]}
    elif kind == "Complaint":
        told["complaint"] = {
            "complaintFeedbackType": "abuse", "complainedRecipients": [{"emailAddress": event.address}],
        }  # fmt: skip
    else:
        told["delivery"] = {"recipients": [event.address]}
    return sns({"Type": "Notification", "Message": json.dumps(told)}, number=event.number)


def sns(found: dict[str, Any], *, number: str = "1", topic: str = TOPIC) -> Posted:
    whole = {"MessageId": f"sns-{number}", "TopicArn": topic, "Timestamp": "2026-11-27T10:00:00.000Z", **found}
    headers = {"X-Amz-Sns-Message-Type": whole["Type"], "X-Amz-Sns-Message-Id": whole["MessageId"], **basic()}
    return Posted(json.dumps(whole).encode(), headers, "text/plain; charset=utf-8")


def postmark(event: Event) -> Posted:
    kinds = {
        "bounced": ("Bounce", "HardBounce"), "soft": ("Bounce", "SoftBounce"), "deferred": ("Bounce", "Transient"),
        "complained": ("SpamComplaint", "SpamComplaint"), "delivered": ("Delivery", ""),
        "unsubscribed": ("SubscriptionChange", ""),
    }  # fmt: skip
    record, kind = kinds[event.what]
    found = {
        "RecordType": record, "Type": kind, "MessageID": "00000000-0000-0000-0000-000000000000",
        "Email": event.address, "Recipient": event.address, "Details": event.answer, "Metadata": event.returned,
        "BouncedAt": "2026-11-27T10:00:00Z", "ID": int(event.number),
    }  # fmt: skip
    if event.what == "unsubscribed":
        found |= {"SuppressSending": True, "SuppressionReason": "ManualSuppression"}
    return as_json(found)


def sendgrid(event: Event) -> Posted:
    kinds = {"bounced": "bounce", "soft": "bounce", "complained": "spamreport", "unsubscribed": "unsubscribe"}
    told = {
        "event": kinds.get(event.what, event.what), "email": event.address, "timestamp": 1795812345,
        "sg_event_id": f"event-{event.number}", "sg_message_id": "filter0001", "smtp-id": event.identifier,
        "reason": event.answer, "type": "blocked" if event.what == "soft" else "bounce", **event.returned,
    }  # fmt: skip
    body = json.dumps([told]).encode()
    signature = _SENDGRID.sign(STAMP.encode() + body, ec.ECDSA(hashes.SHA256()))
    name = "X-Twilio-Email-Event-Webhook-"
    headers = {f"{name}Signature": base64.b64encode(signature).decode(), f"{name}Timestamp": STAMP, **basic()}
    return Posted(body, headers)


def brevo(event: Event) -> Posted:
    kinds = {"bounced": "hard_bounce", "soft": "soft_bounce", "complained": "spam", "unsubscribed": "unsubscribe"}
    found = {
        "event": kinds.get(event.what, event.what), "email": event.address, "ts_epoch": 1795812345000,
        "message-id": "<2026.1@smtp-relay.mailin.fr>", "reason": event.answer,
        "X-Mailin-custom": json.dumps(event.returned),
    }  # fmt: skip
    return as_json(found)


def mandrill(event: Event) -> Posted:
    kinds = {"bounced": "hard_bounce", "soft": "soft_bounce", "complained": "spam", "unsubscribed": "unsub"}
    told = {
        "event": kinds.get(event.what, event.what), "_id": "abc", "ts": 1795812345,
        "msg": {"_id": "abc", "email": event.address, "metadata": event.returned, "diag": event.answer},
    }  # fmt: skip
    text = json.dumps([told])
    signed = hmac.new(MANDRILL_KEY.encode(), f"{MANDRILL_URL}mandrill_events{text}".encode(), "sha1").digest()
    body = "mandrill_events=" + "".join(f"%{octet:02X}" for octet in text.encode())
    headers = {"X-Mandrill-Signature": base64.b64encode(signed).decode(), **basic()}
    return Posted(body.encode(), headers, "application/x-www-form-urlencoded")


POSTERS: Mapping[str, Poster] = {
    "amazon_ses": amazon_ses, "brevo": brevo, "mailgun": mailgun, "mandrill": mandrill, "postmark": postmark,
    "sendgrid": sendgrid,
}  # fmt: skip


def post(provider: str, posted: Posted, *, client: Client | None = None, **headers: str) -> HttpResponse:
    """Post a request to our address for a provider."""
    found = {**posted.headers, **headers}
    if provider == "mailgun":
        found |= basic()
    url = reverse("landing:hook", args=[provider])
    return (client or Client(enforce_csrf_checks=True)).post(
        url, posted.body, content_type=posted.content_type, headers=found
    )  # type: ignore[return-value]
