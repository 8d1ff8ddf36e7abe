"""Read notifications of Amazon SES that come by mail: JSON in a text.

docs.aws.amazon.com/ses/latest/dg/notification-contents.html. Those that come by HTTP are not read here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import addresses
from .dsn import Status, action_of, status_of

_KIND = re.compile(r'"(?:notificationType|eventType)"\s*:\s*"(Bounce|Complaint|Delivery)"')
_NESTED = 300  # opening brackets of a notification, so that it is not nested deeper than the reader goes
_ANSWER = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Notification:
    """What a notification is about; `copy` are headers of the message, by lower-case name."""

    is_complaint: bool
    statuses: tuple[Status, ...]
    copy: Mapping[str, str]


def find(text: str) -> Notification | None:
    """Return the notification that a text holds; None if it holds none, or one that cannot be read."""
    kind = _KIND.search(text)
    start = text.find("{")
    if not kind or start < 0 or text.count("{") + text.count("[") > _NESTED:
        return None
    try:
        value, _end = json.JSONDecoder(strict=False).raw_decode(text, start)
    except ValueError:
        return None
    message = value.get("Message") if isinstance(value, dict) else None
    if isinstance(message, str):  # as a topic passes it on
        return find(message) if "Message" not in message[:20] else None
    event = _of(value, kind[1].lower())
    statuses = tuple(_statuses(event, "delivered" if kind[1] == "Delivery" else "failed"))
    return Notification(kind[1] == "Complaint", statuses, dict(_headers(_of(value, "mail"))))


def _statuses(event: Mapping[str, Any], action: str) -> Iterator[Status]:
    for name in ("bouncedRecipients", "complainedRecipients", "recipients"):
        for one in _list(event, name):
            one = {"emailAddress": one} if isinstance(one, str) else one
            if isinstance(one, dict) and (address := addresses.read(_text(one, "emailAddress"))):
                answer = re.sub(r"^\s*smtp;\s*", "", _text(one, "diagnosticCode"))
                found = action_of(_text(one, "action")) or action
                yield Status(address, "", found, status_of(_text(one, "status")), answer)


def _headers(mail: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in _list(mail, "headers"):
        if isinstance(one, dict):
            yield _text(one, "name").lower(), _text(one, "value")
    if source := _text(mail, "source"):
        yield "return-path", source


def _of(value: object, name: str) -> Mapping[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    return found[:100] if isinstance(found, list) else []


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found[:_ANSWER] if isinstance(found, str) else ""
