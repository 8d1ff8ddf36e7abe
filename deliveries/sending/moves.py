"""The moves that people make: start, pause, resume and stop a delivery."""

from datetime import datetime

from django.utils.translation import gettext as _

from profiles.channels import Channel

from .. import control, lifecycle, plan, watch
from ..criteria import CriteriaRefused
from ..errors import ChannelNotSent, MoveRefused, NotReady
from ..models import Delivery, State


def ensure_ready(delivery: Delivery, *, at: datetime) -> None:
    """Raise what forbids to send what the analysis kept.

    NotReady (other sending rules, or errors of the control rules), ChannelNotSent, or MoveRefused: it has changed.
    """
    if delivery.channel != Channel.EMAIL:
        raise ChannelNotSent
    run = delivery.current_run
    if run is None or run.delivery_version != delivery.version:
        raise MoveRefused(delivery.label, str(State(delivery.state).label), str(State.SENDING.label))
    try:
        if plan.outdated(run, delivery, at=at):
            raise NotReady([_("The audience or the sending rules have changed since the analysis. Analyse again.")])
    except CriteriaRefused as error:
        raise NotReady([str(error)]) from error
    if problems := [
        f"{finding.text} {finding.remedy}".strip() for finding in control.check(delivery) if finding.blocks
    ]:
        raise NotReady(problems)


def start(delivery: Delivery, *, at: datetime) -> None:
    """Begin to send what the analysis kept; the edge then rings the task. Raise as `ensure_ready` does."""
    ensure_ready(delivery, at=at)
    lifecycle.move(delivery, State.SENDING, only_from=State.ANALYSED, started_at=at, error="")


def pause(delivery: Delivery, *, problem: str = "") -> None:
    """Claim nothing more for now. At most the messages already leaving still arrive."""
    lifecycle.move(delivery, State.PAUSED, only_from=State.SENDING, error=problem[:500])


def resume(delivery: Delivery) -> None:
    """Go on with a paused delivery. What it had done by now, whoever resumes has seen: see `watch`."""
    lifecycle.move(delivery, State.SENDING, only_from=State.PAUSED, error="", tolerated=watch.seen_now(delivery))


def stop(delivery: Delivery) -> None:
    """Send nothing more, for good; the task then cancels what is left."""
    lifecycle.move(delivery, State.STOPPING)
