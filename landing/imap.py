"""A mailbox that is read by IMAP (RFC 3501), through the standard library: what fetching needs of it, and no more.

    with Mailbox.open("imaps://user:password@mail.example.org/INBOX") as mailbox:
        for group in mailbox.groups(mailbox.waiting()):
            messages = mailbox.fetch(group)
            mailbox.put_away([message.uid for message in messages], After.DELETE, "")

Errors of the network and of the server become Trouble, which names the step and the kind of error: what a server says
may hold the password that it was given, or an address.
"""

import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from quarantine.inbound.mail import LIMIT

SECONDS = 30  # that a server may be silent for
SHAPE = "It must be imaps://user:password@host/INBOX, with %40 for an @ within a name or password."
WINDOW = 1_000  # messages of the mailbox that one search is about: its answer is one line
GROUP, GROUP_OCTETS = 100, 4_000_000  # messages that are fetched together
_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")


class Trouble(OSError):
    """The mailbox could not be read, or not be changed. It is tried again later."""


class After(Enum):
    """What becomes of a message in its mailbox once it has been received."""

    SEEN = "seen"  # marked as read
    DELETE = "delete"
    MOVE = "move"  # into another folder


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mailbox is, and the key to it."""

    host: str
    port: int
    user: str
    password: str
    folder: str
    encrypted: bool

    @classmethod
    def read(cls, url: str) -> Self:
        """Read imaps://user:password@host:port/folder; raise ValueError. In clear (imap://) only on this machine."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # whose words hold the password
            raise ValueError(SHAPE) from None
        if parts.scheme not in ("imaps", "imap") or not parts.hostname or not parts.username:
            raise ValueError(SHAPE)
        if parts.scheme == "imap" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("It must begin with imaps://: in clear, everybody on the way reads the password.")
        return cls(
            parts.hostname, port or (993 if parts.scheme == "imaps" else 143), unquote(parts.username),
            unquote(parts.password or ""), unquote(parts.path.strip("/")) or "INBOX", parts.scheme == "imaps",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fetched:
    """A message of a mailbox, of which no more than `LIMIT` octets are fetched."""

    uid: int
    raw: bytes


class Mailbox:
    """A mailbox that is open."""

    def __init__(self, connection: imaplib.IMAP4, folder: str) -> None:
        self._connection = connection
        (number,) = self._ask("select", connection.select, _quoted(folder))
        self._number = int(number or 0)

    @classmethod
    @contextmanager
    def open(cls, place: Place) -> Iterator[Self]:
        """Open a mailbox for as long as the block lasts."""
        with _no_secrets("connect"):
            if place.encrypted:
                connection: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                    place.host, place.port, ssl_context=ssl.create_default_context(), timeout=SECONDS
                )
            else:
                connection = imaplib.IMAP4(place.host, place.port, timeout=SECONDS)
        try:
            with _no_secrets("log in"):
                connection.login(_quoted(place.user), place.password)
            yield cls(connection, place.folder)
        finally:
            for goodbye in (connection.logout, connection.shutdown):
                with suppress(OSError, imaplib.IMAP4.error):
                    goodbye()

    def waiting(self, after: After) -> list[int]:
        """Return the numbers (UID) of the messages that have not been received, oldest first."""
        wanted = "UNSEEN UNDELETED" if after == After.SEEN else "UNDELETED"
        found: list[int] = []
        for first in range(1, self._number + 1, WINDOW):
            window = f"{first}:{min(first + WINDOW - 1, self._number)}"
            lines = self._uid("search", "SEARCH", window, wanted)
            found += [int(number) for line in lines if line for number in line.split()]
        return sorted(set(found))

    def groups(self, uids: Sequence[int]) -> Iterator[list[int]]:
        """Yield them in groups that need little memory."""
        for start in range(0, len(uids), GROUP):
            asked = uids[start : start + GROUP]
            group: list[int] = []
            octets = 0
            for uid, size in sorted(self._sizes(asked).items()):
                if group and octets + size > GROUP_OCTETS:
                    yield group
                    group, octets = [], 0
                group.append(uid)
                octets += size
            if group:
                yield group

    def fetch(self, uids: Sequence[int]) -> list[Fetched]:
        """Return messages; those that somebody else has taken away meanwhile are missing. They stay unread."""
        parts = self._uid("fetch", "FETCH", _set(uids), f"(UID BODY.PEEK[]<0.{LIMIT}>)")
        found = []
        for part, after in zip(parts, [*parts[1:], b""], strict=True):
            if isinstance(part, tuple):
                uid = _UID.search(part[0]) or (_UID.search(after) if isinstance(after, bytes) else None)
                if uid and int(uid[1]) in uids:
                    found.append(Fetched(int(uid[1]), part[1]))
        return found

    def put_away(self, uids: Sequence[int], after: After, folder: str) -> None:
        """Do with messages that have been received what is wanted."""
        if after == After.SEEN:
            self._uid("mark", "STORE", _set(uids), "+FLAGS.SILENT", r"(\Seen)")
        elif after == After.MOVE and self._can("MOVE"):  # RFC 6851
            self._uid("move", "MOVE", _set(uids), _quoted(folder))
        else:
            if after == After.MOVE:
                self._uid("copy", "COPY", _set(uids), _quoted(folder))
            self._uid("delete", "STORE", _set(uids), "+FLAGS.SILENT", r"(\Deleted)")
            if self._can("UIDPLUS"):  # RFC 4315: those, and not what somebody else has marked
                self._uid("expunge", "EXPUNGE", _set(uids))
            else:
                self._ask("expunge", self._connection.expunge)

    def _sizes(self, uids: Sequence[int]) -> dict[int, int]:
        found = {}
        for part in self._uid("sizes", "FETCH", _set(uids), "(UID RFC822.SIZE)"):
            line = part[0] if isinstance(part, tuple) else part or b""
            uid, size = _UID.search(line), _SIZE.search(line)
            if uid and size and int(uid[1]) in uids:
                found[int(uid[1])] = min(int(size[1]), LIMIT)
        return found

    def _can(self, capability: str) -> bool:
        return capability in self._connection.capabilities

    def _uid(self, step: str, *arguments: str) -> list[Any]:
        return self._ask(step, self._connection.uid, *arguments)

    def _ask(self, step: str, command: Any, *arguments: str) -> list[Any]:
        with _no_secrets(step):
            answer, data = command(*arguments)
        if answer != "OK":
            raise Trouble(f"{step}: the server answered {answer}")
        return list(data)


@contextmanager
def _no_secrets(step: str) -> Iterator[None]:
    try:
        yield
    except (OSError, imaplib.IMAP4.error) as error:
        if isinstance(error, Trouble):
            raise
        raise Trouble(f"{step}: {type(error).__name__}") from None


def _quoted(text: str) -> str:
    """Return a text as a quoted string (RFC 3501 section 9)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _set(uids: Sequence[int]) -> str:
    return ",".join(map(str, uids))
