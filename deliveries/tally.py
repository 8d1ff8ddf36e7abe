"""What the mail domains of a run answered, added up: for people to see which of them do not take our messages."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from .models import AnalysisRun, LogStatus, MailDomain, RunDomain
from .sql import add_domain_counts
from .transports import Outcome
from .transports.base import Blame

WORST = 10
REFUSED_FOR_GOOD = 500  # RFC 5321 section 4.2.1; less asks to try again later


class DomainTally:
    """What one sender has met of a run, until it is added up."""

    def __init__(self, run: AnalysisRun) -> None:
        self.run = run
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._answers: dict[str, str] = {}

    def note(self, domain: str, outcome: Outcome) -> None:
        """Count an answer of a domain; what was about the connection says nothing of it."""
        match outcome.status, outcome.blame:
            case LogStatus.SENT, _:
                kind = "sent"
            case _, Blame.DOMAIN | Blame.SENDER if outcome.code >= REFUSED_FOR_GOOD:
                kind = "blocked"
            case LogStatus.FAILED, Blame.ADDRESS:
                kind = "failed"
            case LogStatus.RETRY, Blame.ADDRESS | Blame.DOMAIN | Blame.SENDER:
                kind = "deferred"
            case _:
                return
        self._counts[domain][kind] += 1
        if kind != "sent":
            self._answers[domain] = outcome.answer

    def add_up(self) -> None:
        """Add it to the counters, and begin anew. One statement."""
        rows = [
            (
                domain,
                counts["sent"],
                counts["failed"],
                counts["deferred"],
                counts["blocked"],
                self._answers.get(domain, ""),
            )
            for domain, counts in sorted(self._counts.items())
        ]
        add_domain_counts(self.run.pk, rows)
        self._counts.clear()
        self._answers.clear()


@dataclass(frozen=True, slots=True)
class DomainState:
    """A domain of a run that did not take everything, and until when nothing leaves to it (None: it may)."""

    counts: RunDomain
    waits_until: datetime | None


def worst(run: AnalysisRun, *, at: datetime, limit: int = WORST) -> Sequence[DomainState]:
    """Return the domains of a run with the most trouble, the worst first. Two queries."""
    rows = list(RunDomain.objects.filter(run=run, trouble__gt=0).order_by("-trouble", "domain")[:limit])
    known = MailDomain.objects.filter(domain__in=[row.domain for row in rows], not_before__gt=at)
    rests = dict(known.values_list("domain", "not_before"))
    return [DomainState(row, rests.get(row.domain)) for row in rows]


def blocked(run: AnalysisRun) -> int:
    """Return how many refusals of a run were about us and not about an address. One query."""
    return RunDomain.objects.filter(run=run, trouble__gt=0).aggregate(n=Sum("blocked"))["n"] or 0
