"""What is under way on a delivery: how far it is, how fast, how long it still takes, and what stopping it would do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import durations, pace, reports
from deliveries.models import LogStatus, State
from profiles.plots import grouped

from . import live
from .rail import moment
from .standing import Standing

SOONEST = timedelta(seconds=3)  # before that, a speed says nothing


@dataclass(frozen=True, slots=True)
class Progress:
    """Work under way: `percent` from 0 to 100, and lines about it."""

    percent: int
    done: str
    pace: str
    stopping: str
    quiet: bool = False
    waiting: str = ""


def of(standing: Standing, minutes: Sequence[pace.Slice]) -> Progress | None:
    """Return how far the work under way is, or None when there is none. Two queries at most."""
    match standing.state:
        case State.ANALYSING:
            return _analysing(standing)
        case State.SENDING:
            return _sending(standing, minutes)
        case State.STOPPING:
            return Progress(
                _percent(standing), _("Stopping: what has not left yet is being cancelled."), "",
                live.still_leaving(),
            )  # fmt: skip
    return None


def _analysing(standing: Standing) -> Progress:
    run = standing.run
    share = reports.progress(run) if run is not None else 0.0
    said = ""
    if run is not None and 0 < share < 1 and standing.at - run.at > SOONEST:
        elapsed = standing.at - run.at
        speed = standing.written / elapsed.total_seconds()
        said = _pace(speed, elapsed * ((1 - share) / share))
    number = ngettext(
        "Analysing: %(n)s address looked at. Nothing is sent.",
        "Analysing: %(n)s addresses looked at. Nothing is sent.",
        standing.written,
    )
    stopping = _("If you stop it, nothing of it is kept, and the delivery is a draft as before.")
    if standing.delivery.approved is not None:
        stopping = _(
            "It was scheduled, and goes by itself if all is as agreed. If you stop it, the date goes away too."
        )
    return Progress(int(100 * share), number % {"n": grouped(standing.written)}, said, stopping)


def _sending(standing: Standing, minutes: Sequence[pace.Slice]) -> Progress:
    run, started_at = standing.delivery.current_run, standing.delivery.started_at
    done = standing.to_send - standing.left
    said, quiet = "", bool(run and standing.left and reports.is_quiet(run, at=standing.at))
    waiting = reports.waiting(run, at=standing.at) if run and standing.left else None
    if started_at and standing.left and not quiet:
        speed = pace.per_second(minutes, started_at=started_at, done=done, at=standing.at)
        if speed and standing.at - started_at > SOONEST:
            # It is not over before what waits has had its turn.
            said = _pace(speed, max(timedelta(seconds=standing.left / speed), _longest_wait(standing, waiting)))
    words = {"sent": grouped(standing.sent), "left": grouped(standing.left), "whole": grouped(standing.to_send)}
    stopping = _("If you pause or stop it, no further message leaves.")
    return Progress(
        _percent(standing), _("Sending: %(sent)s sent, %(left)s to go, of %(whole)s.") % words, said,
        f"{stopping} {live.still_leaving()}", quiet, _waiting(standing, waiting),
    )  # fmt: skip


def _longest_wait(standing: Standing, waiting: reports.Waiting | None) -> timedelta:
    """Return how long the last of those that wait does: for a new try, or for the rest of its mail domain to end."""
    if waiting is None:
        return timedelta()
    rests = (found.waits_until for found in standing.domains if found.waits_until)
    return max([waiting.last, *rests]) - standing.at


def _waiting(standing: Standing, waiting: reports.Waiting | None) -> str:
    """Say how many messages wait for a new try, and until when."""
    if waiting is None:
        return ""
    number = standing.outcomes.get(LogStatus.RETRY, 0)
    words = {"n": grouped(number), "at": moment(standing, waiting.first)}
    if not number:
        return _("Some messages wait for their mail domain. It goes on at %(at)s.") % words
    told = ngettext(
        "%(n)s message waits to be tried again: at %(at)s.",
        "%(n)s messages wait to be tried again: the next ones at %(at)s.",
        number,
    )
    return told % words


def _percent(standing: Standing) -> int:
    whole = standing.to_send
    return int(100 * (whole - standing.left) / whole) if whole else 100


def _pace(per_second: float, span: timedelta) -> str:
    if per_second >= 1:
        speed = _("About %(n)s a second") % {"n": grouped(round(per_second))}
    else:
        speed = _("About %(n)s a minute") % {"n": grouped(max(round(per_second * 60), 1))}
    return _("%(speed)s, %(left)s.") % {"speed": speed, "left": durations.left(span)}
