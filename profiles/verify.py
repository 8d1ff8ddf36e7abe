"""Recompute from the ledger what the tables say, and check that the ledger is whole.

    report = verify(head="12:ab34...")      reads one snapshot; changes nothing
    report.problems                          empty when all is well

Checked: the triggers are there; each seal is chained to the one before and its events are as they were; every event
is sealed or waits for its seal; each cited text is stored and is what its digest says; flags, subscriptions and the
opt-outs kept for addresses that nobody has are the fold of their events.

What it cannot see: an event that was deleted together with the row that waited for its seal, before the next seal,
and that changes no fold; and seals removed from the end of the chain, unless the last one was kept elsewhere.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any

from django.db import connection
from django.db.models import Max

from . import seals, sql, triggers
from .blacklist import FLAGS
from .channels import Channel
from .models import Act, ConsentEvent, ConsentSeal, ErasedOptOut, Profile, Subscription, UnsealedEvent, Wording

RANGE = 5_000  # profiles, or events, read at once
SHOWN = 100  # problems kept with their words; all are counted
_FLAG_ACTS = {Act.OPT_OUT: True, Act.OPT_IN: False}
_SERVICE_ACTS = {Act.SUBSCRIBE: True, Act.UNSUBSCRIBE: False, Act.EXPIRE: False}


class Problem(StrEnum):
    """What can be wrong, by what it is about."""

    TRIGGER = "trigger"
    SEAL = "seal"
    EVENT = "event"
    WORDING = "wording"
    FLAG = "flag"
    SUBSCRIPTION = "subscription"
    KEPT_OPT_OUT = "kept opt-out"


@dataclass(slots=True)
class Report:
    """What was read, and what is wrong. `head` is "number:digest" of the last seal, to keep outside."""

    profiles: int = 0
    events: int = 0
    sealed: int = 0
    unsealed: int = 0
    seals: int = 0
    head: str = ""
    counts: Counter[Problem] = field(default_factory=Counter)
    problems: list[tuple[Problem, str]] = field(default_factory=list)

    def found(self, kind: Problem, text: str) -> None:
        self.counts[kind] += 1
        if len(self.problems) < SHOWN:
            self.problems.append((kind, text))


def verify(*, head: str = "") -> Report:
    """Check the whole ledger in one snapshot. `head` is a seal that was kept outside: it must still be there."""
    report = Report()
    with sql.snapshot():
        for table in triggers.missing(connection.alias):
            report.found(Problem.TRIGGER, f"{table}: a trigger is missing; `manage.py migrate` puts it back")
        _check_seals(report, head)
        _check_wordings(report)
        _check_people(report)
        _check_kept(report)
    return report


def _check_seals(report: Report, head: str) -> None:
    top = ConsentEvent.objects.aggregate(top=Max("pk"))["top"] or 0
    covered, previous, expected, heads = bytearray(top // 8 + 1), b"", 1, head == ""
    for sealed in ConsentSeal.objects.order_by("number").iterator(chunk_size=20):
        if sealed.number != expected:
            report.found(Problem.SEAL, f"seal {expected} is missing before seal {sealed.number}")
        if bytes(sealed.digest) != seals.digest_of(sealed, previous):
            report.found(Problem.SEAL, f"seal {sealed.number} does not follow from the one before it: it was edited")
        _check_sealed_events(report, sealed, covered)
        previous, expected, report.head = bytes(sealed.digest), sealed.number + 1, str(sealed)
        heads = heads or report.head == head
        report.seals += 1
    if not heads:
        report.found(Problem.SEAL, f"the seal {head.partition(':')[0]} that you kept is not in the chain")
    _check_coverage(report, covered)


def _check_sealed_events(report: Report, sealed: ConsentSeal, covered: bytearray) -> None:
    try:
        marks = list(seals.read(sealed))
    except ValueError as error:
        report.found(Problem.SEAL, str(error))
        return
    if len(marks) != sealed.count:
        report.found(Problem.SEAL, f"seal {sealed.number} says {sealed.count} events and holds {len(marks)}")
    events = ConsentEvent.objects.in_bulk([one.event for one in marks]) if marks else {}
    for one in marks:
        event = events.get(one.event)
        if event is None:
            report.found(Problem.EVENT, f"event {one.event} of seal {sealed.number} was deleted")
            continue
        report.sealed += 1
        covered[one.event // 8] |= 1 << one.event % 8
        if not seals.mark(event).agrees_with(one):
            report.found(Problem.EVENT, f"event {one.event} of seal {sealed.number} was edited")


def _check_coverage(report: Report, covered: bytearray) -> None:
    """Find events that are neither sealed nor waiting, and waiting ones that are gone."""
    waiting = set(UnsealedEvent.objects.values_list("event_id", flat=True))
    report.unsealed = len(waiting)
    for number in ConsentEvent.objects.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=RANGE):
        report.events += 1
        if number in waiting:
            waiting.discard(number)
        elif not covered[number // 8] & 1 << number % 8:
            report.found(Problem.EVENT, f"event {number} is not sealed and does not wait for a seal")
    for number in sorted(waiting):
        report.found(Problem.EVENT, f"event {number} was deleted before it was sealed")


def _check_wordings(report: Report) -> None:
    known: set[int | None] = set()
    for pk, digest, text in Wording.objects.values_list("pk", "digest", "text").iterator(chunk_size=RANGE):
        known.add(pk)
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            report.found(Problem.WORDING, f"text {pk} is not what was shown: it was edited")
    cited = ConsentEvent.objects.exclude(wording_id=None).order_by().values_list("wording_id", flat=True).distinct()
    for pk in sorted(pk for pk in set(cited) - known if pk):
        report.found(Problem.WORDING, f"text {pk} is cited by the ledger and is gone")


def _check_people(report: Report) -> None:
    """Compare flags and subscriptions with the fold of their events, some thousand profiles at a time."""
    columns = [*FLAGS.values()]
    last = 0
    while people := list(Profile.objects.filter(pk__gt=last).order_by("pk").values_list("pk", *columns)[:RANGE]):
        first, last = people[0][0], people[-1][0]
        report.profiles += len(people)
        folded = _fold(first, last)
        subscriptions: dict[int, dict[int, datetime | None]] = {}
        rows = Subscription.objects.filter(profile__gte=first, profile__lte=last)
        for profile, service, until in rows.values_list("profile_id", "service_id", "expires_at"):
            subscriptions.setdefault(profile, {})[service] = until
        for pk, *flags in people:
            found = folded.get(pk, _Folded())
            _compare_flags(report, pk, dict(zip(FLAGS, flags, strict=True)), found)
            _compare_subscriptions(report, pk, subscriptions.get(pk, {}), found)


@dataclass(slots=True)
class _Folded:
    """What the events of one profile add up to: flags by channel, and service → (runs, until)."""

    flags: dict[Channel | None, bool] = field(default_factory=dict)
    services: dict[int, tuple[bool, datetime | None]] = field(default_factory=dict)


def _fold(first: int, last: int) -> dict[int, _Folded]:
    rows: Iterator[Any] = (
        ConsentEvent.objects.filter(profile_id__gte=first, profile_id__lte=last)
        .filter(act__in=[*_FLAG_ACTS, *_SERVICE_ACTS])
        .order_by("profile_id", "pk")
        .values_list("profile_id", "act", "channel", "service_id", "expires_at")
        .iterator(chunk_size=RANGE)
    )
    found = {}
    for profile, lines in groupby(rows, key=lambda row: row[0]):
        folded = found[profile] = _Folded()
        for _profile, act, channel, service, until in lines:
            if act in _SERVICE_ACTS:
                folded.services[service] = (_SERVICE_ACTS[act], until)
            else:
                folded.flags[Channel(channel) if channel else None] = _FLAG_ACTS[act]
    return found


def _compare_flags(report: Report, pk: int, flags: dict[Channel | None, bool], folded: _Folded) -> None:
    for channel, name in FLAGS.items():
        wanted = folded.flags.get(channel, False)
        if flags[channel] != wanted:
            report.found(Problem.FLAG, f"profile {pk}: {name} is {flags[channel]}, its events say {wanted}")


def _compare_subscriptions(report: Report, pk: int, rows: dict[int, datetime | None], folded: _Folded) -> None:
    wanted = {service: until for service, (runs, until) in folded.services.items() if runs}
    for service in sorted({*rows, *wanted}):
        where = f"profile {pk}, service {service}:"
        if service not in wanted:
            report.found(Problem.SUBSCRIPTION, f"{where} subscribed, its events say no")
        elif service not in rows:
            report.found(Problem.SUBSCRIPTION, f"{where} not subscribed, its events say yes")
        elif rows[service] != wanted[service]:
            report.found(Problem.SUBSCRIPTION, f"{where} the subscription ends at another time than its events say")


def _check_kept(report: Report) -> None:
    """Compare the opt-outs kept for addresses that nobody has with the events that name an address and no profile."""
    acts: dict[str, bool] = {act.value: kept for act, kept in {**_FLAG_ACTS, Act.UNSUBSCRIBE: True}.items()}
    events = ConsentEvent.objects.filter(profile_id=None, digest__isnull=False, act__in=[*acts])
    rows: Iterator[Any] = (
        events.order_by("pk").values_list("digest", "channel", "service_id", "act").iterator(chunk_size=RANGE)
    )
    wanted: dict[tuple[bytes, int, int], bool] = {}
    for digest, channel, service, act in rows:
        key = (bytes(digest), 0 if service else channel or 0, service or 0)
        wanted[key] = acts[act]
    held = {
        (bytes(digest), channel, service)
        for digest, channel, service in ErasedOptOut.objects.values_list("digest", "channel", "service_id")
    }
    for digest, channel, service in sorted({key for key, on in wanted.items() if on} ^ held):
        said = "no" if (digest, channel, service) in held else "yes"
        scope = f"service {service}" if service else f"channel {channel}" if channel else "every channel"
        report.found(Problem.KEPT_OPT_OUT, f"address {digest.hex()[:8]}…, {scope}: its events say {said}")
