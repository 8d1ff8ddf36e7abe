"""Receive the mail of UNSUBSCRIBE_MAILBOX: docs/inbound-mail.md says how to connect a mail server."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.utils import timezone

from landing import mailbox
from quarantine.inbound.mail import LIMIT
from quarantine.inbound.opt_outs import Token

# What mail servers understand (sysexits.h): keep the message and try again later.
EX_TEMPFAIL, EX_NOINPUT = 75, 66
WORDS = {
    Token.VALID: "opted out",
    Token.ABSENT: "no token of an unsubscribe message: nothing is changed",
    Token.INVALID: "its token does not open: nothing is changed",
}


class Command(BaseCommand):
    help = (
        "Receive mail messages and opt out those who ask for it. The exit code is 0 for every message that was read, "
        "also one that says nothing, and 75 (try again later) when the database cannot be written."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="A file that holds one message; - is the input.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be done. Nothing is changed.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object per message.")

    def handle(self, *args: Any, files: list[str], dry_run: bool, **options: Any) -> None:
        unread, undone = 0, 0
        for name in files:
            try:
                raw = _read(name)
            except OSError as error:
                self.stderr.write(f"{name}: {error.strerror}")
                unread += 1
                continue
            try:
                receipt = mailbox.receive(raw, at=timezone.now(), dry_run=dry_run)
            except Error as error:
                # Its kind only: the words of a database may hold an address.
                self.stderr.write(f"{name}: {type(error).__name__}")
                undone += 1
                continue
            self._tell(name, receipt, dry_run=dry_run, as_json=options["json"])
        if undone:
            raise CommandError("The database did not take it. Try again later.", returncode=EX_TEMPFAIL)
        if unread:
            raise CommandError("Not every file could be read.", returncode=EX_NOINPUT)

    def _tell(self, name: str, receipt: mailbox.Receipt, *, dry_run: bool, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"file": name, **asdict(receipt), "dry_run": dry_run}))
            return
        words = WORDS[receipt.token]
        if receipt.token == Token.VALID:
            words = f"would be {words}" if dry_run else f"{words} (profiles changed: {receipt.profiles})"
        self.stdout.write(f"{name}: {words}")


def _read(name: str) -> bytes:
    if name != "-":
        with Path(name).open("rb") as file:
            return file.read(LIMIT)
    raw = sys.stdin.buffer.read(LIMIT)
    _drain(sys.stdin.buffer)
    return raw


def _drain(pipe: IO[bytes]) -> None:
    """Take the rest of the input: some mail servers call it a failure when nobody reads what they write."""
    while pipe.read(65_536):
        pass
