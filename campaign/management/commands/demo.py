"""Run everything on this machine, with made-up people: `make demo`."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaign.demo.console import Console
from campaign.demo.run import run
from campaign.demo.supervisor import DemoFailed


class Command(BaseCommand):
    help = (
        "Run everything on this machine, with made-up people: set up the database, import 3,000 people, analyse and "
        "send a delivery to a mail server that keeps every message, then serve the pages until Ctrl-C."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="Port of the pages (8000).")
        parser.add_argument("--no-serve", action="store_true", help="Stop everything once the main job is done.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run(
                Console(self._write, terminal=self.stdout.isatty()), port=options["port"], serve=not options["no_serve"]
            )
        except DemoFailed as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stdout.write("\nStopped before the end. What was done is kept; the next run goes on from it.")
            sys.exit(130)

    def _write(self, text: str) -> None:
        self.stdout.write(text, ending="")
        self.stdout.flush()
