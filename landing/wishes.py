"""Saving what somebody chose on the page of their preferences.

    save(request, shown, ticked, ...)    act on what differs between what the page showed and what was sent

Switching off touches every profile that has the address, switching on the oldest. A page that was left open changes
only what was changed on it, and switches nothing on that was switched off meanwhile.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Act, Profile, Service, Source

from . import history, offers
from .double_opt_in import Visit
from .lifting import lift_channels, write_again
from .models import PreferencesRequest
from .notices import subscribed_before, tell_subscribed, tell_unsubscribed
from .offers import Item, Part, Person, Shown

STOPS = (Act.OPT_OUT, Act.UNSUBSCRIBE, Act.EXPIRE, Act.QUARANTINE)


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a form: whether something was stopped, and whether something newer keeps a ticked box off."""

    stopped: bool = False
    newer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What the acts of one saving share."""

    person: Person
    evidence: Evidence
    at: datetime

    @property
    def digest(self) -> bytes:
        return bytes(self.person.proven.digest)


def save(
    request: PreferencesRequest, shown: Shown, ticked: Collection[str], *, visit: Visit, at: datetime
) -> Saved | None:
    """Do what somebody changed on the page, all of it or nothing; None when nobody has the address any more."""
    with transaction.atomic():
        person = offers.person_of(request, lock=True)
        if person is None:
            return None
        offered = offers.read(request, person, at=at)
        off = [item for item, on in shown.items.items() if on and item.key not in ticked]
        wanted = [item for item, on in shown.items.items() if not on and item.key in ticked]
        wanted = [item for item in wanted if offered.shown.items.get(item) is False]
        kept = [item for item, on in shown.items.items() if on and item.key in ticked]
        missed = [item for item in kept if offered.shown.items.get(item) is False]
        newer = _stopped_since(shown.upto, person) if wanted or missed else set()
        deed = Deed(person=person, evidence=evidence_of(offered.words, visit), at=at)
        _switch_off(deed, off)
        _switch_on(deed, [item for item in wanted if item not in newer])
    was_on = offered.shown.items
    return Saved(stopped=any(was_on.get(item) for item in off), newer=not newer.isdisjoint(wanted + missed))


def evidence_of(text: str, visit: Visit) -> Evidence:
    """Return who acts on the page, from where, and what they read. Stores the wording if it is new."""
    return Evidence(
        source=Source.PREFERENCES, language=visit.language, ip=visit.ip, user_agent=visit.user_agent,
        wording_id=consent.cite(text, visit.language).pk,
    )  # fmt: skip


def _stopped_since(upto: int, person: Person) -> set[Item]:
    """Return what was stopped after a page was shown, by whomever: that page does not switch it on."""
    found: set[Item] = set()
    for event in history.events_of(person.ids, person.digests).filter(pk__gt=upto, act__in=STOPS):
        if event.service_id:
            found.add(Item(Part.SERVICE, event.service_id))
        else:
            channels = [event.channel] if event.channel else Channel.values
            found.update(Item(Part.CHANNEL, channel) for channel in channels)
    return found


def _switch_off(deed: Deed, items: Collection[Item]) -> None:
    """Opt every profile that has the address out of channels and services."""
    for channel in _channels(items):
        consent.opt_out(deed.person.ids, channel=channel, evidence=deed.evidence, at=deed.at)
    for service in _services(items):
        change = consent.unsubscribe(deed.person.ids, service, evidence=deed.evidence, at=deed.at)
        tell_unsubscribed(change, service, digest=deed.digest, language=deed.evidence.language, at=deed.at)


def _switch_on(deed: Deed, items: Collection[Item]) -> None:
    """Lift channels, then subscribe to services, each for the oldest profile for which it serves."""
    own = Channel(deed.person.proven.channel)
    of: dict[int, list[Channel]] = {}
    for channel in _channels(items):
        of.setdefault(deed.person.on(channel)[0].profile_id, []).append(channel)
    for profile, channels in of.items():
        lift_channels(profile, channels, digest=deed.digest, evidence=deed.evidence, at=deed.at)
        if own in channels:
            write_again(own, deed.digest, evidence=deed.evidence, at=deed.at)
    if services := _services(items):
        profiles = Profile.objects.filter(pk__in=deed.person.ids).order_by("pk")
        now = replace(deed, person=replace(deed.person, profiles=list(profiles)))
        for service in services:
            _subscribe(now, service)


def _subscribe(deed: Deed, service: Service) -> None:
    """Subscribe the oldest profile that may be contacted on the channel; where none may, the oldest, quietly."""
    consent.forget_kept_opt_out(deed.digest, service=service, evidence=deed.evidence, at=deed.at)
    reachable = deed.person.reachable(Channel(service.channel))
    profile = reachable[0].profile_id if reachable else deed.person.ids[0]
    first = not subscribed_before(profile, service)
    changed = consent.subscribe([profile], service, evidence=deed.evidence, at=deed.at)
    if changed and first and reachable:
        tell_subscribed(
            profile, service, address=deed.person.proven.value, digest=deed.digest, language=deed.evidence.language,
            at=deed.at,
        )  # fmt: skip


def _channels(items: Collection[Item]) -> list[Channel]:
    return sorted(Channel(item.number) for item in items if item.part == Part.CHANNEL)


def _services(items: Collection[Item]) -> list[Service]:
    numbers = [item.number for item in items if item.part == Part.SERVICE]
    return list(Service.objects.filter(pk__in=numbers).select_related("brand").order_by("pk")) if numbers else []
