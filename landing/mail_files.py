"""Messages that lie in files: one each, mbox files, Maildirs, and folders of any of them; or on the standard input.

    for found in read("/var/mail/bounces"): ...

Files are read from their beginning to their end, so that an mbox file of any size needs no more memory than a message.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from quarantine.inbound.mail import LIMIT

STANDARD_INPUT = "-"
_LINE = 65_536  # octets that are read at once: some messages have no line ends
# The first line of a message in an mbox file (RFC 4155) and what follows it. Some programs write a time zone before
# the year, or words after it. A sentence that begins so in a text has no time in it, or no header below it.
_SEPARATOR = re.compile(rb"From .*\d:\d\d.*\b\d{4}\b")
_SEPARATOR_LENGTH = 300
_HEADER = re.compile(rb"[!-9;-~]{1,100}[ \t]*:|>?From ")
_MAILDIR = {"cur", "new", "tmp"}


@dataclass(frozen=True, slots=True)
class Message:
    """A message, of which no more than `LIMIT` octets are kept. `name` is that of its file."""

    name: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """A file or folder that could not be read, and why."""

    name: str
    why: str


def read(name: str) -> Iterator[Message | Unread]:
    """Yield the messages of a file, a folder (in the order of names, and those below it), or the standard input."""
    if name == STANDARD_INPUT:
        yield from _messages(name, sys.stdin.buffer)
        return
    for path in _files(name):
        if isinstance(path, Unread):
            yield path
            continue
        try:
            with Path(path).open("rb") as file:
                yield from _messages(path, file)
        except OSError as error:
            yield Unread(path, error.strerror or type(error).__name__)


def _files(name: str) -> Iterator[str | Unread]:
    """Yield the files of a folder and those below it; hidden ones are left, and of a Maildir what is in the making."""
    if not Path(name).is_dir():
        yield name
        return
    try:
        with os.scandir(name) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield Unread(name, error.strerror or type(error).__name__)
        return
    folders = {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
    if folders >= _MAILDIR:
        entries = [entry for entry in entries if entry.name in ("cur", "new")]
    for entry in entries:
        if entry.name in folders and not entry.name.startswith("."):
            yield from _files(entry.path)
        elif entry.is_file() and not entry.name.startswith("."):
            yield entry.path


def _messages(name: str, file: IO[bytes]) -> Iterator[Message]:
    first = file.readline(_LINE)
    if first.startswith(b"From "):
        yield from (Message(name, raw) for raw in _split(first, iter(lambda: file.readline(_LINE), b"")))
        return
    raw = first + file.read(max(0, LIMIT - len(first)))
    while file.read(_LINE):  # some mail servers call it a failure when nobody reads what they write
        pass
    yield Message(name, raw)


def _split(first: bytes, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the messages of an mbox file, each with its separator."""
    kept, size, held = [first], len(first), b""
    before, last = first, b"\n"  # the line before, and how the one before that ended
    for line in lines:
        if held:  # what may be a separator, if this line is a header
            if _HEADER.match(line):
                yield b"".join(kept)
                kept, size = [], 0
            kept.append(held)
            size, before, last, held = size + len(held), held, b"\n", b""
        if last == b"\n" and before in (b"\n", b"\r\n") and _SEPARATOR.match(line[:_SEPARATOR_LENGTH]):
            held = line
            continue
        if size < LIMIT:
            kept.append(line[: LIMIT - size])
            size += len(kept[-1])
        before, last = line, before[-1:]
    yield b"".join([*kept, held])
