"""What follows from an outcome: what is written about the row, when to try again, what is learnt of the address."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings

from profiles.addresses import read
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Source
from quarantine import escalation
from quarantine.answer_rules import last_read
from quarantine.failures import Failure, Kind, classify

from ..models import Delivery, DeliveryLog, InDoubtPolicy, LogStatus
from ..transports import Outcome
from ..transports.base import Blame
from .results import Result

S = LogStatus
FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=5), timedelta(hours=4)


def result_of(row: DeliveryLog, outcome: Outcome, delivery: Delivery, *, at: datetime, took: timedelta) -> Result:
    """Return what is written about a hand-off that ended so."""
    not_before = None
    if outcome.status == S.IN_DOUBT and delivery.in_doubt_policy == InDoubtPolicy.RESEND:
        outcome = replace(outcome, status=S.RETRY)
    if outcome.status == S.RETRY:
        if at - (delivery.started_at or at) > settings.VALIDITY:
            outcome = replace(outcome, status=S.FAILED)
        else:
            not_before = at + _pause_after(row.attempts, outcome)
    hard = is_about_the_address(outcome) and outcome.status == S.FAILED and _failure(outcome).kind == Kind.HARD
    return Result(row, outcome.status, at, outcome.answer, not_before, took, hard)


def learn(row: DeliveryLog, outcome: Outcome, delivery: Delivery, *, erroneous: bool, at: datetime) -> None:
    """Note what an answer says about the address. `erroneous`: it has had errors counted, which a success ends."""
    if not is_about_the_address(outcome) or not (
        outcome.status == S.FAILED or (erroneous and outcome.status == S.SENT)
    ):
        return
    target = escalation.Target(
        Channel(delivery.channel), bytes(row.digest or b""), row.address, read(Channel.EMAIL, row.address).key
    )
    evidence = Evidence(source=Source.BOUNCE, delivery_id=delivery.pk, delivery_name=delivery.label)
    if outcome.status == S.SENT:
        escalation.note_success(target, evidence=evidence, at=at)
    else:
        escalation.note_failure(target, _failure(outcome), evidence=evidence, at=at, text=outcome.answer)


def is_about_the_address(outcome: Outcome) -> bool:
    """Say whether the receiving side answered, and meant this address."""
    return outcome.blame == Blame.ADDRESS and bool(outcome.code)


def _failure(outcome: Outcome) -> Failure:
    return classify(outcome.code, outcome.text, last_read())


def _pause_after(attempts: int, outcome: Outcome) -> timedelta:
    """Return how long to wait after so many tries: longer each time, with some chance so that not all come at once."""
    if outcome.blame in (Blame.CONNECTION, Blame.SENDER) and not outcome.is_one_opinion:
        return timedelta(seconds=settings.CONNECTION_RETRY_SECONDS)
    longer: timedelta = min(FIRST_RETRY * 2 ** max(0, attempts - 1), LONGEST_RETRY)
    return longer * float(random.uniform(0.8, 1.2))  # noqa: S311 (spreads load, hides nothing)
