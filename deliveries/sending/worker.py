"""The engine: for each message a claim, a hand-off and its outcome."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from profiles.addresses import read
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Profile, Source
from profiles.texts import supported
from quarantine import escalation, failures

from .. import composing, gate, lifecycle, messages, pace
from ..errors import TemplateRefused
from ..exclusions import Judging
from ..models import AnalysisRun, Delivery, DeliveryLog, InDoubtPolicy, Lease, LogStatus, State
from ..transports import Outcome, SmtpTransport, Transport
from ..transports.base import Blame
from . import moves
from .leases import cancel_rest, count_since, give_back, record, recount, settle_abandoned, take_lease

S = LogStatus
FETCH = 100
FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=5), timedelta(hours=4)


class LeaseLost(Exception):
    """The lease of these rows has expired and may be somebody else's: stop working on them."""


class NotSending(Exception):
    """The delivery has been paused or stopped: nothing more is claimed."""


def work(delivery_id: int, *, transport: Transport | None = None, budget: timedelta | None = None) -> bool:
    """Send what is due of a delivery; return whether the task should be rung again at once."""
    delivery = Delivery.objects.select_related("brand", "service", "current_run").get(pk=delivery_id)
    run = delivery.current_run
    if run is None:
        return False
    if delivery.state == State.STOPPING:
        return cancel_rest(delivery, run)
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
            settle_abandoned(lease, self.delivery, at=timezone.now())
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
            give_back(lease)
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
            moves.pause(self.delivery, problem=outcome.answer)
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
            if not recount(lease.pk, before, after, owner=lease.owner, at=at):
                raise LeaseLost
            if reason:
                count_since(self.run.pk, reason)
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
