"""Import opt-outs of a former system from a CSV file, here and now."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from profiles import imports

from .import_profiles import Command as ImportProfiles


class Command(ImportProfiles):
    help = (
        "Import opt-outs of a former system from a CSV file. It makes nobody: whoever has an address is opted out, and "
        "where nobody has it the opt-out is kept for whoever is given it later. The first line names the columns, in "
        "any order: email, mobile_phone, postal_address, or address for an email address or a number; and, if wanted, "
        "channel (email, sms, push, direct_mail, phone, all) or blacklisted, blacklisted_email, blacklisted_sms, "
        "blacklisted_push, blacklisted_direct_mail, blacklisted_phone; service, date, reason, country. Without channel "
        "and service it is the channel of the address. Nothing in the file lifts an opt-out."
    )
    needs = "--source"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--source", default="", help="where these opt-outs come from")
        parser.add_argument(
            "--service", default="", help="name of the service that is left, where a line names no channel or service"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def asked(self, options: dict[str, Any]) -> imports.Options:
        return imports.Options(
            provenance=options["source"], only_opt_outs=True, service=self.service(options["service"])
        )
