"""What an analysis goes by: the target and the sending rules, as they were when it began.

A run keeps its plan, so that its ranges all go by the same, whoever changes an audience or a rule meanwhile, and so
that it can be told later what has changed since (`outdated`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from django.db.models import Q

from profiles.channels import Channel

from . import criteria
from .exclusions import IdRange, Judging, blocked_endings, is_ascii_only
from .models import Addresses, AnalysisRun, Delivery, MessageClass, RuleKind, State, Target
from .typologies import rules_of

# Deliveries whose messages were sent, are leaving, or are about to.
_UNDER_WAY = (State.SENDING, State.PAUSED, State.STOPPING, State.STOPPED, State.FINISHED)


@dataclass(frozen=True, slots=True)
class Filtering:
    """A rule that leaves out whoever meets its criteria."""

    rule: int
    label: str
    criteria: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fatigue:
    """A rule that leaves out whoever gets `most` messages or more of these runs, which are those of one window.

    Where `field` names an own field, the number that it holds counts instead, for people who have one.
    """

    rule: int
    label: str
    most: int
    field: str
    runs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides whom a run targets and leaves out, besides the people."""

    target: str
    chosen: int | None = None  # the service or the list
    criteria: dict[str, Any] | None = None  # of the audience
    every: bool = False
    filtering: tuple[Filtering, ...] = ()
    fatigue: tuple[Fatigue, ...] = ()
    blocked: tuple[str, ...] = ()
    ascii_only: bool = False
    control_parts: int = 0  # of ten thousand
    control_count: int | None = None
    limit: int | None = None
    salt: int = 1

    @classmethod
    def of(cls, run: AnalysisRun) -> Self:
        """Return the plan that a run keeps."""
        kept = dict(run.plan)
        kept["filtering"] = tuple(Filtering(**one) for one in kept["filtering"])
        kept["fatigue"] = tuple(Fatigue(**{**one, "runs": tuple(one["runs"])}) for one in kept["fatigue"])
        kept["blocked"] = tuple(kept["blocked"])
        return cls(**kept)

    @property
    def labels(self) -> dict[int, str]:
        """Return number → name of the rules that leave out people."""
        return {one.rule: one.label for one in self.filtering} | {one.rule: one.label for one in self.fatigue}

    def stored(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return asdict(self)

    def judging(self, channel: Channel, *, at: datetime, within: IdRange | None = None) -> Judging:
        """Return what the exclusions go by, the criteria of the rules compiled for a moment and a range."""
        filtering: list[tuple[int, Q]] = [
            (one.rule, criteria.condition(criteria.read(one.criteria), at=at, within=within)) for one in self.filtering
        ]
        return Judging(channel, self.blocked, self.ascii_only, filtering)


def make(delivery: Delivery, *, at: datetime) -> Plan:
    """Return what an analysis of a delivery would go by now. Raise CriteriaRefused for criteria that no longer fit."""
    channel, marketing = Channel(delivery.channel), delivery.message_class == MessageClass.MARKETING
    chosen = {Target.SERVICE: delivery.service_id, Target.LIST: delivery.people_list_id}
    audience = delivery.audience if delivery.target == Target.AUDIENCE else None
    if audience is not None:
        criteria.read(audience.criteria)
    return Plan(
        target=delivery.target,
        chosen=chosen.get(Target(delivery.target)),
        criteria=audience.criteria if audience else None,
        every=delivery.addresses == Addresses.EVERY,
        filtering=_filtering(delivery) if marketing else (),
        fatigue=_fatigue(delivery, at) if marketing else (),
        blocked=blocked_endings(channel),
        ascii_only=is_ascii_only(channel),
        control_parts=int((delivery.control_percent or Decimal(0)) * 100),
        control_count=delivery.control_count or None,
        limit=delivery.size_limit,
        salt=delivery.salt,
    )


def outdated(run: AnalysisRun, delivery: Delivery, *, at: datetime) -> bool:
    """Say whether the audience or the sending rules are no longer those of a run.

    Also when people have meanwhile been promised messages that contact pressure counts. Blocked domains do not
    matter here: the hand-off looks at them again.
    """
    if not run.plan:
        return True
    then, now = Plan.of(run), make(delivery, at=at)
    counted: dict[int, set[int]] = {}
    for one in then.fatigue:
        counted.setdefault(one.rule, set()).update(one.runs)
    if any(not counted.get(one.rule, set()).issuperset(one.runs) for one in now.fatigue):
        return True
    return _compared(then) != _compared(now)


def _compared(plan: Plan) -> Mapping[str, Any]:
    fatigue = {(one.rule, one.most, one.field) for one in plan.fatigue}
    filtering = [(one.rule, one.criteria) for one in plan.filtering]
    return {"criteria": plan.criteria, "target": plan.target, "filtering": filtering, "fatigue": fatigue}


def _filtering(delivery: Delivery) -> tuple[Filtering, ...]:
    found = []
    for rule in rules_of(delivery, RuleKind.FILTERING):
        if not criteria.is_everybody(criteria.read(rule.criteria)):
            found.append(Filtering(rule.pk, rule.label, rule.criteria))
    return tuple(found)


def _fatigue(delivery: Delivery, at: datetime) -> tuple[Fatigue, ...]:
    """Return the rules of contact pressure; one of them stands there once for each of its windows."""
    contact, found = delivery.scheduled_at or at, []
    for rule in rules_of(delivery, RuleKind.FATIGUE):
        field = rule.most_field.name if rule.most_field else ""
        for runs in _windows(delivery, contact, timedelta(hours=rule.hours or 0), rule.channels):
            found.append(Fatigue(rule.pk, rule.label, rule.most or 0, field, runs))
    return tuple(found)


def _windows(delivery: Delivery, contact: datetime, span: timedelta, channels: list[int]) -> list[tuple[int, ...]]:
    """Return the runs of each window of a certain length that holds the contact date; never none.

    Of other marketing deliveries. One reaches people at the date for which it is scheduled, else when its sending
    began. A window that begins at such a date, or at the contact date, holds all that any other could; one whose runs
    another has as well is left out.
    """
    near = (contact - span, contact + span)
    around = Q(state=State.SCHEDULED, scheduled_at__range=near) | Q(state__in=_UNDER_WAY, started_at__range=near)
    others = Delivery.objects.filter(around, message_class=MessageClass.MARKETING).exclude(pk=delivery.pk)
    if channels:
        others = others.filter(channel__in=channels)
    rows = others.order_by("pk").values_list("current_run", "state", "scheduled_at", "started_at")
    dated = [
        (run, date)
        for run, state, scheduled, started in rows
        if run and (date := scheduled if state == State.SCHEDULED else started)
    ]
    starts = [contact, *(date for _run, date in dated if date <= contact)]
    windows = {frozenset(run for run, date in dated if start <= date <= start + span) for start in starts}
    widest = [tuple(sorted(one)) for one in windows if not any(one < other for other in windows)]
    return sorted(widest)
