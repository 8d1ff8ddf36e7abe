"""What is seen while a delivery is being sent: who was left out on the way, how mail domains answer, why it waits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import tally
from deliveries.held import Held, why
from deliveries.models import LogStatus, Reason, State
from deliveries.reports import Drift, most_leaving
from profiles.plots import grouped

from .rail import moment
from .standing import Standing

OPT_OUTS = {Reason.BLACKLISTED, Reason.BLACKLISTED_CHANNEL, Reason.UNSUBSCRIBED}
NOT_IN_USE = {
    Reason.QUARANTINED_BOUNCE, Reason.QUARANTINED_COMPLAINT, Reason.QUARANTINED_STOP, Reason.QUARANTINED_PERSON,
    Reason.QUARANTINED_OPERATOR, Reason.QUARANTINED_IMPORT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Domain:
    """A mail domain that does not take everything: its counts, where it stands (and in which tone), its last answer."""

    name: str
    sent: str
    failed: str
    deferred: str
    blocked: str
    state: str
    tone: str
    answer: str


@dataclass(frozen=True, slots=True)
class Paused:
    """Why a delivery is paused, what to do about it, and where (empty where there is nothing to look at)."""

    why: str
    todo: str
    link: str = ""
    url: str = ""
    by_itself: bool = True


def drift(found: Sequence[Drift]) -> str:
    """Say who was left out since the analysis: "15 opt-outs, 2 addresses not in use"."""
    opt_outs = sum(line.since for line in found if line.reason in OPT_OUTS)
    not_in_use = sum(line.since for line in found if line.reason in NOT_IN_USE)
    said = []
    if opt_outs:
        said.append(ngettext("%(n)s opt-out", "%(n)s opt-outs", opt_outs) % {"n": grouped(opt_outs)})
    if not_in_use:
        told = ngettext("%(n)s address not in use", "%(n)s addresses not in use", not_in_use)
        said.append(told % {"n": grouped(not_in_use)})
    others = Counter({line.reason: line.since for line in found if line.reason not in OPT_OUTS | NOT_IN_USE})
    said += [
        _("%(n)s for another reason (%(reason)s)") % {"n": grouped(number), "reason": reason.label}
        for reason, number in others.most_common()
    ]
    return ", ".join(said)


def domains(standing: Standing) -> list[Domain]:
    """Return the mail domains with the most trouble, the worst first."""
    return [_domain(standing, found) for found in standing.domains]


def _domain(standing: Standing, found: tally.DomainState) -> Domain:
    counts = found.counts
    state, tone = _("Takes messages"), "good"
    if found.waits_until:
        state, tone = _("Waits until %(at)s") % {"at": moment(standing, found.waits_until)}, "wait"
    elif not counts.sent:
        state, tone = _("Has taken none"), "bad"
    return Domain(
        counts.domain, grouped(counts.sent), grouped(counts.failed), grouped(counts.deferred), grouped(counts.blocked),
        state, tone, counts.answer,
    )  # fmt: skip


def paused(standing: Standing) -> Paused | None:
    """Say why a delivery is paused and what to do, or return None when it is not."""
    delivery = standing.delivery
    if standing.state != State.PAUSED:
        return None
    again = _("Then press “Go on”: what you have seen does not pause it again.")
    refused = reverse("admin:deliveries_delivery_by_status", args=[delivery.pk, int(LogStatus.FAILED)])
    match why(delivery.error):
        case Held.HARD:
            return Paused(delivery.problem, again, _("See the addresses that were refused"), refused)
        case Held.COMPLAINTS:
            return Paused(delivery.problem, again, _("See whom it is for"), "#target")
        case Held.BLOCKED:
            return Paused(delivery.problem, again, _("See what the mail domains answer"), "#domains")
    if delivery.error:
        told = _("Paused by itself: the receiving side refuses us, whatever the address. It answered: %(text)s")
        todo = _("Have whoever looks after the mail server put that right. Then press “Go on”.")
        return Paused(told % {"text": delivery.problem}, todo)
    told = ngettext(
        "Somebody has paused it. %(left)s message is still to go.",
        "Somebody has paused it. %(left)s messages are still to go.",
        standing.left,
    )
    return Paused(
        told % {"left": grouped(standing.left)},
        _("None of them leaves before somebody presses “Go on”."),
        by_itself=False,
    )


def still_leaving() -> str:
    """Say how many messages may still arrive after a pause or a stop."""
    number = most_leaving()
    told = ngettext(
        "At most %(n)s message that is already leaving may still arrive.",
        "At most %(n)s messages that are already leaving may still arrive.",
        number,
    )
    return told % {"n": grouped(number)}
