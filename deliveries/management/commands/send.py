"""Send an analysed delivery."""

from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from deliveries import reports, sending
from deliveries.errors import ChannelNotSent, MoveRefused, NotReady
from deliveries.management.base import DeliveryCommand
from deliveries.models import Delivery, LogStatus, State
from deliveries.tasks import send_delivery
from profiles.ring import ring


class Command(DeliveryCommand):
    help = "Send an analysed delivery (rings the worker's task) and print what became of each message."

    def handle(self, *args: Any, **options: Any) -> None:
        delivery = self.find(options["delivery"])
        try:
            sending.start(delivery, at=timezone.now())
        except NotReady as error:
            raise CommandError("\n".join(error.problems)) from error
        except (MoveRefused, ChannelNotSent) as error:
            raise CommandError(str(error)) from error
        ring(send_delivery, delivery.pk)
        if not options["wait"]:
            self.stdout.write(f"“{delivery}” is being sent. A worker does it.")
            return
        ends = {State.FINISHED, State.STOPPED, State.PAUSED, State.FAILED}
        self.wait(delivery, ends, lambda: _progress(delivery), options["timeout"])
        self._report(delivery, as_json=options["json"])
        if delivery.state != State.FINISHED:
            raise CommandError(delivery.problem or f"The delivery is now “{State(delivery.state).label}”.")

    def _report(self, delivery: Delivery, *, as_json: bool) -> None:
        if delivery.current_run is None:
            return
        found = reports.outcomes(delivery.current_run)
        if as_json:
            counts = {status.name.lower(): n for status, n in found.items()}
            self.emit({"delivery": delivery.pk, "state": delivery.state, "targeted": sum(found.values()), **counts})
            return
        self.stdout.write(f"“{delivery}”: {State(delivery.state).label}")
        self.table([("Targeted", sum(found.values())), *((f"- {status.label}", n) for status, n in found.items())])


def _progress(delivery: Delivery) -> str:
    if delivery.current_run is None:
        return ""
    found = reports.outcomes(delivery.current_run)
    left = found[LogStatus.PENDING] + found[LogStatus.RETRY] + found[LogStatus.HANDING_OFF]
    return f"{found[LogStatus.SENT]:,} sent, {left:,} to go"
