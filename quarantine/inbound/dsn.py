"""Read delivery status notifications (RFC 3464, and RFC 6533 for addresses that are not ASCII), also broken ones.

Seen in real ones and read here: no blank line between recipients, or one too many; fields without the type of their
value; a content type of another name; encodings that are not allowed; no MIME structure left at all.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import addresses, parts
from .decoding import decode_words
from .parts import Part

MOST = 500  # recipients of a report
_SIZE = 200_000  # octets of a part that are read

ACTIONS = ("failed", "delayed", "delivered", "relayed", "expanded")  # RFC 3464 section 2.3.3
NOT_FAILED = ("delivered", "relayed", "expanded")

_STARTS = re.compile(rb"(?im)^(?:Final|Original)-Recipient[ \t]*:")
_ORIGINAL_ID = re.compile(rb"(?im)^X-Original-Message-ID[ \t]*:[ \t]*([^\s]{1,500})")
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_OF_RECIPIENT = {"final-recipient", "original-recipient", "x-actual-recipient", "action", "status", "diagnostic-code",
                 "remote-mta", "last-attempt-date", "will-retry-until", "final-log-id", "x-supplementary-info",
                 "x-display-name"}  # fmt: skip
_NAMES = ("original-recipient", "final-recipient", "x-actual-recipient")
_TYPE = re.compile(r"^\s*[A-Za-z][\w.-]{0,40}\s*;\s*")


@dataclass(slots=True)
class Status:
    """The fields of one recipient: its address if it has one, else at most a local part; the rest may be empty."""

    address: str | None
    local: str
    action: str
    status: str
    diagnostic: str


def find(root: Part) -> list[Status] | None:
    """Return what a message says of each recipient by machine-readable fields; None if it has no such part.

    Messages that were attached are not looked into: see `reports`.
    """
    found = [part for part in root.walk(into_messages=False) if _is_status(part)]
    return [status for part in found for status in read(part.octets()[:_SIZE])][:MOST] if found else None


def message_id(root: Part) -> str:
    """Return the identifier of the message that is reported on, as Gmail gives it; empty if it is not given."""
    for part in root.walk(into_messages=False):
        if part.kind.endswith("delivery-status") and (found := _ORIGINAL_ID.search(part.octets()[:_SIZE])):
            return found[1].decode("utf-8", "replace")
    return ""


def read(body: bytes) -> Iterator[Status]:
    """Yield the recipients of a delivery status part."""
    for group in _groups(body):
        names = [group[name] for name in _NAMES if name in group]
        found = [address for name in names if (address := addresses.read(name))]
        if len(found) > 1 and addresses.from_xtext(found[0]) == found[1]:
            found = found[1:]  # the same, once more in the encoding of the command (RFC 3461 section 4.2)
        local = next((name for name in map(addresses.local_part, names) if name), "")
        if found or local or names:
            yield Status(
                found[0] if found else None,
                local,
                action_of(group.get("action", "")),
                status_of(group.get("status", "")),
                diagnostic_of(group),
            )


def action_of(field: str) -> str:
    """Return the action of RFC 3464 that a field names; empty for any other."""
    word = re.split(r"[^a-z]", field.strip().lower(), maxsplit=1)[0]
    return next((action for action in ACTIONS if word and word == action), _SPELLINGS.get(word, ""))


_SPELLINGS = {"failure": "failed", "fail": "failed", "delay": "delayed", "deliverable": "delivered",
              "expired": "failed", "failed-permanently": "failed", "error": "failed"}  # fmt: skip


def status_of(text: str) -> str:
    """Return the first enhanced status code in a text (RFC 3463 section 2); empty if there is none."""
    found = _STATUS.search(text)
    return ".".join(found.groups()) if found else ""


def diagnostic_of(group: dict[str, str]) -> str:
    """Return the answer that is reported, without the type of its system."""
    text = decode_words(group.get("diagnostic-code", ""))
    return _TYPE.sub("", text, count=1) or decode_words(group.get("x-supplementary-info", ""))


def _is_status(part: Part) -> bool:
    if part.kind.endswith("delivery-status"):
        return True
    return (
        not part.parts
        and part.kind in ("", "text", "text/plain", "application/octet-stream", "message/plain", "plain/text")
        and b"-recipient" in (body := part.body[:_SIZE]).lower()
        and _STARTS.search(body) is not None
    )


def _groups(body: bytes) -> Iterator[dict[str, str]]:
    """Yield the fields of each recipient.

    A group ends where the next recipient is named, for blank lines are forgotten or repeated. The fields of the
    message, which come first, are left out.
    """
    group: dict[str, str] = {}
    for block in body.split(b"\n\n"):
        fresh = True
        for name, value in parts.fields(block.lstrip(b"\n")):
            if name not in _OF_RECIPIENT:
                continue
            is_name = name in ("final-recipient", "original-recipient")
            if group and is_name and (name in group or (fresh and "action" in group)):
                yield group
                group = {}
            group.setdefault(name, value)
            fresh = False
    if group:
        yield group
