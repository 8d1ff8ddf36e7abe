"""Who did what on a delivery, and when: from its dates, its analyses and the audit. Newest first, a short list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from profiles.models import AuditEvent
from profiles.plots import grouped

from .models import AnalysisRun, Delivery, State

LATEST = 15  # of each kind
R = AnalysisRun.State


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened: when, what, and who did it (empty when nobody did)."""

    at: datetime
    what: str
    by: str = ""


def happenings(delivery: Delivery) -> Sequence[Happening]:
    """Return what happened to a delivery, newest first. Two queries."""
    acts = list(
        AuditEvent.objects.filter(subject=delivery._meta.label, subject_id=str(delivery.pk)).order_by("-pk")[:LATEST]
    )
    found = [*_dates(delivery, acts), *_analyses(delivery), *(_told(act) for act in acts)]
    return sorted(found, key=lambda one: one.at, reverse=True)


def _dates(delivery: Delivery, acts: Sequence[AuditEvent]) -> Iterator[Happening]:
    yield Happening(delivery.created_at, _("Written"), str(delivery.created_by or ""))
    started = delivery.started_at
    if started and not any(act.after.get("state") == State.SENDING and act.at == started for act in acts):
        told = _("Sending began by itself, as scheduled") if delivery.scheduled_at else _("Sending began")
        yield Happening(started, told)
    if delivery.finished_at:
        yield Happening(delivery.finished_at, _("Stopped") if delivery.state == State.STOPPED else _("Finished"))


def _analyses(delivery: Delivery) -> Iterator[Happening]:
    runs = AnalysisRun.objects.filter(delivery=delivery, dry=False).exclude(state=R.RUNNING)
    for run in runs.select_related("by").order_by("-number")[:LATEST]:
        told = {
            R.DONE: ngettext("Analysed: %(n)s address targeted", "Analysed: %(n)s addresses targeted", run.targeted),
            R.STOPPED: _("An analysis was stopped"),
            R.FAILED: _("An analysis failed"),
        }[R(run.state)]
        yield Happening(run.at, told % {"n": grouped(run.targeted)}, str(run.by or ""))


def _told(act: AuditEvent) -> Happening:
    return Happening(act.at, _resolved(act) or _moved(act.before, act.after) or _exported(act), act.actor_name)


def _resolved(act: AuditEvent) -> str:
    """Say what somebody decided about messages whose outcome was unknown."""
    number = act.rows or 0
    match act.after.get("in_doubt"):
        case "arrived":
            told = ngettext(
                "%(n)s message whose outcome was unknown was said to have arrived",
                "%(n)s messages whose outcome was unknown were said to have arrived",
                number,
            )
        case "again":
            told = ngettext(
                "%(n)s message whose outcome was unknown was sent again",
                "%(n)s messages whose outcome was unknown were sent again",
                number,
            )
        case _other:
            return ""
    return told % {"n": grouped(number)}


def _moved(before: dict[str, Any], after: dict[str, Any]) -> str:
    origin, state = before.get("state"), after.get("state")
    if state == State.SCHEDULED and after.get("scheduled_at"):
        at = date_format(localtime(datetime.fromisoformat(after["scheduled_at"])), "DATETIME_FORMAT")
        return _("Scheduled for %(at)s") % {"at": at}
    if (origin, state) == (State.SCHEDULED, State.ANALYSED):
        return _("Date taken away")
    if (origin, state) == (State.PAUSED, State.SENDING):
        return _("Taken up again")
    told = {
        State.SENDING: _("Sending began"),
        State.PAUSED: _("Paused"),
        State.STOPPING: _("Stopped for good"),
        State.DRAFT: _("The analysis under way was stopped"),
    }
    return told.get(state, "") if state else ""


def _exported(act: AuditEvent) -> str:
    if act.action == AuditEvent.Action.EXPORTED and act.rows is not None:
        told = ngettext(
            "List of %(n)s person left out downloaded", "List of %(n)s people left out downloaded", act.rows
        )
        return told % {"n": grouped(act.rows)}
    return str(act.get_action_display())
