"""What a person agreed to, and what shows it: who, when, how, and what they were told.

    proof = proof_of(profile, at=now)      for a page to read or print
    as_json(proof)                          the same as plain values, in the active language

It holds every event of the ledger about the person and about the addresses that they have. It helps to demonstrate
consent. It may be handed to the person, so its words are those that people understand, and not those of the code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from . import seals
from .blacklist import FLAGS
from .channels import Channel
from .models import Act, Address, ConsentEvent, Profile, Service, Source, Wording

# The names that a file gives to acts; the code's own where there is none here.
_ACTS = {Act.QUARANTINE: "address_no_longer_used", Act.RELEASE: "address_used_again"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One event: what, when, from where, by whom, what the person read, and the seal that closes it (None: not yet)."""

    number: int
    at: datetime
    act: Act
    what: str
    subject: str
    source: Source
    by: str
    reason: str
    delivery: str
    language: str
    told: str
    ip: str
    user_agent: str
    until: datetime | None
    seal: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What holds now for one channel or service: may it be used, and since which event."""

    subject: str
    on: bool
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The whole of it, at one moment; `lines` from the oldest to the newest."""

    profile: Profile
    at: datetime
    addresses: Sequence[Address]
    channels: Sequence[State]
    services: Sequence[State]
    lines: Sequence[Line]


def proof_of(profile: Profile, *, at: datetime) -> Proof:
    """Return what shows the consent of a person. A number of queries that does not grow with their story."""
    held = list(profile.addresses.order_by("channel", "position"))
    mine = Q(profile_id=profile.pk) | Q(digest__in=[bytes(address.digest) for address in held])
    events = list(ConsentEvent.objects.filter(mine).order_by("pk"))
    told = Wording.objects.in_bulk({event.wording_id for event in events if event.wording_id})
    sealed = seals.seals_of(event.pk for event in events)
    labels = {service.pk: str(service) for service in Service.objects.filter(pk__in={e.service_id for e in events})}
    return Proof(
        profile=profile,
        at=at,
        addresses=held,
        channels=_channels(profile, events),
        services=_services(profile, labels, at),
        lines=[_line(event, labels, told, sealed) for event in events],
    )


def as_json(proof: Proof) -> dict[str, Any]:
    """Return plain values: times in ISO 8601, texts in the active language."""
    profile = proof.profile
    return {
        "made_at": proof.at.isoformat(),
        "person": {
            "number": profile.pk, "identifier": profile.external_id or "", "first_name": profile.first_name,
            "last_name": profile.last_name,
            "addresses": [{"channel": a.get_channel_display(), "address": a.value} for a in proof.addresses],
        },
        "channels": [_state_json(state) for state in proof.channels],
        "subscriptions": [_state_json(state) for state in proof.services],
        "history": [_line_json(line) for line in proof.lines],
    }  # fmt: skip


def _line(event: ConsentEvent, labels: dict[int, str], told: dict[int, Wording], sealed: dict[int, int]) -> Line:
    wording = told.get(event.wording_id or 0)
    return Line(
        number=event.pk, at=event.at, act=Act(event.act), what=event.get_act_display(), subject=_subject(event, labels),
        source=Source(event.source), by=event.actor_name, reason=event.reason, delivery=event.delivery_name,
        language=event.language, told=wording.text if wording else "", ip=event.ip, user_agent=event.user_agent,
        until=event.expires_at, seal=sealed.get(event.pk),
    )  # fmt: skip


def _subject(event: ConsentEvent, labels: dict[int, str]) -> str:
    if event.service_id:
        return labels.get(event.service_id) or event.service_name
    if event.channel:
        return str(Channel(event.channel).label)
    return _("Every channel") if event.act in (Act.OPT_IN, Act.OPT_OUT) else ""


def _channels(profile: Profile, events: Sequence[ConsentEvent]) -> list[State]:
    last = {e.channel: e.at for e in events if e.profile_id == profile.pk and e.act in (Act.OPT_IN, Act.OPT_OUT)}
    states = []
    for channel, flag in FLAGS.items():
        label = str(channel.label) if channel else _("Every channel")
        # Who opted out of everything is reached on no channel, whatever is said of one.
        deciding = None if profile.blacklisted and not getattr(profile, flag) else channel
        off = profile.blacklisted or getattr(profile, flag)
        states.append(State(subject=label, on=not off, since=last.get(deciding)))
    return states


def _services(profile: Profile, labels: dict[int, str], at: datetime) -> list[State]:
    running = {row.service_id: row for row in profile.subscriptions.active(at).select_related("service")}
    names = {**labels, **{pk: str(row.service) for pk, row in running.items()}}
    return [
        State(subject=name, on=pk in running, since=running[pk].created_at if pk in running else None)
        for pk, name in sorted(names.items(), key=lambda pair: pair[1])
    ]


def _state_json(state: State) -> dict[str, Any]:
    return {"name": state.subject, "on": state.on, "since": _iso(state.since)}


def _line_json(line: Line) -> dict[str, Any]:
    return {
        "number": line.number, "at": _iso(line.at), "act": _ACTS.get(line.act, line.act.value), "what": line.what,
        "about": line.subject, "from": str(line.source.label), "by": line.by, "reason": line.reason,
        "message": line.delivery, "language": line.language, "text_shown": line.told, "ip": line.ip,
        "browser": line.user_agent, "until": _iso(line.until), "seal": line.seal,
    }  # fmt: skip


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
