"""The engine: for each message a claim, a hand-off and its outcome.

A task works through one or more connections, each with a lease of its own at a time. What became of a message is
written in the same transaction as the claim of the next one; before anything that takes time (a wait, the end of a
lease), it is written at once.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q
from django.utils import timezone

from profiles.channels import Channel
from profiles.models import Profile
from quarantine.answer_rules import own_rules

from .. import composing, domains, gate, lifecycle, messages, pace, sql, tally, watch
from ..errors import TemplateRefused
from ..exclusions import Judging
from ..models import AnalysisRun, Delivery, DeliveryLog, Lease, LogStatus, State
from ..transports import Transport, for_channel
from ..transports.base import Blame
from . import outcomes, stopping
from .leases import another_is_untouched, cancel_rest, give_back, next_due, settle_abandoned, take_lease
from .plain import PlainClaims
from .prepared import PreparedClaims
from .results import Answer, Result
from .waiting import Due, Waiting

S = LogStatus
FETCH = 100
# No message of a group leaves later than this after it was checked: it is given back and checked again.
CHECKED_FOR = timedelta(seconds=1)
# A range that is due so soon is waited for; for others the task is rung again.
WORTH_WAITING = timedelta(seconds=10)
# A range whose rows all wait for their domains is looked at again so soon: somebody may end a rest.
LONGEST_WAIT = timedelta(minutes=1)
LONGEST_NAP = 1.0  # seconds: so soon a pause is noticed by whoever waits
# How long what is known about messages in hand is kept when the database does not answer.
KEPT_FOR = timedelta(seconds=60)


class Halt(Exception):
    """Nobody works on this delivery for a while: the mail server does not answer, or it has been paused."""


def work(
    delivery_id: int, *, transport: Transport | None = None, budget: timedelta | None = None,
    connections: int | None = None,
) -> bool:  # fmt: skip
    """Send what is due of a delivery; return whether the task should be rung again at once.

    With `transport`, all goes through that one; else each connection has its own.
    """
    delivery = Delivery.objects.select_related("brand", "service", "current_run").get(pk=delivery_id)
    run = delivery.current_run
    if run is None:
        return False
    if delivery.state == State.STOPPING:
        return cancel_rest(delivery, run)
    own_rules()  # read here: while a message leaves, nobody waits for the database
    until = timezone.now() + (settings.TASK_BUDGET if budget is None else budget)
    number = 1 if transport else connections or settings.SENDING_CONNECTIONS
    number = max(1, min(number, Lease.objects.filter(Lease.open_q(), run=run)[:number].count()))
    if number == 1:
        again = _Sender(delivery, run, transport or for_channel(Channel(delivery.channel))).run(until=until)
    else:
        with ThreadPoolExecutor(number, "sending") as threads:
            senders = [threads.submit(_in_thread, delivery_id, until) for _n in range(number)]
        found = [sender.result() for sender in senders]
        again = any(found)
    lifecycle.finish_if_done(delivery, timezone.now())
    return again


def _in_thread(delivery_id: int, until: datetime) -> bool:
    """Send on a thread, with objects and a connection to the database that are its own."""
    try:
        delivery = Delivery.objects.select_related("brand", "service", "current_run").get(pk=delivery_id)
        run = delivery.current_run
        return run is not None and _Sender(delivery, run, for_channel(Channel(delivery.channel))).run(until=until)
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class _Ready:
    """A row with its message, or with what is wrong with its template."""

    row: DeliveryLog
    domain: str
    envelope: messages.Envelope | None
    problem: str = ""


class _Sender:
    """Works on the leases of one delivery with one connection to the mail server."""

    def __init__(self, delivery: Delivery, run: AnalysisRun, transport: Transport) -> None:
        self.delivery, self.run_of, self.transport = delivery, run, transport
        judging = Judging.now(Channel(delivery.channel))
        self.plain = PlainClaims(delivery, run, judging)
        self.claims = PreparedClaims(delivery, run, judging) if sql.claims_can_be_prepared() else self.plain
        self.composer = composing.Composer(delivery)
        self.minutes, self.tally = pace.Minutes(run), tally.DomainTally(run)
        self.limits = domains.Limits(secrets.token_hex(8))
        self.results: list[Result] = []  # not written yet
        self.wait_until: datetime | None = None  # when the first row of the lease that waits for its domain may leave
        self.against_us = 0  # refusals that were not about an address, since they were last looked at
        self.problem = ""  # what the receiving side has against us

    def run(self, *, until: datetime) -> bool:
        """Send what is due; return whether there is more to do at once."""
        try:
            while not self._is_over(until):
                lease = take_lease(self.run_of, at=timezone.now())
                if lease is not None:
                    self._work_on(lease, until)
                elif not self._wait_for_a_lease(until):
                    return False
        except Halt:
            return False
        finally:
            self.transport.close()
        return True

    def _is_over(self, until: datetime) -> bool:
        return stopping.is_asked() or timezone.now() > until

    def _wait_for_a_lease(self, until: datetime) -> bool:
        """Wait a moment for the next range that is soon due; return False when none is."""
        due = next_due(self.run_of)
        if due is None or due > min(until, timezone.now() + WORTH_WAITING):
            return False
        self._nap((due - timezone.now()).total_seconds())
        return True

    def _work_on(self, lease: Lease, until: datetime) -> None:
        """Send the due rows of a lease, write what became of them, and give it back."""
        through = False
        try:
            settle_abandoned(lease, self.delivery, at=timezone.now())
            for ready in self._groups(lease, until):
                if not self._send(ready, lease) or self._is_over(until):
                    break
            else:
                through = True
        finally:
            self._write_results(lease)
            give_back(lease, through=through, wait_until=self.wait_until)
            self._add_up()
            if self.problem:
                # Only if nobody has moved it meanwhile: another connection may have met the same refusal.
                lifecycle.try_move(
                    self.delivery, State.PAUSED, origins=[State.SENDING], error=self.problem[:500]
                )  # fmt: skip

    def _add_up(self) -> None:
        """Add what was done to the counters, and pause when that is more harm than good."""
        self.minutes.add_up()
        self.tally.add_up()
        watch.pause_if_needed(self.delivery, self.run_of)

    def _groups(self, lease: Lease, until: datetime) -> Iterator[list[_Ready]]:
        """Yield the rows to send now with their messages, as many at a time as are claimed together."""
        group: list[_Ready] = []
        for due in self._in_turn(lease, until):
            if due is not None:
                group.append(self._compose(*due))
            if group and (due is None or len(group) >= settings.HAND_OFF_GROUP):
                yield group
                group = []
        if group:
            yield group

    def _in_turn(self, lease: Lease, until: datetime) -> Iterator[Due | None]:
        """Yield the due rows, those whose mail domain must be given time after the others; None before a wait."""
        waiting, self.wait_until = Waiting(), None
        for due in self._due(lease):
            if self._may_leave(due, waiting):
                yield due
            for earlier in waiting.ready():
                if self._may_leave(earlier, waiting):
                    yield earlier
        while waiting and not self._is_over(until):
            wait = waiting.soonest() - time.time()
            if wait > WORTH_WAITING.total_seconds() or another_is_untouched(self.run_of, at=timezone.now()):
                break
            yield None
            self._write_results(lease)
            self._nap(wait)
            for earlier in waiting.ready():
                if self._may_leave(earlier, waiting):
                    yield earlier
        if waiting:
            soonest = datetime.fromtimestamp(waiting.soonest(), tz=UTC)
            self.wait_until = min(soonest, timezone.now() + LONGEST_WAIT)

    def _may_leave(self, due: Due, waiting: Waiting) -> bool:
        """Take leave of the row's mail domain, or have the row wait."""
        domain, now = domains.domain_of(due[0].address), time.time()
        until = waiting.held_until(domain, at=now)
        if not until and (wait := self.limits.ask(domain)):
            until = now + wait
        if until:
            waiting.put(domain, due, until=until)
        return not until

    def _due(self, lease: Lease) -> Iterator[tuple[DeliveryLog, Profile | None]]:
        """Yield the rows to send now, in profile order, with their people as they are now."""
        after = lease.after_profile
        while True:
            at = timezone.now()
            due = Q(status=S.PENDING) | Q(status=S.RETRY) & (Q(not_before=None) | Q(not_before__lte=at))
            rows = list(
                DeliveryLog.objects.filter(due, run=self.run_of, profile__gt=after, profile__lte=lease.upto_profile)
                .order_by("profile", "position")[:FETCH]
            )  # fmt: skip
            if not rows:
                return
            if len(rows) == FETCH and rows[0].profile_id != rows[-1].profile_id:
                # The rest of the last person's addresses come with the next ones.
                last = rows[-1].profile_id
                while rows[-1].profile_id == last:
                    rows.pop()
            people = Profile.objects.in_bulk({row.profile_id for row in rows})
            judging = Judging.now(Channel(self.delivery.channel))
            self.claims.judge_by(judging)
            self.plain.judge_by(judging)
            for row in rows:
                yield row, people.get(row.profile_id)
            after = rows[-1].profile_id

    def _compose(self, row: DeliveryLog, person: Profile | None) -> _Ready:
        """Write a message before it is claimed, so that a slow template leaves the claim as short as it is."""
        domain = domains.domain_of(row.address)
        try:
            return _Ready(row, domain, self.composer.compose(row, person))
        except TemplateRefused as error:
            return _Ready(row, domain, None, str(error))

    def _send(self, group: Sequence[_Ready], lease: Lease) -> bool:
        """Claim some rows and hand over those that may leave; return False when the lease must be left."""
        answer = self._claim([ready.row for ready in group], lease)
        checked, going_on = time.monotonic(), True
        for ready in group:
            if ready.row.pk not in answer.claimed:
                self.limits.done(ready.domain)
                continue
            before = S(ready.row.status)
            ready.row.attempts += 1
            if going_on and time.monotonic() - checked < CHECKED_FOR.total_seconds():
                going_on = self._hand_over(ready, erroneous=ready.row.pk in answer.erroneous)
            else:
                self.results.append(Result(ready.row, before, timezone.now()))
            self.limits.done(ready.domain)
        if not answer.sending or not going_on:
            raise Halt
        return answer.owned

    def _hand_over(self, ready: _Ready, *, erroneous: bool) -> bool:
        """Hand one claimed message over, and keep what became of it; return whether to go on with others."""
        row = ready.row
        if ready.envelope is None:
            self.results.append(Result(row, S.FAILED, timezone.now(), ready.problem[:255]))
            return True
        began = time.monotonic()
        outcome = gate.hand_off(gate.Permit("row", row.pk, row.address), ready.envelope, self.transport)
        took, at = timedelta(seconds=time.monotonic() - began), timezone.now()
        result = outcomes.result_of(row, outcome, self.delivery, at=at, took=took)
        self.results.append(result)
        self.minutes.note(result.status, at=at)
        self.tally.note(ready.domain, outcome)
        self.limits.note(ready.domain, outcome, at=at)
        outcomes.learn(row, outcome, self.delivery, erroneous=erroneous, at=at)
        if outcome.is_one_opinion or outcome.blame == Blame.DOMAIN:
            self.against_us += 1
            if self.against_us >= settings.PAUSE_REFUSALS:  # not only at the end of the lease
                self.against_us = 0
                self._add_up()
        if outcome.is_one_opinion or outcome.status == S.IN_DOUBT:
            return True
        if outcome.blame == Blame.SENDER:
            self.problem = outcome.answer
        return outcome.blame in (Blame.ADDRESS, Blame.DOMAIN)

    def _claim(self, rows: list[DeliveryLog], lease: Lease) -> Answer:
        """Write the results that are waiting, and claim; rows that may not leave are marked one by one."""
        try:
            answer = self._ask(self.claims, rows, lease)
            for row in answer.doubtful:
                looked_at = self._ask(self.plain, [row], lease)
                answer.claimed |= looked_at.claimed
                answer.sending, answer.owned = looked_at.sending, looked_at.owned
        except DatabaseError:
            # Whether it has committed is not known. What was claimed has not left: it is given back.
            for row in rows:
                row.attempts += 1
                self.results.append(Result(row, S(row.status), timezone.now()))
            raise
        return answer

    def _ask(self, claims: PreparedClaims | PlainClaims, rows: list[DeliveryLog], lease: Lease) -> Answer:
        """Claim rows and write the results that are waiting; those about rows that have moved, one by one."""
        if any(result.status == S.SUPPRESSED for result in self.results):  # counted by its reason as well
            claims = self.plain
        answer = claims.ask(lease, rows, self.results, at=timezone.now())
        self.results = [result for result in self.results if result.row.pk not in answer.recorded]
        if self.results:
            self.plain.ask(lease, [], self.results, at=timezone.now())
            self.results = []
        return answer

    def _write_results(self, lease: Lease) -> None:
        """Write what is known of messages in hand, however long the database does not answer (within KEPT_FOR)."""
        until = time.monotonic() + KEPT_FOR.total_seconds()
        while self.results:
            try:
                self._ask(self.plain, [], lease)
            except (DatabaseError, InterfaceError):
                if connection.in_atomic_block or time.monotonic() > until:
                    raise
                connection.close()
                time.sleep(LONGEST_NAP)

    def _nap(self, seconds: float) -> None:
        time.sleep(max(0.0, min(seconds, LONGEST_NAP)))
