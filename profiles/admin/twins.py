"""Other profiles of a person, with what is still sent to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from profiles import twins
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.models import Address, Profile

from . import hooks


@dataclass(frozen=True, slots=True)
class ShownTwin:
    """A twin as pages show it: `written_to` says whether anything still reaches one of the shared addresses."""

    profile: Profile
    shared: tuple[Address, ...]
    opted_out_of: list[str]
    written_to: bool


def twins_of(*profiles: int) -> dict[str, Any]:
    """Return the certain and the possible twins of one person's profiles, for a template."""
    certain, possible = twins.certain(profiles), twins.possible(profiles)
    return {"certain": shown(certain), "possible": shown(possible)}


def shown(found: Sequence[twins.Twin]) -> list[ShownTwin]:
    """Return twins as pages show them; what is done about their addresses is asked for all at once."""
    states = states_of([address for twin in found for address in twin.shared])
    return [
        ShownTwin(twin.profile, twin.shared, twin.opted_out_of, any(_reached(twin, a, states) for a in twin.shared))
        for twin in found
    ]


def states_of(rows: Sequence[Address]) -> dict[int, SafeString]:
    """Return what the applications above say about addresses, by their id."""
    found: dict[int, SafeString] = {}
    for states in hooks.address_states:
        found.update(states(rows) if rows else {})
    return found


def _reached(twin: twins.Twin, address: Address, states: dict[int, SafeString]) -> bool:
    flags = (FLAGS[None], FLAGS[Channel(address.channel)])
    return address.pk not in states and not any(getattr(twin.profile, flag) for flag in flags)
