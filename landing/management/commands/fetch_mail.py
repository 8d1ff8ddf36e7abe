"""Fetch the mail of IMAP_URL once and receive it; the periodic task does the same: docs/inbound-mail.md."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.utils import timezone

from landing import fetching
from landing.imap import Trouble

from .receive_mail import EX_TEMPFAIL, WORDS

EX_CONFIG = 78
LONGEST = timedelta(days=1)


class Command(BaseCommand):
    help = (
        "Fetch the mail of the mailbox IMAP_URL and receive it as receive_mail does. The exit code is 0 when all of it "
        "was received, 75 (try again later) when the mailbox or the database could not be reached, and 78 without a "
        "mailbox."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.IMAP_URL:
            raise CommandError("IMAP_URL is not set: see docs/inbound-mail.md.", returncode=EX_CONFIG)
        try:
            told = fetching.fetch(clock=timezone.now, budget=LONGEST)
        except Trouble as trouble:
            raise CommandError(f"The mailbox could not be read: {trouble}", returncode=EX_TEMPFAIL) from None
        except Error as error:
            # Its kind only: the words of a database may hold an address.
            self.stderr.write(type(error).__name__)
            raise CommandError("The database did not take it. Try again later.", returncode=EX_TEMPFAIL) from None
        if told is None:
            self.stdout.write("Somebody else is fetching it.")
            return
        self.stdout.write(f"{told.total():,} messages")
        for outcome, words in WORDS.items():
            if told[outcome]:
                self.stdout.write(f"  {told[outcome]:>9,}  {words}")
