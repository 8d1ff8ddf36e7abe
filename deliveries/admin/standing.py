"""Where a delivery stands: all that its page shows is read here, once, in a number of queries that stays the same.

Nothing counts or scans the log: the numbers come from runs, leases and their counters, whatever the size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Sum
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from deliveries import control, reports, tally
from deliveries.models import AnalysisRun, Delivery, Lease, LogStatus, Proof, State, Target
from deliveries.reports import Drift, Waterfall
from deliveries.tally import DomainState
from profiles import growth
from profiles.plots import grouped

MOVING = {State.ANALYSING, State.SENDING, State.STOPPING}
SENT_STATES = {State.SENDING, State.PAUSED, State.STOPPING, State.STOPPED, State.FINISHED}
OPEN = (LogStatus.PENDING, LogStatus.RETRY, LogStatus.HANDING_OFF)
TESTS = 20  # the latest ones that are looked at


@dataclass(slots=True)
class Standing:
    """What is known of a delivery at a moment, for whoever looks at it."""

    delivery: Delivery
    user: Any
    at: datetime
    run: AnalysisRun | None = None  # the one that counts, or the one under way
    languages: Sequence[str] = ()
    findings: Sequence[control.Finding] = ()
    proofs: Sequence[Proof] = ()
    waterfall: Waterfall | None = None
    outcomes: dict[LogStatus, int] = field(default_factory=dict)
    drift: Sequence[Drift] = ()
    domains: Sequence[DomainState] = ()  # the mail domains with the most trouble
    written: int = 0  # addresses that the analysis under way has looked at
    expected: str = ""  # about how many people the target has; empty when that is not known

    @property
    def state(self) -> State:
        return State(self.delivery.state)

    @property
    def is_sent(self) -> bool:
        return self.state in SENT_STATES

    @property
    def errors(self) -> Sequence[control.Finding]:
        return [finding for finding in self.findings if finding.blocks]

    @property
    def warnings(self) -> Sequence[control.Finding]:
        return [finding for finding in self.findings if not finding.blocks]

    @property
    def to_send(self) -> int:
        """Return the messages that were to be sent, whatever became of them."""
        return sum(n for status, n in self.outcomes.items() if status != LogStatus.EXCLUDED)

    @property
    def left(self) -> int:
        return sum(self.outcomes.get(status, 0) for status in OPEN)

    @property
    def sent(self) -> int:
        return self.outcomes.get(LogStatus.SENT, 0)

    def may(self, permission: str) -> bool:
        return bool(self.user.has_perm(f"deliveries.{permission}"))


def read(delivery: Delivery, user: Any, *, at: datetime) -> Standing:
    """Read where a delivery stands. Twelve queries at most."""
    found = Standing(delivery, user, at)
    found.run = delivery.current_run
    if found.state == State.ANALYSING:
        found.run = delivery.runs.filter(state=AnalysisRun.State.RUNNING, dry=False).first()
    found.languages = list(delivery.contents.order_by("language").values_list("language", flat=True))
    if not found.is_sent and found.state != State.STOPPED:
        found.findings = control.check(delivery)
    found.proofs = list(Proof.objects.filter(delivery=delivery).order_by("-pk")[:TESTS])
    if delivery.current_run is not None:
        found.waterfall = reports.waterfall(delivery.current_run)
        found.expected = grouped(found.waterfall.targeted)
    else:
        found.expected = expected(delivery, at=at)
    if found.run is not None and found.state == State.ANALYSING:
        found.written = Lease.objects.filter(run=found.run).aggregate(n=Sum("size"))["n"] or 0
    if found.is_sent and delivery.current_run is not None:
        found.outcomes = reports.outcomes(delivery.current_run)
        found.drift = reports.drift(delivery.current_run)
        found.domains = tally.worst(delivery.current_run, at=at)
    return found


def expected(delivery: Delivery, *, at: datetime) -> str:
    """Return about how many people a target has, where that is known without counting many rows. One query."""
    if delivery.target == Target.SERVICE and delivery.service is not None:
        found = growth.subscribers(delivery.service, at=at)
        number = grouped(found.number)
        return _("more than %(number)s") % {"number": number} if found.at_least else number
    if delivery.target == Target.LIST and delivery.people_list is not None:
        return grouped(delivery.people_list.size)
    return ""


def percent(part: int, whole: int) -> str:
    """Return a part in percent with one decimal; only the whole is 100 %, and only nothing is 0."""
    if not whole or part == whole or not part:
        share = 100.0 if whole and part == whole else 0.0
    else:
        share = min(max(round(100 * part / whole, 1), 0.1), 99.9)
    return _("%(number)s%%") % {"number": number_format(share, decimal_pos=0 if share in (0, 100) else 1)}
