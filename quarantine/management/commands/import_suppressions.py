"""Leave out the addresses of a CSV file, here and now."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from profiles import imports
from profiles.management.commands.import_profiles import Command as ImportProfiles
from quarantine.suppressions import KIND


class Command(ImportProfiles):
    help = (
        "Leave the addresses of a CSV file out of every delivery, whoever has them: a list of another system, or one "
        "that was exported here. The first line names the columns, in any order: address for an email address or a "
        "number, or email, mobile_phone, phone, postal_address; and, if wanted, channel (email, sms, push, "
        "direct_mail, phone), cause (bounce, complaint, stop, person, operator, import), reason, date, until, note, "
        "answer, status (only left_out is left out), country. An address that is left out for good stays as it is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--source", default="", help="where this list comes from; kept in the history of each")
        parser.add_argument("--rejected", type=Path, help="write the lines that were refused to this CSV file")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def asked(self, options: dict[str, Any]) -> imports.Options:
        return imports.Options(provenance=options["source"], kind=KIND)
