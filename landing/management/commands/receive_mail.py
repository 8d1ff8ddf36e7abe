"""Receive mail: unsubscribe messages, bounces and complaints; docs/inbound-mail.md says how to connect a server."""

import json
import os
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.utils import timezone

from deliveries.reported import Outcome, as_json
from landing import mail_files, mailbox
from landing.mail_files import Message, Unread
from landing.mailbox import Receipt

# What mail servers understand (sysexits.h): keep the message and try again later.
EX_TEMPFAIL, EX_NOINPUT = 75, 66
WORDS = {
    Outcome.LEFT: "opted out",
    Outcome.APPLIED: "acted on",
    Outcome.WAITING: "not proven: waits for a decision",
    Outcome.REPEATED: "known already: nothing is changed",
    Outcome.TEST: "about a test message: nothing is changed",
    Outcome.NOTHING: "nothing follows from it",
    Outcome.BROKEN: "could not be dealt with: kept aside",
}


class Command(BaseCommand):
    help = (
        "Receive mail messages: opt out those who ask for it, and act on bounces and complaints. The exit code is 0 "
        "for every message that was read, also one that says nothing; 66 when a file could not be read, and 75 (try "
        "again later) when the database cannot be written."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "paths", nargs="+", metavar="PATH",
            help="A message, an mbox file, a Maildir, or a folder of any of them; - is the standard input.",
        )  # fmt: skip
        parser.add_argument("--dry-run", action="store_true", help="Say what would be done. Nothing is changed.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object per message.")

    def handle(self, *args: Any, paths: list[str], dry_run: bool, **options: Any) -> None:
        self.dry_run, self.as_json = dry_run, options["json"]
        self.unread, told = 0, Counter[Outcome]()
        try:
            for batch in self._batches(paths):
                for name, receipt in self._received(batch):
                    told[receipt.outcome] += 1
                    self._tell(name, receipt)
        except Error as error:
            # Its kind only: the words of a database may hold an address.
            self.stderr.write(type(error).__name__)
            raise CommandError("The database did not take it. Try again later.", returncode=EX_TEMPFAIL) from None
        if not self.as_json and told.total() > 1:
            self._sum_up(told)
        if self.unread:
            raise CommandError("Not every file could be read.", returncode=EX_NOINPUT)

    def _batches(self, paths: list[str]) -> Iterator[list[Message]]:
        """Yield the messages in batches; in a dry run each by itself, so that its line is printed when it is read."""
        most = 1 if self.dry_run else mailbox.BATCH
        batch: list[Message] = []
        octets = 0
        for path in paths:
            for found in mail_files.read(path):
                if isinstance(found, Unread):
                    self.stderr.write(f"{_printable(found.name)}: {found.why}")
                    self.unread += 1
                    continue
                batch.append(found)
                octets += len(found.raw)
                if len(batch) >= most or octets >= mailbox.BATCH_OCTETS:
                    yield batch
                    batch, octets = [], 0
        if batch:
            yield batch

    def _received(self, batch: list[Message]) -> Iterator[tuple[str, Receipt]]:
        messages = [message.raw for message in batch]
        receipts = (
            [mailbox.look(raw) for raw in messages] if self.dry_run else mailbox.receive(messages, at=timezone.now())
        )
        for message, receipt in zip(batch, receipts, strict=True):
            if receipt.error:
                self.stderr.write(f"{_printable(message.name)}: {WORDS[Outcome.BROKEN]} ({receipt.error})")
            yield message.name, receipt

    def _tell(self, name: str, receipt: Receipt) -> None:
        if self.as_json:
            line: dict[str, Any] = {
                "file": name, "kind": receipt.kind.value, "recipients": [as_json(who) for who in receipt.recipients],
                "token": receipt.token.value,
            }  # fmt: skip
            if not self.dry_run:
                line["outcome"] = receipt.outcome.value
            self.stdout.write(json.dumps(line))
        elif not receipt.error:
            words = f"would be {WORDS[receipt.outcome]}" if self.dry_run else WORDS[receipt.outcome]
            self.stdout.write(f"{_printable(name)}: {receipt.kind.value}: {words}")
        self.stdout.flush()

    def _sum_up(self, told: Counter[Outcome]) -> None:
        self.stdout.write(f"{told.total():,} messages")
        for outcome, words in WORDS.items():
            if told[outcome]:
                self.stdout.write(f"  {told[outcome]:>9,}  {words}")


def _printable(name: str) -> str:
    """Return a name of a file that a terminal can show, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "replace")
