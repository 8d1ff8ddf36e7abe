"""Confirmations to send: rows written in the transaction of the change that they confirm.

The sending engine drains them (see deliveries.confirmations). A row holds no link: the token of a link is made
when the message is rendered, from the name of the view, the purpose and the number of its subject.
"""

from dataclasses import dataclass
from datetime import datetime

from .models import Brand, OutboxMessage, Service
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
    requested: bool = False,
    dedupe: str | None = None,
) -> bool:
    """Store a message to send; return False when one with the same `dedupe` already exists.

    `template` names the files templates/messages/<template>.{subject.txt,txt,html}.
    """
    rows = OutboxMessage.objects.bulk_create(
        [
            OutboxMessage(
                template=template, address=address, digest=digest, brand=brand, service=service, language=language,
                profile_id=profile_id, requested=requested, dedupe=dedupe, created_at=at, not_before=at,
                link_view=link.view if link else "", link_purpose=link.purpose if link else "",
                link_subject=link.subject if link else None,
            )
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    return bool(rows) and (dedupe is None or OutboxMessage.objects.filter(dedupe=dedupe, created_at=at).exists())
