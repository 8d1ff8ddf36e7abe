"""The folder of the caught messages: one file per message, with the envelope that it came in.

A file is the message as it was received, after one line of our own that holds the envelope: who it was really from
and for, which the headers below need not say truly. It is a valid .eml file, so any mail program opens it.
Names begin with the time of arrival, so their order is that of arrival and nothing needs an index.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage
from itertools import count
from pathlib import Path

from django.conf import settings

_ENVELOPE = b"X-Caught: "
_NAME = re.compile(r"[0-9]{15,20}-[0-9]{6}\.eml")
_number = count(1)


@dataclass(frozen=True, slots=True)
class Caught:
    """One message: its envelope, and the message as received."""

    name: str
    sender: str
    recipients: tuple[str, ...]
    body: bytes

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(int(self.name.partition("-")[0]) / 1e9, tz=UTC)

    @property
    def headers(self) -> EmailMessage:
        """Return the headers alone, read as UTF-8 where they are not ASCII (RFC 6532): the parser of bytes cannot."""
        block = self.body.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        parsed = message_from_string(block, policy=policy.default)
        assert isinstance(parsed, EmailMessage)  # noqa: S101 (the policy makes them)
        return parsed

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.body, policy=policy.default)
        assert isinstance(parsed, EmailMessage)  # noqa: S101 (the policy makes them)
        return parsed


def folder() -> Path:
    return Path(settings.DATA_DIR) / "caught"


def keep(where: Path, *, sender: str, recipients: list[str], body: bytes) -> str:
    """Store a message and return its name. Readers never see half a file: it is renamed when it is whole."""
    name = f"{time.time_ns()}-{next(_number):06}.eml"
    envelope = json.dumps({"from": sender, "to": recipients}).encode()
    part = where / f"{name}.part"
    part.write_bytes(_ENVELOPE + envelope + b"\r\n" + body)
    part.rename(where / name)
    return name


def returned(where: Path) -> Path:
    """Return the folder of what comes back for the messages of a folder."""
    return where.with_name("returned")


def put_back(where: Path, body: bytes) -> None:
    """Put a message into a folder of what came back, whole at once."""
    name = f"{time.time_ns()}-{next(_number):06}.eml"
    part = where / f"{name}.part"
    part.write_bytes(body)
    part.rename(where / name)


def names(where: Path) -> list[str]:
    """Return the names of the messages, the newest first."""
    found = (path.name for path in where.glob("*.eml")) if where.is_dir() else ()
    return sorted((name for name in found if _NAME.fullmatch(name)), reverse=True)


def read(where: Path, name: str) -> Caught:
    """Return a message; raise FileNotFoundError when no message has that name."""
    if not _NAME.fullmatch(name):
        raise FileNotFoundError(name)
    first, _end, body = (where / name).read_bytes().partition(b"\r\n")
    envelope = json.loads(first.removeprefix(_ENVELOPE))
    return Caught(name, envelope["from"], tuple(envelope["to"]), body)


def since(where: Path, name: str) -> Iterator[Caught]:
    """Yield the messages that came after one, the oldest first; after none of them for an empty name."""
    for later in reversed(names(where)):
        if later > name:
            yield read(where, later)
