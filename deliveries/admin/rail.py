"""The steps of a delivery, from its target to its results: where each stands, in a word and in a line."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import get_language_info, gettext_lazy, ngettext
from django.utils.translation import gettext as _

from deliveries import reports
from deliveries.models import Delivery, LogStatus, State
from profiles.channels import Channel
from profiles.plots import grouped

from . import summary
from .standing import Standing, percent


class Stage(StrEnum):
    """Where one step stands."""

    TODO = "todo"
    DONE = "done"
    ATTENTION = "attention"
    UNDER_WAY = "moving"
    LATER = "later"
    SKIPPED = "skipped"


WORDS = {
    Stage.TODO: gettext_lazy("To do"),
    Stage.DONE: gettext_lazy("Done"),
    Stage.ATTENTION: gettext_lazy("Needs attention"),
    Stage.UNDER_WAY: gettext_lazy("Under way"),
    Stage.LATER: gettext_lazy("Later"),
    Stage.SKIPPED: gettext_lazy("Skipped"),
}
ICONS = {
    Stage.TODO: "○", Stage.DONE: "✓", Stage.ATTENTION: "!", Stage.UNDER_WAY: "…", Stage.LATER: "·", Stage.SKIPPED: "–",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the rail: its name, where it stands, a line that says more, and where it leads."""

    name: str
    stage: Stage
    fact: str
    url: str

    @property
    def word(self) -> str:
        return str(WORDS[self.stage])

    @property
    def icon(self) -> str:
        return ICONS[self.stage]


Said = tuple[Stage, str]


def steps(standing: Standing) -> list[Step]:
    """Return the steps in their order."""
    url = content_url(standing.delivery, standing.languages[0] if standing.languages else "")
    parts: list[tuple[str, Callable[[Standing], Said], str]] = [
        (_("Target"), _target, "#target"),
        (_("Content"), _content, url if standing.delivery.is_editable else "#message"),
        (_("Checks"), _checks, "#checks"),
        (_("Analysis"), _analysis, "#who" if standing.waterfall else "#now"),
        (_("Tests"), _tests, "#tests"),
        (_("Send"), _send, _send_url(standing)),
        (_("Results"), _results, "#results" if standing.is_sent else "#now"),
    ]
    return [Step(name, *say(standing), url) for name, say, url in parts]


def content_url(delivery: Delivery, language: str = "") -> str:
    """Return where the message of a language is written."""
    return reverse("admin:deliveries_delivery_content", args=[delivery.pk, language or settings.LANGUAGES[0][0]])


def moment(standing: Standing, at: object) -> str:
    """Return a moment as the reader's clock shows it, with its day unless it is today."""
    local = localtime(at)  # type: ignore[arg-type]
    today = localtime(standing.at).date() == local.date()
    return str(date_format(local, "TIME_FORMAT" if today else "SHORT_DATETIME_FORMAT"))


def _send_url(standing: Standing) -> str:
    if standing.state == State.ANALYSED and standing.may("send_delivery"):
        return reverse("admin:deliveries_delivery_review", args=[standing.delivery.pk])
    return "#now"


def _target(standing: Standing) -> Said:
    empty = standing.expected == "0" and standing.delivery.is_editable
    return Stage.ATTENTION if empty else Stage.DONE, summary.who(standing.delivery, standing.expected)


def _content(standing: Standing) -> Said:
    if not standing.languages:
        return Stage.TODO, _("nothing is written yet")
    names = ", ".join(_language(code) for code in standing.languages)
    return Stage.DONE, _("written in %(languages)s") % {"languages": names}


def _language(code: str) -> str:
    return str(get_language_info(code)["name_translated"])


def _checks(standing: Standing) -> Said:
    if standing.is_sent:
        return Stage.DONE, _("checked before it was sent")
    errors, warnings = len(standing.errors), len(standing.warnings)
    said = []
    if errors:
        said.append(ngettext("%(n)s error", "%(n)s errors", errors) % {"n": errors})
    if warnings:
        said.append(ngettext("%(n)s warning", "%(n)s warnings", warnings) % {"n": warnings})
    return Stage.ATTENTION if errors else Stage.DONE, ", ".join(said) or _("nothing found")


def _analysis(standing: Standing) -> Said:
    run, found = standing.run, standing.waterfall
    if standing.state == State.ANALYSING and run is not None:
        return Stage.UNDER_WAY, _("%(percent)s%% looked at") % {"percent": int(100 * reports.progress(run))}
    if standing.state == State.FAILED:
        return Stage.ATTENTION, _("it failed")
    if run is None or found is None:
        return Stage.TODO, _("nobody is looked at yet")
    words = {
        "at": moment(standing, run.at), "to_send": grouped(found.to_send), "left_out": grouped(found.left_out),
    }  # fmt: skip
    return Stage.DONE, _("%(at)s: %(to_send)s to send, %(left_out)s left out") % words


def _tests(standing: Standing) -> Said:
    number = len(standing.proofs)
    if not number:
        return (
            (Stage.TODO, _("none sent yet")) if standing.delivery.is_editable else (Stage.SKIPPED, _("none was sent"))
        )
    told = ngettext("%(n)s test sent", "%(n)s tests sent", number) % {"n": number}
    trouble = standing.delivery.is_editable and standing.proofs[0].status in (LogStatus.FAILED, LogStatus.SUPPRESSED)
    return (Stage.ATTENTION, _("the last one was refused")) if trouble else (Stage.DONE, told)


def _send(standing: Standing) -> Said:
    delivery, state = standing.delivery, standing.state
    if state == State.SCHEDULED and delivery.scheduled_at:
        return Stage.UNDER_WAY, _("scheduled for %(at)s") % {"at": moment(standing, delivery.scheduled_at)}
    if state in (State.SENDING, State.STOPPING):
        done = {"done": grouped(standing.to_send - standing.left), "whole": grouped(standing.to_send)}
        return Stage.UNDER_WAY, _("%(done)s of %(whole)s") % done
    if state == State.PAUSED:
        return Stage.ATTENTION, _("paused, %(left)s to go") % {"left": grouped(standing.left)}
    if state in (State.FINISHED, State.STOPPED) and delivery.finished_at:
        words = {"at": moment(standing, delivery.finished_at)}
        if state == State.STOPPED:
            return Stage.ATTENTION, _("stopped %(at)s") % words
        return Stage.DONE, _("finished %(at)s") % words
    if delivery.error:
        return Stage.ATTENTION, _("it waits for you")
    if state == State.ANALYSED and delivery.channel != Channel.EMAIL:
        return Stage.LATER, _("nothing sends this channel yet")
    if state == State.ANALYSED and standing.errors:
        return Stage.LATER, _("once the checks find no error")
    if state == State.ANALYSED:
        return Stage.TODO, _("ready, now or on a date")
    return Stage.LATER, _("after the analysis")


def _results(standing: Standing) -> Said:
    if not standing.is_sent:
        return Stage.LATER, _("once it is sent")
    told = _("%(percent)s sent") % {"percent": percent(standing.sent, standing.to_send)}
    if standing.outcomes.get(LogStatus.IN_DOUBT):
        return Stage.ATTENTION, _("%(told)s, the outcome of some is unknown") % {"told": told}
    return Stage.DONE if standing.state in (State.FINISHED, State.STOPPED) else Stage.UNDER_WAY, capfirst(told)
