"""Measure, on servers of its own.

    manage.py bench analysis|import|inbound|leaving|optout|pages|sending [--scale N] [--repeat R] [--json]

Each benchmark makes its data, checks that the results are right before it prints a time, runs its baseline in turn
with the thing itself, and prints medians, ratios and (with --json) one JSON object. PostgreSQL and Valkey come from
the tests' packages, with files on disk and durable commits; BENCH_DATABASE_URL and BENCH_CACHE_URL name others, which
must be empty.
"""

import importlib
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

BENCHMARKS = {
    "analysis": "tests.benchmarks.analysis",
    "import": "tests.benchmarks.imports",
    "inbound": "tests.benchmarks.inbound",
    "leaving": "tests.benchmarks.leaving",
    "optout": "tests.benchmarks.optout",
    "pages": "tests.benchmarks.pages",
    "sending": "tests.benchmarks.sending",
}


class Command(BaseCommand):
    help = "Measure a part of Campaign on servers of its own: " + ", ".join(BENCHMARKS)
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=sorted(BENCHMARKS))
        parser.add_argument("--scale", type=int, default=1, help="multiplies the size of the data (default: 1)")
        parser.add_argument("--repeat", type=int, default=3, help="how often each thing is measured (default: 3)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            benchmark = importlib.import_module(BENCHMARKS[options["name"]])
        except ModuleNotFoundError as error:
            raise CommandError(f"{error}. Benchmarks need the tests and their packages: make test.") from error
        tell = self.stderr.write if options["json"] else self.stdout.write
        found: dict[str, Any] = benchmark.run(scale=options["scale"], repeat=options["repeat"], tell=tell)
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for name, value in found.items():
            self.stdout.write(f"  {name:<28} {value:,.3f}" if isinstance(value, float) else f"  {name:<28} {value}")
