"""What applications above add to these pages. They may import this one; it may not import them.

from profiles.admin import hooks
hooks.sections.append(lambda request, profile: render_to_string(...))
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.safestring import SafeString

from profiles.models import Address, Brand, Profile, Service


@dataclass(frozen=True, slots=True)
class PublicLink:
    """A public page that is open: its name, its full address, and whether people subscribe on it."""

    name: str
    address: str
    invites: bool


# Addresses → what is done about each, by its id: two queries at most for all of them.
address_states: list[Callable[[Sequence[Address]], Mapping[int, SafeString]]] = []
# Blocks shown under a profile.
sections: list[Callable[[HttpRequest, Profile], SafeString]] = []
# Public pages of a service.
public_links: list[Callable[[Service], Sequence[PublicLink]]] = []
# What is made with a new service, such as its public pages.
service_added: list[Callable[[HttpRequest, Service], None]] = []
# Pictures of what a brand looks like, such as its public pages in light and dark.
brand_looks: list[Callable[[Brand], Sequence[SafeString]]] = []
