"""Give back what events of the ledger took away: the flag lifted, the subscription with the end that it had.

    give_back(events, evidence=..., at=...)     any number of opt-outs, unsubscriptions and quarantines by the person

Whoever calls it has made sure, under the lock of the profiles, that nothing newer has happened to these people.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Q

from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, ConsentEvent, Service
from quarantine import escalation
from quarantine.models import Cause, QuarantinedAddress, Status


def give_back(events: Iterable[ConsentEvent], *, evidence: Evidence, at: datetime) -> set[int]:
    """Reverse events; return the profiles in which something changed.

    Call it in a transaction. Profiles come before addresses, as everywhere. The number of queries grows with the
    number of channels, services and ends among the events, and not with that of the events (but for opt-outs that
    are kept for addresses which nobody has).
    """
    done = list(events)
    kept = [event for event in done if event.profile_id is None and event.act in (Act.OPT_OUT, Act.UNSUBSCRIBE)]
    services = Service.objects.in_bulk({event.service_id for event in done if event.service_id})
    changed = _lift_flags([e for e in done if e.profile_id and e.act == Act.OPT_OUT], evidence=evidence, at=at)
    for pk, service in sorted(services.items()):
        left = [e for e in done if e.profile_id and e.act == Act.UNSUBSCRIBE and e.service_id == pk]
        changed |= _subscribe_again(left, service, evidence=evidence, at=at)
    for event in kept:
        if event.digest and (event.service_id is None or event.service_id in services):
            service_left = services[event.service_id] if event.service_id else None
            flag = None if service_left or not event.channel else Channel(event.channel)
            consent.forget_kept_opt_out(
                bytes(event.digest), service=service_left, flag=flag, evidence=evidence, at=at
            )  # fmt: skip
    _release([event for event in done if event.act == Act.QUARANTINE], evidence=evidence, at=at)
    return changed


def _lift_flags(events: Sequence[ConsentEvent], *, evidence: Evidence, at: datetime) -> set[int]:
    changed: set[int] = set()
    for number in sorted({event.channel or 0 for event in events}):
        people = [event.profile_id or 0 for event in events if (event.channel or 0) == number]
        channel = Channel(number) if number else None
        changed |= set(consent.opt_in(people, channel=channel, evidence=evidence, at=at).profiles)
    return changed


def _subscribe_again(
    events: Sequence[ConsentEvent], service: Service, *, evidence: Evidence, at: datetime
) -> set[int]:  # fmt: skip
    """Give subscriptions back with the end that they had; not those that would have ended by now."""
    if not events:
        return set()
    left = {event.profile_id or 0: event.pk for event in events}
    begun = ConsentEvent.objects.filter(
        profile_id__in=left, service_id=service.pk, act=Act.SUBSCRIBE, pk__lt=max(left.values())
    ).order_by("pk").values_list("profile_id", "pk", "expires_at")  # fmt: skip
    ends: dict[int, datetime | None] = {}
    for profile, pk, end in begun:
        if profile and pk < left[profile]:
            ends[profile] = end
    changed: set[int] = set()
    for wanted in sorted({ends.get(profile) for profile in left}, key=lambda end: (end is not None, end)):
        if wanted is None or wanted > at:
            people = [profile for profile in left if ends.get(profile) == wanted]
            again = consent.subscribe(people, service, evidence=evidence, at=at, expires_at=wanted)
            changed |= set(again.profiles)
    return changed


def _release(events: Sequence[ConsentEvent], *, evidence: Evidence, at: datetime) -> None:
    for number in sorted({event.channel or 0 for event in events}):
        digests = [bytes(event.digest) for event in events if event.digest and (event.channel or 0) == number]
        asked = Q(status=Status.QUARANTINED, cause=Cause.PERSON, channel=number, digest__in=digests)
        escalation.release(QuarantinedAddress.objects.filter(asked), evidence=evidence, at=at)
