"""Analyse a delivery: who would get it, and who is left out and why."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from deliveries import analysis, reports
from deliveries.criteria import CriteriaRefused
from deliveries.errors import AnalysisUnderWay, MoveRefused
from deliveries.management.base import DeliveryCommand
from deliveries.models import AnalysisRun, Delivery, State
from deliveries.tasks import analyse_delivery
from profiles.ring import ring


class Command(DeliveryCommand):
    help = "Analyse a delivery (rings the worker's task) and print who is left out and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="Only count, in this process; change nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        delivery, dry = self.find(options["delivery"]), options["dry_run"]
        try:
            run = analysis.start(delivery, at=timezone.now(), dry=dry)
        except (MoveRefused, AnalysisUnderWay, CriteriaRefused) as error:
            raise CommandError(str(error)) from error
        if dry:
            self._count(delivery, run, as_json=options["json"])
            return
        ring(analyse_delivery, delivery.pk)
        if not options["wait"]:
            self.stdout.write(f"Analysis {run.number} of “{delivery}” has been asked for. A worker does it.")
            return
        self.wait(delivery, {State.ANALYSED, State.DRAFT, State.FAILED}, lambda: _progress(run), options["timeout"])
        if delivery.state != State.ANALYSED:
            raise CommandError(delivery.problem or "The analysis was stopped.")
        run.refresh_from_db()
        self._report(delivery, run, as_json=options["json"])

    def _count(self, delivery: Delivery, run: AnalysisRun, *, as_json: bool) -> None:
        """Do a dry run in this process, for no worker is asked."""
        while analysis.work(delivery.pk):
            self.stderr.write(_progress(run))
        run.refresh_from_db()
        if run.state != AnalysisRun.State.DONE:
            raise CommandError("The analysis was stopped.")
        self._report(delivery, run, as_json=as_json)

    def _report(self, delivery: Delivery, run: AnalysisRun, *, as_json: bool) -> None:
        found = reports.waterfall(run)
        if as_json:
            self.emit(
                {
                    "delivery": delivery.pk,
                    "run": run.number,
                    "targeted": found.targeted,
                    "left_out": {line.reason.name.lower(): line.first for line in found.lines},
                    "in_all": {line.reason.name.lower(): line.in_all for line in found.lines},
                    "to_send": found.to_send,
                }
            )
            return
        self.stdout.write(f"“{delivery}”, analysis {run.number}")
        self.table(
            [
                ("Targeted", found.targeted),
                *((f"- {line.label}", line.first) for line in found.lines),
                ("To send", found.to_send),
            ]
        )


def _progress(run: AnalysisRun) -> str:
    run.refresh_from_db()
    return f"{reports.progress(run):.0%} analysed"
