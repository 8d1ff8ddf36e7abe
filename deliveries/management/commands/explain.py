"""Say why a person will or won't get it.

    manage.py explain ADDRESS|PROFILE [--delivery N] [--json]

An address is an email or a phone number, however it is spelled; a profile is its number or its identifier elsewhere.
In JSON the names of keys, rules, channels and statuses are stable; `what` and `source` are the words of the screens.
"""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from deliveries import standing
from deliveries.explain import Evidence, Explained
from deliveries.management.base import DeliveryCommand
from deliveries.models import Delivery, LogStatus, Reason
from deliveries.standing import ChannelVerdict, Confirmations, InDelivery
from profiles.channels import Channel
from profiles.lookup import address_q, meant
from profiles.models import Profile
from quarantine.models import Cause, QuarantinedAddress

LIMIT = 50
_CONFIRMATIONS = {
    Confirmations.REACH: "confirmations still get there",
    Confirmations.ASKED_FOR_ONLY: "only a confirmation that the person has just asked for gets there",
    Confirmations.STOPPED: "confirmations do not get there either",
}


@dataclass(frozen=True, slots=True)
class Person:
    """A profile that is meant: the verdict of each channel, and what the delivery in question did or would do."""

    profile: Profile
    channels: Sequence[ChannelVerdict]
    became: InDelivery | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything there is to say about what was typed."""

    at: datetime
    people: Sequence[Person]
    more: bool
    entries: Sequence[tuple[QuarantinedAddress, Evidence]]
    delivery: Delivery | None


class Command(DeliveryCommand):
    help = "Say whether a person can be written to on each channel, and every rule that forbids it. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("who", metavar="ADDRESS|PROFILE", help="Email, phone number, profile number or identifier.")
        parser.add_argument("--delivery", default="", help="Number or name of a delivery: say what it did about them.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        delivery = self.find(options["delivery"]) if options["delivery"] else None
        answer = _answer(options["who"].strip(), delivery, at=timezone.now())
        if options["json"]:
            self.emit(_as_json(answer))
            return
        for entry, evidence in answer.entries:
            self.stdout.write(f"{Channel(entry.channel).label} {entry} is left out, whoever has it")
            self.stdout.write(f"  {_told(evidence)}")
        if not answer.people:
            self.stdout.write("Nobody has this address now.")
        for person in answer.people:
            self._tell(person)
        if answer.more:
            self.stdout.write(f"There are more: only the first {LIMIT} profiles are shown.")

    def _tell(self, person: Person) -> None:
        profile = person.profile
        known = f", identifier {profile.external_id}" if profile.external_id else ""
        self.stdout.write(f"Profile {profile.pk}: {profile}{known}")
        for one in person.channels:
            where = f"{one.channel.label} {one.verdict.address}".strip()
            self.stdout.write(f"  {where}: {'can be written to' if one.reachable else 'cannot be written to'}")
            self._rules(one)
            for other in one.others:
                self.stdout.write(f"    also {other.address}: {'left out' if other.against else 'may be used'}")
                for reason, evidence in other.against:
                    self._rule(reason, evidence)
        if person.became:
            self._tell_delivery(person.became)

    def _rules(self, one: ChannelVerdict) -> None:
        for reason, evidence in one.evidence:
            self._rule(reason, evidence)
        if not one.reachable and one.verdict.address:
            self.stdout.write(f"    {_CONFIRMATIONS[one.confirmations]}")

    def _tell_delivery(self, became: InDelivery) -> None:
        run = became.run
        about = f"“{became.delivery}”, {f'analysis {run.number}' if run else 'not analysed yet'}"
        if not became.targeted:
            self.stdout.write(f"  {about}: not among the people targeted")
            if became.absent:
                self.stdout.write(f"    - {_told(became.absent)}")
        for one in became.foreseen:
            where = f" {one.verdict.address}" if one.verdict.address else ""
            self.stdout.write(f"  {about}{where}: {'would get it' if one.reachable else 'would be left out'}")
            self._rules(one)
        for found in became.rows:
            row = found.row
            when = f", {_when(row.finished_at)}" if row.finished_at else ""
            answered = f", “{row.answer}”" if row.answer else ""
            address = f" {row.address}" if row.address else ""
            self.stdout.write(f"  {about}{address}: {LogStatus(row.status).label}{when}{answered}")
            if found.reason:
                self._rule(found.reason, found.evidence)

    def _rule(self, reason: Reason, evidence: Evidence | None) -> None:
        self.stdout.write(f"    - {reason.label}")
        if evidence:
            self.stdout.write(f"      {_told(evidence)}")


def _answer(who: str, delivery: Delivery | None, *, at: datetime) -> Answer:
    same = address_q(who)
    entries = standing.left_out(same, at=at) if same else []
    found = meant(who, same, limit=LIMIT + 1)
    if not found and not entries:
        raise CommandError(
            f"Nobody is known by “{who}”, and no such address is left out. Give a whole email address, a phone number "
            "with its country code, or the number or identifier of a profile."
        )
    people = found[:LIMIT]
    ids = [profile.pk for profile in people]
    verdicts = standing.channels(ids, at=at)
    became = standing.in_delivery(delivery, ids, at=at) if delivery else {}
    told = [Person(p, verdicts.get(p.pk, ()), became.get(p.pk)) for p in people]
    return Answer(at, told, len(found) > LIMIT, entries, delivery)


def _when(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}"


def _told(evidence: Evidence) -> str:
    parts = [
        evidence.what,
        _when(evidence.at) if evidence.at else "",
        f"from: {evidence.source}" if evidence.source else "",
        f"by {evidence.by}" if evidence.by else "",
        f"“{evidence.note}”" if evidence.note else "",
        f"profile {evidence.profile}" if evidence.profile and not evidence.event else "",
        f"event {evidence.event}" if evidence.event else "",
        f"entry {evidence.entry}" if evidence.entry else "",
    ]
    return ", ".join(part for part in parts if part)


def _as_json(answer: Answer) -> Mapping[str, Any]:
    delivery = answer.delivery
    run = delivery.current_run if delivery else None
    return {
        "at": _iso(answer.at),
        "delivery": delivery and {"id": delivery.pk, "name": str(delivery), "analysis": run and run.number},
        "left_out": [
            {
                "channel": Channel(entry.channel).slug,
                "address": entry.value,
                "cause": Cause(entry.cause or 0).name.lower(),
                "until": _iso(entry.release_at),
                "evidence": _proof(evidence),
            }
            for entry, evidence in answer.entries
        ],
        "profiles": [_person(person) for person in answer.people],
        "more": answer.more,
    }


def _person(person: Person) -> Mapping[str, Any]:
    told = {
        "id": person.profile.pk,
        "external_id": person.profile.external_id,
        "name": person.profile.full_name,
        "channels": [_channel(one) for one in person.channels],
    }
    if (became := person.became) is None:
        return told
    return {
        **told,
        "targeted": became.targeted,
        "absent": _proof(became.absent),
        "foreseen": [_channel(one) for one in became.foreseen],
        "messages": [_message(found) for found in became.rows],
    }


def _channel(one: ChannelVerdict) -> Mapping[str, Any]:
    return {
        "channel": one.channel.slug,
        "address": one.verdict.address,
        "reachable": one.reachable,
        "confirmations": one.confirmations.value,
        "reasons": _reasons(one.evidence),
        "rules": [
            {"rule": rule.reason.name.lower(), "verdict": rule.outcome.value, "evidence": _proof(rule.evidence)}
            for rule in one.rules
        ],
        "others": [{"address": other.address.value, "reasons": _reasons(other.against)} for other in one.others],
    }


def _reasons(found: Sequence[tuple[Reason, Evidence | None]]) -> list[Mapping[str, Any]]:
    return [{"reason": reason.name.lower(), "evidence": _proof(evidence)} for reason, evidence in found]


def _message(found: Explained) -> Mapping[str, Any]:
    row = found.row
    return {
        "id": row.pk,
        "address": row.address,
        "status": LogStatus(row.status).name.lower(),
        "reason": found.reason.name.lower(),
        "at": _iso(row.finished_at),
        "answer": row.answer,
        "evidence": _proof(found.evidence),
    }


def _proof(evidence: Evidence | None) -> Mapping[str, Any] | None:
    return {**asdict(evidence), "at": _iso(evidence.at)} if evidence else None


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
