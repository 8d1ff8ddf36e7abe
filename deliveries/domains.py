"""Mail domains: the limits that they have, and the rests that their answers ask for.

    limits = Limits(owner)                          one for each connection to the mail server
    limits.ask("example.org")                       0.0: go, and a place is held; else the seconds to wait
    limits.done("example.org")                      it has left
    limits.note("example.org", outcome, at=now)     its answer may begin a rest, or end a row of refusals

A domain without limits that is not at rest costs nothing to ask about. A rest begins with an answer about the domain
(blocked, too fast), or with the fifth temporary refusal in a row. It doubles from one minute to an hour, with some
chance, until a message is accepted. All workers see it within about a second.
"""

import itertools
import random
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta

from django.db.models import Q

from profiles.addresses import a_label

from .budgets import Budget, Limit, shared
from .models import LogStatus, MailDomain
from .transports import Outcome
from .transports.base import Blame

READ_EVERY = 1.0  # seconds
REFUSALS_BEFORE_REST = 5
FIRST_REST, LONGEST_REST = timedelta(minutes=1), timedelta(hours=1)


def domain_of(address: str) -> str:
    """Return the domain of an address as typed, in A-labels (RFC 5890)."""
    host = address.rpartition("@")[2].strip()
    try:
        return a_label(host)
    except UnicodeError:
        return host.lower()


class Limits:
    """What one sender knows of the domains that must be gone easy on."""

    def __init__(self, owner: str, *, budget: Budget | None = None) -> None:
        self._owner, self._budget = owner, budget or shared()
        self._numbers = itertools.count()
        self._held: defaultdict[str, list[tuple[Limit, str]]] = defaultdict(list)
        self._limits: dict[str, Limit] = {}
        self._rests: dict[str, float] = {}
        self._tired: set[str] = set()
        self._refused: Counter[str] = Counter()
        self._read_at = 0.0

    def ask(self, domain: str) -> float:
        """Take leave for one message; return 0.0, or the seconds to wait before asking again."""
        now = time.time()
        if now - self._read_at > READ_EVERY:
            self.read()
        if (rest := self._rests.get(domain, 0.0) - now) > 0:
            return rest
        limit = self._limits.get(domain)
        if limit is None:
            return 0.0
        place = f"{self._owner}:{next(self._numbers)}"
        if not (wait := self._budget.take(limit, owner=place)):
            self._held[domain].append((limit, place))
        return wait

    def done(self, domain: str) -> None:
        """Give back the place of a message that has left, or does not leave after all."""
        if held := self._held.get(domain):
            limit, place = held.pop()
            self._budget.give_back(limit, owner=place)

    def note(self, domain: str, outcome: Outcome, *, at: datetime) -> None:
        """Begin a rest of the domain when its answer asks for one; end them with a message it accepts."""
        if outcome.status == LogStatus.SENT:
            self._refused.pop(domain, None)
            if domain in self._tired:
                self._tired.discard(domain)
                MailDomain.objects.filter(domain=domain).update(deferrals=0, not_before=None)
            return
        if outcome.blame == Blame.ADDRESS and outcome.status == LogStatus.RETRY:
            self._refused[domain] += 1
        if outcome.blame == Blame.DOMAIN or self._refused[domain] >= REFUSALS_BEFORE_REST:
            self._refused.pop(domain, None)
            rest(domain, outcome.answer, at=at)
            self.read()

    def read(self) -> None:
        """Read which domains have limits or rest now. One query."""
        self._read_at = time.time()
        self._limits, self._rests, self._tired = {}, {}, set()
        limited = Q(per_minute__isnull=False) | Q(at_once__isnull=False)
        for row in MailDomain.objects.filter(limited | Q(deferrals__gt=0)):
            if row.per_minute or row.at_once:
                interval = 60 / row.per_minute if row.per_minute else 0.0
                self._limits[row.domain] = Limit(row.pk, row.domain, interval, row.at_once or 0)
            if row.not_before:
                self._rests[row.domain] = row.not_before.timestamp()
            if row.deferrals:
                self._tired.add(row.domain)


def rest(domain: str, answer: str, *, at: datetime) -> None:
    """Let nothing leave to a domain for a while, longer each time; of several who ask at once, one begins it."""
    known, _created = MailDomain.objects.get_or_create(domain=domain)
    if known.not_before and known.not_before > at:
        return
    longer: timedelta = min(FIRST_REST * 2 ** min(known.deferrals, 10), LONGEST_REST)
    until = at + longer * float(random.uniform(0.8, 1.2))  # noqa: S311 (spreads load, hides nothing)
    MailDomain.objects.filter(pk=known.pk, deferrals=known.deferrals).update(
        deferrals=known.deferrals + 1, not_before=until, answer=answer, answered_at=at
    )


def rests_within(span: timedelta) -> int:
    """Return how many rests in a row last about so long together."""
    number, lasted = 0, timedelta()
    while lasted < span:
        lasted += min(FIRST_REST * 2 ** min(number, 10), LONGEST_REST)
        number += 1
    return number


def write_again(known: MailDomain) -> bool:
    """End the rest of a domain; return whether it was at rest."""
    resting = MailDomain.objects.filter(pk=known.pk, deferrals__gt=0)
    return bool(resting.update(deferrals=0, not_before=None))
