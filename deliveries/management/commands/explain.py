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
from django.db.models import Q
from django.utils import timezone

from deliveries import explain
from deliveries.explain import ChannelVerdict, Evidence, Explained
from deliveries.management.base import DeliveryCommand
from deliveries.models import AnalysisRun, Delivery, DeliveryLog, LogStatus, Reason
from profiles.channels import Channel
from profiles.lookup import address_q, holders
from profiles.models import Profile
from quarantine.models import Cause, QuarantinedAddress

LIMIT = 50
_DIGITS = 18  # of a number that surely fits the database's


@dataclass(frozen=True, slots=True)
class Person:
    """A profile that is meant: the verdict of each channel, and what the delivery in question did about it."""

    profile: Profile
    channels: Sequence[ChannelVerdict]
    rows: Sequence[Explained]


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything there is to say about what was typed."""

    at: datetime
    people: Sequence[Person]
    more: bool
    entries: Sequence[tuple[QuarantinedAddress, Evidence]]
    run: AnalysisRun | None


class Command(DeliveryCommand):
    help = "Say whether a person can be written to on each channel, and every rule that forbids it. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("who", metavar="ADDRESS|PROFILE", help="Email, phone number, profile number or identifier.")
        parser.add_argument("--delivery", default="", help="Number or name of a delivery: say what it did about them.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        run = _run_of(self.find(options["delivery"])) if options["delivery"] else None
        answer = _answer(options["who"].strip(), run, at=timezone.now())
        if options["json"]:
            self.emit(_as_json(answer))
            return
        for entry, evidence in answer.entries:
            self.stdout.write(f"{Channel(entry.channel).label} {entry} is left out, whoever has it")
            self.stdout.write(f"  {_told(evidence)}")
        if not answer.people:
            self.stdout.write("Nobody has this address now.")
        for person in answer.people:
            self._tell(person, run)
        if answer.more:
            self.stdout.write(f"There are more: only the first {LIMIT} profiles are shown.")

    def _tell(self, person: Person, run: AnalysisRun | None) -> None:
        profile = person.profile
        known = f", identifier {profile.external_id}" if profile.external_id else ""
        self.stdout.write(f"Profile {profile.pk}: {profile}{known}")
        for one in person.channels:
            where = f"{one.channel.label} {one.verdict.address}".strip()
            self.stdout.write(f"  {where}: {'can be written to' if one.reachable else 'cannot be written to'}")
            for reason, evidence in one.evidence:
                self._rule(reason, evidence)
        if run is None:
            return
        analysis = f"“{run.delivery}”, analysis {run.number}"
        if not person.rows:
            self.stdout.write(f"  {analysis}: not among the people targeted")
        for found in person.rows:
            row = found.row
            when = f", {_when(row.finished_at)}" if row.finished_at else ""
            answered = f", “{row.answer}”" if row.answer else ""
            address = f" {row.address}" if row.address else ""
            self.stdout.write(f"  {analysis}{address}: {LogStatus(row.status).label}{when}{answered}")
            if found.reason:
                self._rule(found.reason, found.evidence)

    def _rule(self, reason: Reason, evidence: Evidence | None) -> None:
        self.stdout.write(f"    - {reason.label}")
        if evidence:
            self.stdout.write(f"      {_told(evidence)}")


def _run_of(delivery: Delivery) -> AnalysisRun:
    if delivery.current_run is None:
        raise CommandError(f"“{delivery}” has no analysis. Make one: manage.py analyse {delivery.pk} --wait")
    return delivery.current_run


def _answer(who: str, run: AnalysisRun | None, *, at: datetime) -> Answer:
    same = address_q(who)
    entries = explain.left_out(same, at=at) if same else []
    found = _meant(who, same)
    if not found and not entries:
        raise CommandError(
            f"Nobody is known by “{who}”, and no such address is left out. Give a whole email address, a phone number "
            "with its country code, or the number or identifier of a profile."
        )
    people = found[:LIMIT]
    log: dict[int, list[Explained]] = {}
    if run is not None:
        rows = DeliveryLog.objects.filter(run=run, profile__in=[p.pk for p in people]).order_by("profile", "position")
        for one in explain.rows(run.delivery, rows):
            log.setdefault(one.row.profile_id, []).append(one)
    told = [Person(p, explain.channels(p.pk, at=at), log.get(p.pk, [])) for p in people]
    return Answer(at, told, len(found) > LIMIT, entries, run)


def _meant(who: str, same: Q) -> list[Profile]:
    """Return who has the address; if nobody does, who has the identifier or number. One more than are shown."""
    if same and (found := list(holders(same).order_by("pk")[: LIMIT + 1])):
        return found
    called = Q(external_id=who) if who else Q(pk__in=[])
    if who.isdecimal() and len(who) <= _DIGITS:
        called |= Q(pk=int(who))
    return list(Profile.objects.filter(called).order_by("pk")[: LIMIT + 1])


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
    run = answer.run
    return {
        "at": _iso(answer.at),
        "delivery": run and {"id": run.delivery_id, "name": str(run.delivery), "analysis": run.number},
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
        "profiles": [_person(person, run) for person in answer.people],
        "more": answer.more,
    }


def _person(person: Person, run: AnalysisRun | None) -> Mapping[str, Any]:
    told = {
        "id": person.profile.pk,
        "external_id": person.profile.external_id,
        "name": person.profile.full_name,
        "channels": [
            {
                "channel": one.channel.slug,
                "address": one.verdict.address,
                "reachable": one.reachable,
                "reasons": [{"reason": r.name.lower(), "evidence": _proof(e)} for r, e in one.evidence],
            }
            for one in person.channels
        ],
    }
    if run is None:
        return told
    return {**told, "targeted": bool(person.rows), "messages": [_message(found) for found in person.rows]}


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
