"""Make the shipped data set of the demonstration again: campaign/demo/data/*.csv, always the same."""

from typing import Any

from django.core.management.base import BaseCommand

from campaign.demo import people


class Command(BaseCommand):
    help = "Write the made-up people of the demonstration into campaign/demo/data/. The files never change by chance."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        for path in people.write():
            self.stdout.write(str(path))
