"""What the commands about one delivery share: finding it, waiting for it, printing tables."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from deliveries.models import Delivery, State

POLL_SECONDS = 0.5


class DeliveryCommand(BaseCommand):
    """A command about one delivery, named by its number or its name."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("delivery", help="Number or name of the delivery.")
        parser.add_argument("--wait", action="store_true", help="Wait until it is done, and print the report.")
        parser.add_argument("--json", action="store_true", help="Print the report as one JSON object.")
        parser.add_argument("--timeout", type=int, default=3600, help="Give up waiting after so many seconds.")

    def find(self, name: str) -> Delivery:
        found = Delivery.objects.filter(pk=int(name)) if name.isdecimal() else Delivery.objects.filter(label=name)
        if len(found) != 1:
            raise CommandError(
                f"{len(found)} deliveries are called {name}. Give its number: it is in the address of its page."
            )
        return found[0]

    def wait(self, delivery: Delivery, until: set[State], show: Callable[[], str], timeout: int) -> None:
        """Wait until the delivery reaches one of the states; show progress on the error stream."""
        end, last = time.monotonic() + timeout, ""
        while True:
            delivery.refresh_from_db()
            if State(delivery.state) in until:
                return
            if (line := show()) != last:
                self.stderr.write(line)
                last = line
            if time.monotonic() > end:
                raise CommandError("It is not done yet. Is a worker running? Nothing is lost: it goes on when one is.")
            time.sleep(POLL_SECONDS)

    def table(self, rows: Iterable[tuple[str, int]]) -> None:
        lines = list(rows)
        width = max(len(label) for label, _n in lines)
        for label, number in lines:
            self.stdout.write(f"  {label:<{width}}  {number:>12,}")

    def emit(self, report: Mapping[str, Any]) -> None:
        self.stdout.write(json.dumps(report, ensure_ascii=False))
