"""Decide about a burst of opt-outs: leave them as they are, or take them back.

    dismiss(burst, user, ...)        nothing changes for anybody
    ask(burst, user, reason, ...)    mark it; `work` then gives back, in rounds, what those very events took away

Only people about whom nothing newer has been recorded get anything back: whoever has opted out again since, or was
opted out by an operator, or complained, stays as they are. A profile is locked before that is looked at.

The press is one conditional update, so a second one finds nothing to do. A round is one transaction with its
checkpoint, so a worker that dies repeats nothing. All events of an undo share the moment of the press.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from profiles import audit
from profiles.consent import Evidence
from profiles.errors import LiftNeedsReason
from profiles.models import Address, ConsentEvent, Profile, Source

from .giving_back import give_back
from .models import OptOutBurst
from .stopping import CONSENT_ACTS

State = OptOutBurst.State
ROUND = 500  # profiles in one transaction
READ = 2_000  # events read at once


@dataclass(slots=True)
class Taken:
    """What the machines' presses took away: the open events of a burst, by profile and by digest."""

    by_profile: dict[int, list[ConsentEvent]] = field(default_factory=dict)
    by_digest: dict[bytes, ConsentEvent] = field(default_factory=dict)

    def after(self, profile: int) -> list[int]:
        """Return the next profiles to do."""
        return sorted(pk for pk in self.by_profile if pk > profile)[:ROUND]


def open_events(burst: OptOutBurst) -> list[int]:
    """Return the events that nobody has decided about yet."""
    return sorted(set(burst.events) - set(burst.settled))


def ask(burst: OptOutBurst, user: Any, *, reason: str, at: datetime) -> bool:
    """Have the opt-outs of a burst taken back; return False when somebody has decided already. LiftNeedsReason."""
    if not reason.strip():
        raise LiftNeedsReason
    with transaction.atomic():
        asked = _decide(burst, State.RESTORING, user, at=at, reason=reason.strip(), actor_id=user.pk, upto=0)
        if asked:
            audit.record(audit.Action.RESTORED, user, burst, rows=burst.people, reason=reason.strip(), at=at)
    return asked


def dismiss(burst: OptOutBurst, user: Any, *, at: datetime) -> bool:
    """Leave the opt-outs as they are; return False when somebody has decided already."""
    with transaction.atomic():
        done = _decide(burst, State.DISMISSED, user, at=at)
        if done:
            audit.record(audit.Action.DISMISSED, user, burst, rows=burst.people, at=at)
    return done


def waiting() -> list[int]:
    """Return the bursts that are being taken back, for a worker whose ring was lost."""
    return list(OptOutBurst.objects.filter(state=State.RESTORING).values_list("pk", flat=True))


def work(pk: int, *, clock: Callable[[], datetime], budget: timedelta) -> bool:
    """Give back for a while; return whether more is left to do."""
    burst = OptOutBurst.objects.filter(pk=pk, state=State.RESTORING).first()
    if burst is None:
        return False
    taken, until = _taken(burst), clock() + budget
    while _round(pk, taken):
        if clock() > until:
            return True
    return False


def _decide(burst: OptOutBurst, state: OptOutBurst.State, user: Any, *, at: datetime, **fields: Any) -> bool:
    mine = OptOutBurst.objects.filter(pk=burst.pk, state=State.NEW)
    changed = mine.update(state=state, handled_at=at, handled_by=user.get_username()[:150], **fields)
    burst.refresh_from_db()
    return bool(changed)


def _taken(burst: OptOutBurst) -> Taken:
    taken, numbers = Taken(), open_events(burst)
    for start in range(0, len(numbers), READ):
        for event in ConsentEvent.objects.filter(pk__in=numbers[start : start + READ]).order_by("pk"):
            if event.profile_id:
                taken.by_profile.setdefault(event.profile_id, []).append(event)
            elif event.digest:
                taken.by_digest[bytes(event.digest)] = event
    return taken


def _round(pk: int, taken: Taken) -> bool:
    """Do the next profiles, in one transaction; return whether there may be more."""
    with transaction.atomic():
        mine = OptOutBurst.objects.filter(pk=pk, state=State.RESTORING)
        burst = OptOutBurst.objects.select_for_update().get(pk=pk)
        people = taken.after(burst.upto)
        if not people:
            mine.update(state=State.RESTORED)
            return False
        if burst.state != State.RESTORING or burst.handled_at is None:
            return False
        given = _give_back(burst, people, taken, at=burst.handled_at)
        mine.update(
            upto=people[-1], restored=F("restored") + given, left_alone=F("left_alone") + len(people) - given
        )  # fmt: skip
    return True


def _give_back(burst: OptOutBurst, people: list[int], taken: Taken, *, at: datetime) -> int:
    """Give back to those of these profiles about whom nothing newer is known; return to how many."""
    locked = Profile.objects.select_for_update(no_key=True).filter(pk__in=people).order_by("pk")
    still = set(locked.values_list("pk", flat=True))
    held: dict[int, set[bytes]] = {}
    for profile, digest in Address.objects.filter(profile__in=still).values_list("profile_id", "digest"):
        held.setdefault(profile, set()).add(bytes(digest))
    newer = _newer(burst, people, {digest for digests in held.values() for digest in digests}, taken)
    fine = [pk for pk in sorted(still) if not _has_newer(taken.by_profile[pk][0].pk, pk, held.get(pk, set()), newer)]
    events = [event for pk in fine for event in taken.by_profile[pk]]
    beside = {digest for pk in fine for digest in held.get(pk, set()) if digest in taken.by_digest}
    evidence = Evidence(
        source=Source.OPERATOR, actor_id=burst.actor_id, actor_name=burst.handled_by, reason=burst.reason,
        delivery_id=burst.delivery_id, delivery_name=burst.delivery_name,
    )  # fmt: skip
    return len(give_back([*events, *(taken.by_digest[digest] for digest in sorted(beside))], evidence=evidence, at=at))


def _newer(burst: OptOutBurst, people: Iterable[int], digests: set[bytes], taken: Taken) -> list[ConsentEvent]:
    """Return what was recorded about these profiles and addresses since, but for the burst and what it gave back."""
    first = min(event.pk for pk in people for event in taken.by_profile[pk])
    about = Q(profile_id__in=people) | Q(digest__in=digests)
    known = set(burst.events)
    since = ConsentEvent.objects.filter(about, act__in=CONSENT_ACTS, pk__gt=first).order_by("pk")
    return [event for event in since if event.pk not in known and not _is_given_back(event, burst)]


def _is_given_back(event: ConsentEvent, burst: OptOutBurst) -> bool:
    return (event.source, event.actor_id, event.delivery_id, event.at) == (
        Source.OPERATOR, burst.actor_id, burst.delivery_id, burst.handled_at,
    )  # fmt: skip


def _has_newer(first: int, profile: int, digests: set[bytes], newer: list[ConsentEvent]) -> bool:
    return any(
        event.pk > first and (event.profile_id == profile or (event.digest and bytes(event.digest) in digests))
        for event in newer
    )
