"""Confirmations to send: rows written in the transaction of the change that they confirm.

The sending engine drains them (see deliveries.confirmations). A row holds no link: the token of a link is made
when the message is rendered, from the name of the view, the purpose and the number of its subject.
"""

from dataclasses import dataclass
from datetime import datetime

from django.template.loader import render_to_string
from django.utils.translation import override

from .models import Brand, OutboxMessage, Service
from .own_words import Words
from .texts import pick
from .tokens import Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The link of a confirmation: where it leads, what it is for, and the row that it is about."""

    view: str
    purpose: Purpose
    subject: int


def post(
    template: str,
    *,
    address: str,
    digest: bytes,
    brand: Brand,
    language: str,
    at: datetime,
    service: Service | None = None,
    profile_id: int | None = None,
    link: Link | None = None,
    words: Words | None = None,
    requested: bool = False,
    dedupe: str | None = None,
) -> bool:
    """Store a message to send; return False when one with the same `dedupe` already exists.

    `template` names the files templates/messages/<template>.{subject.txt,txt,html}. Own words replace what those
    say, in the language in which they are written.
    """
    rows = OutboxMessage.objects.bulk_create(
        [
            OutboxMessage(
                template=template, address=address, digest=digest, brand=brand, service=service,
                language=words.language if words else language,
                subject=words.subject if words else "", text=words.text if words else "",
                profile_id=profile_id, requested=requested, dedupe=dedupe, created_at=at, not_before=at,
                link_view=link.view if link else "", link_purpose=link.purpose if link else "",
                link_subject=link.subject if link else None,
            )
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    return bool(rows) and (dedupe is None or OutboxMessage.objects.filter(dedupe=dedupe, created_at=at).exists())


@dataclass(frozen=True, slots=True)
class Rendering:
    """A message as it is read: subject on one line, what goes into the HTML body, plain text."""

    subject: str
    html: str
    text: str


def render(message: OutboxMessage, *, link: str = "") -> Rendering:
    """Return the texts of a message in its language. They hold no name: a form is no way to write to strangers."""
    service = message.service
    with override(message.language):
        values = {
            "brand": message.brand,
            "service": pick(service.label, message.language) if service else "",
            "days": service.validity_days if service else None,
            "link": link,
            "language": message.language,
            "kind": message.template,
            "subject": message.subject,
            "text": message.text,
        }
        base = f"messages/{'own' if message.text else message.template}"
        return Rendering(
            subject=" ".join(render_to_string(f"{base}.subject.txt", values).split()),
            html=render_to_string(f"{base}.html", values),
            text=render_to_string(f"{base}.txt", values),
        )
