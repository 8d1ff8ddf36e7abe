"""Sending: leases of log rows, and for each message a claim, a hand-off and its outcome.

    row: pending | retry --claim--> handing_off --record--> sent | failed | retry | in_doubt
                         \\--claim--> suppressed (the gate said no)

A claim is a short transaction of its own, per message, and nothing is handed over before it has committed. A worker
that dies in between leaves a row in `handing_off`; whoever takes its lease next marks it `in_doubt`, and never sends
it again by itself (the policy of the delivery may say so). Counts live on the lease and move with the row, and a
constraint keeps their sum equal to its size.
"""

import random
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Min, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from profiles.addresses import read
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile, Source
from profiles.texts import supported
from quarantine import escalation, failures

from . import composing, control, gate, lifecycle, messages, pace, plan
from .criteria import CriteriaRefused
from .errors import ChannelNotSent, MoveRefused, NotReady, TemplateRefused
from .exclusions import Judging
from .models import (
    AnalysisRun,
    Delivery,
    DeliveryLog,
    InDoubtPolicy,
    Lease,
    LogStatus,
    Reason,
    RunReason,
    State,
)
from .transports import Outcome, SmtpTransport, Transport
from .transports.base import Blame

S = LogStatus
FETCH = 100
FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=5), timedelta(hours=4)


class LeaseLost(Exception):
    """The lease of these rows has expired and may be somebody else's: stop working on them."""


class NotSending(Exception):
    """The delivery has been paused or stopped: nothing more is claimed."""


# -- moves that people make ---------------------------------------------------------------------------------


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
    lifecycle.move(delivery, State.SENDING, only_from=State.PAUSED, error="")


def stop(delivery: Delivery) -> None:
    """Send nothing more, for good; the task then cancels what is left."""
    lifecycle.move(delivery, State.STOPPING)


# -- the engine ---------------------------------------------------------------------------------------------


def work(delivery_id: int, *, transport: Transport | None = None, budget: timedelta | None = None) -> bool:
    """Send what is due of a delivery; return whether the task should be rung again at once."""
    delivery = Delivery.objects.select_related("brand", "service", "current_run").get(pk=delivery_id)
    run = delivery.current_run
    if run is None:
        return False
    if delivery.state == State.STOPPING:
        return _cancel_rest(delivery, run)
    until = timezone.now() + (settings.TASK_BUDGET if budget is None else budget)
    carrier = transport or SmtpTransport()
    worker = _Worker(delivery, run, carrier)
    try:
        while delivery.state == State.SENDING and (lease := take_lease(run, at=timezone.now())):
            if not worker.work_on(lease, until=until):
                return False
            if timezone.now() > until:
                return True
    finally:
        carrier.close()
    lifecycle.finish_if_done(delivery, timezone.now())
    return False


def take_lease(run: AnalysisRun, *, at: datetime, cancelling: bool = False) -> Lease | None:
    """Become the owner of a range of rows with something to do that nobody works on, or return None."""
    free = Q(expires_at=None) | Q(expires_at__lte=at)
    due = Q(pending__gt=0) | Q(handing_off__gt=0) | Q(retry__gt=0) & (Q(not_before=None) | Q(not_before__lte=at))
    while True:
        candidates = Lease.objects.filter(free, Lease.open_q() if cancelling else due, run=run).order_by(
            "after_profile"
        )
        lease = candidates.first()
        if lease is None:
            return None
        owner = secrets.token_hex(8)
        if Lease.objects.filter(free, pk=lease.pk).update(owner=owner, expires_at=at + settings.LEASE_TIME):
            lease.refresh_from_db()
            return lease


def record(
    row: DeliveryLog, lease: Lease, outcome: Outcome, *, at: datetime, not_before: datetime | None = None,
    took: timedelta | None = None,
) -> None:  # fmt: skip
    """Write what became of a hand-off, once: a row that was taken for in doubt meanwhile is put right."""
    fields = {"status": outcome.status, "answer": outcome.answer, "finished_at": at, "not_before": not_before}
    if outcome.status == S.SUPPRESSED:
        fields["reason"] = Reason.ENCODING
    with transaction.atomic():
        for before in (S.HANDING_OFF, S.IN_DOUBT):
            if DeliveryLog.objects.filter(pk=row.pk, status=before, attempts=row.attempts).update(**fields):
                _recount(lease.pk, before, outcome.status, took=took)
                if outcome.status == S.SUPPRESSED:
                    _count_since(lease.run_id, Reason.ENCODING)
                return


def to_ring_again(at: datetime) -> list[int]:
    """Return the deliveries that nobody works on, with rows to work on or only their end to find.

    One task per delivery is rung at a time: a long delivery must not take every worker from confirmations and pages.
    """
    ids = []
    for delivery in Delivery.objects.filter(state__in=[State.SENDING, State.STOPPING]):
        leases = Lease.objects.filter(Lease.open_q(), run=delivery.current_run_id)
        if leases.filter(expires_at__gt=at).exists():
            continue
        due = Q(pending__gt=0) | Q(handing_off__gt=0) | Q(not_before=None) | Q(not_before__lte=at)
        if leases.filter(due).exists() or not leases.exists():
            ids.append(delivery.pk)
    return ids


class _Worker:
    """Works on the leases of one delivery with one transport."""

    def __init__(self, delivery: Delivery, run: AnalysisRun, transport: Transport) -> None:
        self.delivery, self.run, self.transport = delivery, run, transport
        self.judging = Judging.now(Channel(delivery.channel))
        self.contents = {content.language: content for content in delivery.contents.all()}
        self.minutes = pace.Minutes(run)

    def work_on(self, lease: Lease, *, until: datetime) -> bool:
        """Send the due rows of a lease and give it back; return False when the whole sending must wait."""
        try:
            _settle_abandoned(lease, self.delivery, at=timezone.now())
            for row, person in self._due(lease):
                if not self._send(row, person, lease):
                    return False
                if timezone.now() > until:
                    return True
        except LeaseLost:
            return True
        except NotSending:
            self.delivery.refresh_from_db(fields=["state"])
            return True
        finally:
            _give_back(lease)
            self.minutes.add_up()
        return True

    def _due(self, lease: Lease) -> Iterator[tuple[DeliveryLog, Profile | None]]:
        """Yield the rows to send now, in profile order, with their people as they are now."""
        after = lease.after_profile
        while True:
            at = timezone.now()
            due = Q(status=S.PENDING) | Q(status=S.RETRY) & (Q(not_before=None) | Q(not_before__lte=at))
            rows = list(
                DeliveryLog.objects.filter(due, run=self.run, profile__gt=after, profile__lte=lease.upto_profile)
                .order_by("profile", "position")[:FETCH]
            )  # fmt: skip
            if not rows:
                return
            people = Profile.objects.in_bulk([row.profile_id for row in rows])
            self.judging = Judging.now(Channel(self.delivery.channel))
            for row in rows:
                yield row, people.get(row.profile_id)
            after = rows[-1].profile_id

    def _send(self, row: DeliveryLog, person: Profile | None, lease: Lease) -> bool:
        """Render, claim, hand over and record one message; return False when the sending must wait."""
        try:
            envelope = self._compose(row, person)
        except TemplateRefused as error:
            envelope, problem = None, str(error)
        permit = self._claim(row, lease, at=timezone.now())
        if permit is None:
            return True
        if envelope is None:
            record(row, lease, Outcome(S.FAILED, text=problem), at=timezone.now())
            return True
        began = time.monotonic()
        outcome = gate.hand_off(permit, envelope, self.transport)
        took = timedelta(seconds=time.monotonic() - began)
        self._record(row, lease, outcome, at=timezone.now(), took=took)
        if outcome.blame == Blame.SENDER:
            pause(self.delivery, problem=outcome.answer)
        return outcome.blame == Blame.ADDRESS or outcome.status == S.IN_DOUBT

    def _claim(self, row: DeliveryLog, lease: Lease, *, at: datetime) -> gate.Permit | None:
        """Mark a row as leaving, or as left out; return the permit once that has committed."""
        with transaction.atomic():
            reason = gate.judge_row(row, self.delivery, self.run, at=at, by=self.judging)
            if not Delivery.objects.filter(pk=self.delivery.pk, state=State.SENDING).exists():
                raise NotSending
            after = S.SUPPRESSED if reason else S.HANDING_OFF
            fields = (
                {"reason": reason, "finished_at": at} if reason else {"claimed_at": at, "attempts": F("attempts") + 1}
            )
            before = S(row.status)
            if not DeliveryLog.objects.filter(pk=row.pk, status=before).update(status=after, **fields):
                return None
            if not _recount(lease.pk, before, after, owner=lease.owner, at=at):
                raise LeaseLost
            if reason:
                _count_since(self.run.pk, reason)
                return None
        row.attempts += 1
        return gate.Permit("row", row.pk, row.address)

    def _compose(self, row: DeliveryLog, person: Profile | None) -> messages.Envelope:
        language = supported(person.language if person else "")
        content = self.contents.get(language) or next(iter(self.contents.values()))
        return composing.compose_row(self.delivery, content, row, person)

    def _record(self, row: DeliveryLog, lease: Lease, outcome: Outcome, *, at: datetime, took: timedelta) -> None:
        not_before = None
        if outcome.status == S.IN_DOUBT and self.delivery.in_doubt_policy == InDoubtPolicy.RESEND:
            outcome = replace(outcome, status=S.RETRY)
        if outcome.status == S.RETRY:
            outcome, not_before = self._retry_or_give_up(row, outcome, at)
        record(row, lease, outcome, at=at, not_before=not_before, took=took)
        self.minutes.note(outcome.status, at=at)
        if outcome.blame != Blame.ADDRESS or not outcome.code:
            return
        target = escalation.Target(
            Channel(self.delivery.channel), bytes(row.digest or b""), row.address, read(Channel.EMAIL, row.address).key
        )
        evidence = Evidence(source=Source.BOUNCE, delivery_id=self.delivery.pk, delivery_name=self.delivery.label)
        if outcome.status == S.SENT:
            escalation.note_success(target, evidence=evidence, at=at)
        elif outcome.status == S.FAILED:
            failure = failures.classify(outcome.code, outcome.text)
            escalation.note_failure(target, failure, evidence=evidence, at=at, text=outcome.answer)

    def _retry_or_give_up(self, row: DeliveryLog, outcome: Outcome, at: datetime) -> tuple[Outcome, datetime | None]:
        """Wait longer after each try, with some chance so that not all come back at once; end with the validity."""
        if at - (self.delivery.started_at or at) > settings.VALIDITY:
            return Outcome(S.FAILED, outcome.code, outcome.text, outcome.blame), None
        if outcome.blame != Blame.ADDRESS:
            return outcome, at + timedelta(seconds=settings.CONNECTION_RETRY_SECONDS)
        pause_for = min(FIRST_RETRY * 2 ** max(0, row.attempts - 1), LONGEST_RETRY)
        return outcome, at + pause_for * random.uniform(0.8, 1.2)  # noqa: S311 (spreads load, hides nothing)


def _settle_abandoned(lease: Lease, delivery: Delivery, *, at: datetime) -> None:
    """Mark what a dead owner of this lease was handing over: nobody knows whether it left."""
    again = delivery.in_doubt_policy == InDoubtPolicy.RESEND
    after = S.RETRY if again else S.IN_DOUBT
    for row in _rows(lease, S.HANDING_OFF):
        with transaction.atomic():
            if DeliveryLog.objects.filter(pk=row.pk, status=S.HANDING_OFF).update(status=after, finished_at=at):
                _recount(lease.pk, S.HANDING_OFF, after)


def _cancel_rest(delivery: Delivery, run: AnalysisRun) -> bool:
    """Cancel the rows that are left of a stopping delivery; return whether some are still leaving."""
    while lease := take_lease(run, at=timezone.now(), cancelling=True):
        at = timezone.now()
        _settle_abandoned(lease, delivery, at=at)
        with transaction.atomic():
            for before in (S.PENDING, S.RETRY):
                rows = DeliveryLog.objects.filter(
                    run=run, profile__gt=lease.after_profile, profile__lte=lease.upto_profile, status=before
                )
                changed = rows.update(status=S.CANCELLED, finished_at=at)
                if changed:
                    _recount(lease.pk, before, S.CANCELLED, by=changed)
        _give_back(lease)
    lifecycle.finish_if_done(delivery, timezone.now())
    return False


def _give_back(lease: Lease) -> None:
    """Leave a lease to whoever comes next, at the earliest when its first retry is due."""
    retries = DeliveryLog.objects.filter(
        run=lease.run_id, profile__gt=lease.after_profile, profile__lte=lease.upto_profile, status=S.RETRY
    )
    earliest = (
        retries.aggregate(at=Min("not_before"))["at"]
        if Lease.objects.filter(pk=lease.pk, retry__gt=0).exists()
        else None
    )
    Lease.objects.filter(pk=lease.pk, owner=lease.owner).update(owner="", expires_at=None, not_before=earliest)


def _rows(lease: Lease, status: LogStatus) -> list[DeliveryLog]:
    if not getattr(lease, status.counter):
        return []
    return list(
        DeliveryLog.objects.filter(
            run=lease.run_id, profile__gt=lease.after_profile, profile__lte=lease.upto_profile, status=status
        )
    )


def _recount(
    lease: int, before: LogStatus, after: LogStatus, *, by: int = 1, owner: str = "", at: datetime | None = None,
    took: timedelta | None = None,
) -> bool:  # fmt: skip
    """Move rows from one count of their lease to another; with `owner`, only if that still owns it, and renew it.

    `took` is the time of the hand-off that moves the row.
    """
    if before == after:
        return True
    fields: dict[str, object] = {before.counter: F(before.counter) - by, after.counter: F(after.counter) + by}
    if took is not None:
        fields |= pace.counted(after, took)
    leases = Lease.objects.filter(pk=lease)
    if owner and at:
        leases = leases.filter(owner=owner, expires_at__gt=at)
        fields["expires_at"] = at + settings.LEASE_TIME
    return bool(leases.update(**fields))


def _count_since(run: int, reason: Reason) -> None:
    RunReason.objects.get_or_create(run_id=run, reason=reason)
    RunReason.objects.filter(run=run, reason=reason).update(since=F("since") + 1)
