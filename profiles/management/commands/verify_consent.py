"""Check that the ledger of consent is whole, and that people's state is what it says.

    manage.py verify_consent [--head NUMBER:DIGEST] [--json]

It changes nothing. Exit code 0: nothing is wrong; 1: something is. The last line is the head of the chain of seals:
keep it outside of the database (print it, mail it to somebody) and give it back later with --head.
"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from profiles.verify import Report, verify


class Command(BaseCommand):
    help = (
        "Check the ledger of consent: its triggers and seals are whole, and flags and subscriptions are what its "
        "events say. Changes nothing. Exit code 1 when something is wrong."
    )
    # A trigger that is missing is for the report to tell, among everything else that is wrong.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", default="", help="a seal that was kept outside, as this command printed it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        report = verify(head=options["head"].strip())
        if options["json"]:
            told = {name: getattr(report, name) for name in Report.__slots__}
            self.stdout.write(json.dumps({**told, "ok": not report.problems}))
        else:
            self._tell(report)
        if report.problems:
            raise SystemExit(1)

    def _tell(self, report: Report) -> None:
        self.stdout.write(f"{report.profiles:>12,}  profiles compared with their events")
        self.stdout.write(f"{report.events:>12,}  events in the ledger")
        self.stdout.write(f"{report.sealed:>12,}  of them sealed, in {report.seals:,} seals")
        self.stdout.write(f"{report.unsealed:>12,}  not sealed yet (a periodic job seals them within a minute)")
        for kind, text in report.problems:
            self.stdout.write(self.style.ERROR(f"{kind}: {text}"))
        more = report.counts.total() - len(report.problems)
        if more:
            self.stdout.write(self.style.ERROR(f"and {more:,} more"))
        told = f"{report.counts.total():,} things are wrong." if report.problems else "Nothing is wrong."
        self.stdout.write(told)
        self.stdout.write(f"Head of the seals, to keep outside of the database: {report.head or 'none yet'}")
