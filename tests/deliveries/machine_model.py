"""What must be true of sending, kept beside it in plain Python by the machine that drives it.

`Facts` knows who is suppressed for what, and which messages were already claimed when that began. `Tries` knows what
was handed over, and what a killed worker can have told nobody.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from deliveries.messages import Envelope
from deliveries.models import (
    Delivery,
    DeliveryLog,
    InDoubtPolicy,
    Lease,
    LogStatus,
    MessageClass,
    Reason,
    State,
    Target,
)
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.models import Profile, Subscription
from quarantine.models import QuarantinedAddress, Status
from tests.deliveries.machine_world import Process, Reply

S = LogStatus
Claim = tuple[int, int]  # a log row, and the number of the try
Fact = tuple[Any, ...]  # its kind, then whom and what it is about
OPEN = {S.PENDING, S.HANDING_OFF, S.RETRY}
ABSORBING = {S.EXCLUDED, S.SENT, S.FAILED, S.SUPPRESSED, S.CANCELLED}
ENDED = {State.FINISHED, State.STOPPED}
MESSAGE_ID = re.compile(rb"^Message-ID:\s*(\S+)", re.MULTILINE | re.IGNORECASE)


def leaving() -> frozenset[Claim]:
    """Return the claims whose outcome is not written."""
    return frozenset(DeliveryLog.objects.filter(status=S.HANDING_OFF).values_list("pk", "attempts"))


@dataclass(slots=True)
class Since:
    """When a fact began: after so many acts, and after these claims."""

    act: int
    at: datetime
    after: frozenset[Claim]


@dataclass(slots=True)
class Facts:
    """What forbids to write to whom, by its own acts only.

    ("flag", profile, channel or None), ("left", profile, service), ("quarantined", digest), ("gone", profile),
    ("moved", profile, digest): the person no longer has this address. ("halted", delivery): paused or stopped.
    """

    since: dict[Fact, Since] = field(default_factory=dict)
    lately: dict[Fact, Since] = field(default_factory=dict)  # what has ended since the rows were last looked at
    people: set[int] = field(default_factory=set)
    kept: set[tuple[bytes, str]] = field(default_factory=set)  # opt-outs of addresses that nobody has
    analysed: dict[int, Since] = field(default_factory=dict)  # run → when it began
    acts: int = 0

    def begin(self, *fact: Any, after: frozenset[Claim] | None = None) -> None:
        self.acts += 1
        if fact not in self.since:
            self.since[fact] = Since(self.acts, timezone.now(), leaving() if after is None else after)

    def end(self, *fact: Any) -> None:
        self.acts += 1
        if fact in self.since:
            self.lately[fact] = self.since.pop(fact)

    def holds(self, *fact: Any) -> bool:
        return fact in self.since

    def analysis_begins(self, run: int) -> None:
        self.acts += 1
        self.analysed[run] = Since(self.acts, timezone.now(), frozenset())

    def forbidding(self, row: DeliveryLog, delivery: Delivery, *, lately: bool = False) -> Iterator[tuple[Fact, Since]]:
        """Yield what forbids to send a row now; with `lately`, or did since the rows were last looked at."""
        digest = bytes(row.digest or b"")
        facts: list[Fact] = [("quarantined", digest), ("gone", row.profile_id), ("moved", row.profile_id, digest)]
        if delivery.message_class == MessageClass.MARKETING:
            facts += [("flag", row.profile_id, None), ("flag", row.profile_id, Channel.EMAIL)]
            facts += [("left", row.profile_id, delivery.service_id)]
        for fact in facts:
            since = self.since.get(fact) or (self.lately.get(fact) if lately else None)
            if since is None:
                continue
            # Who left before the analysis of a delivery to everybody is written to all the same.
            if fact[0] == "left" and delivery.target == Target.EVERYBODY:
                analysed = self.analysed[row.run_id]
                if since.act < analysed.act:
                    continue
            yield fact, since

    def check(self, service: int, answered: dict[bytes, frozenset[Claim]]) -> None:
        """Compare with what the tables say; take over the quarantines that refusals have led to."""
        blocking = QuarantinedAddress.objects.filter(status=Status.QUARANTINED)
        found = {bytes(digest) for digest in blocking.values_list("digest", flat=True)}
        for digest in found - {fact[1] for fact in self.since if fact[0] == "quarantined"}:
            assert digest in answered, "an address is quarantined for no reason"
            self.begin("quarantined", digest, after=answered[digest])
        flags = (FLAGS[None], FLAGS[Channel.EMAIL])
        people = {pk: of for pk, *of in Profile.objects.values_list("pk", *flags)}
        assert people.keys() == self.people
        active = set(Subscription.objects.filter(service=service).values_list("profile_id", flat=True))
        real = {("quarantined", digest) for digest in found}
        real |= {("flag", pk, None) for pk, of in people.items() if of[0]}
        real |= {("flag", pk, Channel.EMAIL) for pk, of in people.items() if of[1]}
        real |= {("left", pk, service) for pk in people if pk not in active}
        gone = {fact for fact in self.since if fact[0] in ("flag", "left") and fact[1] not in people}
        known = {fact for fact in self.since if fact[0] in ("quarantined", "flag", "left")} - gone
        assert real == known, f"lifted by nobody: {known - real}; suppressed by nobody: {real - known}"


@dataclass(slots=True, eq=False)
class Try:
    """One claim, and what is known of its hand-off."""

    claim: Claim
    process: Process
    message_id: bytes = b""
    ended: bool = False  # the transport has answered
    arrived: bool = False
    once: bool = True  # the delivery does not send again what is in doubt
    broke: bool = False  # the line broke at the dot
    final: bool = False  # the answer ends it
    lost: bool = False  # the worker was killed or overtaken before it wrote what it knew

    @property
    def unsure(self) -> bool:
        return self.broke or self.lost


@dataclass(slots=True)
class Tries:
    """Every claim ever seen, and what must be true of them."""

    facts: Facts
    rows: dict[int, list[Try]] = field(default_factory=dict)
    live: list[Try] = field(default_factory=list)
    orphans: set[Claim] = field(default_factory=set)  # claims that killed workers left behind
    answered: dict[bytes, frozenset[Claim]] = field(default_factory=dict)  # addresses that were refused
    refused: dict[bytes, Process] = field(default_factory=dict)  # of these, those that do not exist: not yet learnt
    before: dict[Process, frozenset[Claim]] = field(default_factory=dict)
    status: dict[int, int] = field(default_factory=dict)
    kills: int = 0

    def begins(self, process: Process) -> None:
        self.before[process] = leaving()

    def claimed(self, process: Process, envelope: Envelope) -> Try:
        """Check the claim of a message that is about to leave."""
        delivery = Delivery.objects.get(pk=process.delivery)
        rows = list(
            DeliveryLog.objects.filter(
                run=delivery.current_run_id, address__iexact=envelope.recipient, status=S.HANDING_OFF
            )
        )
        assert len(rows) == 1, "a message leaves without its own claim"
        row = rows[0]
        assert not process.refused, "the sender was refused, and the next message leaves all the same"
        self.learnt(process)
        claim = (row.pk, row.attempts)
        for fact, since in self.facts.forbidding(row, delivery):
            assert claim in since.after, f"{fact} forbade the claim {claim}"
        halted = self.facts.since.get(("halted", delivery.pk))
        assert halted is None or claim in halted.after, "claimed after a pause or a stop"
        found = MESSAGE_ID.search(envelope.body)
        assert found
        attempt = Try(claim, process, found.group(1), once=delivery.in_doubt_policy == InDoubtPolicy.SKIP)
        for earlier in self.rows.get(row.pk, ()):
            taken = earlier.claim in self.before[process]  # when the worker began, its outcome was not written
            self._may_follow(earlier, attempt, delivery, doubtful=taken or earlier.unsure or not earlier.ended)
        self.rows.setdefault(row.pk, []).append(attempt)
        self.live.append(attempt)
        return attempt

    @staticmethod
    def _may_follow(earlier: Try, attempt: Try, delivery: Delivery, *, doubtful: bool) -> None:
        assert earlier.claim != attempt.claim, "one claim, two hand-offs"
        assert earlier.message_id in (b"", attempt.message_id), "the same message under another identifier"
        if doubtful:
            assert delivery.in_doubt_policy == InDoubtPolicy.RESEND, "sent again what was in doubt"
        else:
            assert not earlier.arrived, "sent twice"

    def answered_to(self, attempt: Try, reply: Reply) -> None:
        """Note what the mail server did with a message."""
        attempt.ended, attempt.arrived = True, reply.arrives
        attempt.broke = reply.outcome.status == S.IN_DOUBT
        attempt.final = reply.outcome.status in ABSORBING
        attempt.process.refused = reply.outcome.blame.value == "sender"
        if reply.outcome.status == S.FAILED:
            digest = bytes(DeliveryLog.objects.get(pk=attempt.claim[0]).digest or b"")
            self.answered[digest] = leaving()
            if "5.1.1" in reply.outcome.text:
                self.refused[digest] = attempt.process

    def learnt(self, process: Process) -> None:
        """Check that a living worker has learnt from the refusals of addresses that do not exist."""
        for digest in [digest for digest, by in self.refused.items() if by is process]:
            del self.refused[digest]
            if not process.dead:
                quarantined = QuarantinedAddress.objects.filter(digest=digest, status=Status.QUARANTINED)
                assert quarantined.exists(), "an address that does not exist is not quarantined"

    def ends(self, process: Process) -> None:
        """Check what a worker leaves behind."""
        self.learnt(process)
        before, now = self.before.pop(process), leaving()
        self._overtaken(before - now - self.orphans)
        for attempt in list(self.live):
            if attempt.process is process:
                assert process.dead or attempt.claim not in now, "an outcome is not recorded"
                # One that was overtaken puts the row right by an answer that ends it, unless it is on its way again.
                attempt.lost = attempt.claim in now or (
                    attempt.lost and (process.dead or not attempt.once or not attempt.final)
                )
                self.live.remove(attempt)
        left = now - before - self.orphans
        assert process.dead or not left, "claimed and neither handed over nor given back"
        assert len(left) <= settings.HAND_OFF_GROUP, "a kill leaves more in doubt than one group"
        self.kills += process.dead
        self.orphans |= left
        for claim in left - {attempt.claim for attempt in self.rows_of(left)}:
            self.rows.setdefault(claim[0], []).append(Try(claim, process, lost=True, ended=True))
        if process.refused and not process.dead:
            assert Delivery.objects.get(pk=process.delivery).state != State.SENDING, "goes on with a refused sender"

    def _overtaken(self, claims: frozenset[Claim]) -> None:
        """Note that a worker took these from a slower one, which may not even have handed them over."""
        for claim in claims:
            attempt = next((attempt for attempt in self.live if attempt.claim == claim), None)
            if attempt is None:
                slower = list(self.before)[-1]
                attempt = Try(claim, slower, ended=True, once=self.is_once(claim))
                self.rows.setdefault(claim[0], []).append(attempt)
                self.live.append(attempt)
            attempt.lost = True

    @staticmethod
    def is_once(claim: Claim) -> bool:
        return DeliveryLog.objects.filter(pk=claim[0], delivery__in_doubt_policy=InDoubtPolicy.SKIP).exists()

    def rows_of(self, claims: frozenset[Claim]) -> list[Try]:
        return [attempt for row, _number in claims for attempt in self.rows.get(row, ())]

    def check_rows(self) -> set[int]:
        """Check every log row against what was handed over, and against what it was before; return the statuses."""
        deliveries = {found.pk: found for found in Delivery.objects.all()}
        rows = list(DeliveryLog.objects.all())
        for row in rows:
            before, delivery = self.status.get(row.pk), deliveries[row.delivery_id]
            self._check(row, delivery)
            if before == row.status:
                continue
            assert before not in ABSORBING, f"{S(before or 0).label} became {S(row.status).label}"
            if row.status == S.SUPPRESSED:
                # Who left since the analysis and has come back already is spared by a delivery to everybody.
                returned = row.reason == Reason.UNSUBSCRIBED and delivery.target == Target.EVERYBODY
                assert returned or any(self.facts.forbidding(row, delivery, lately=True)), (
                    f"{Reason(row.reason).label}? No."
                )
            self.status[row.pk] = row.status
        self.facts.lately.clear()
        self._check_ledger(deliveries, rows)
        return {row.status for row in rows}

    def _check(self, row: DeliveryLog, delivery: Delivery) -> None:
        tries = self.rows.get(row.pk, [])
        once = delivery.in_doubt_policy == InDoubtPolicy.SKIP
        if row.status == S.SENT:
            assert any(attempt.arrived for attempt in tries), "sent, and never handed over"
        elif row.status == S.IN_DOUBT:
            assert any(attempt.unsure for attempt in tries), "in doubt for no reason"
        elif once and row.status not in (S.EXCLUDED, S.HANDING_OFF):
            assert not any(attempt.arrived for attempt in tries), f"handed over, and {S(row.status).label}"

    @staticmethod
    def _check_ledger(deliveries: dict[int, Delivery], rows: list[DeliveryLog]) -> None:
        runs = {delivery.current_run_id: delivery for delivery in deliveries.values()}
        placed = 0
        for lease in Lease.objects.filter(run__in=[run for run in runs if run]):
            within = [
                row.status
                for row in rows
                if row.run_id == lease.run_id and lease.after_profile < row.profile_id <= lease.upto_profile
            ]
            counted = {status: getattr(lease, status.counter) for status in S}
            assert counted == {status: within.count(status) for status in S}, "the counts are not those of the rows"
            assert lease.size == len(within)
            placed += len(within)
        assert placed == sum(row.run_id in runs for row in rows), "rows that are in no lease"
        for row in rows:
            if row.run_id in runs and row.status in OPEN:
                assert runs[row.run_id].state not in ENDED, "a delivery has ended with messages still to send"
