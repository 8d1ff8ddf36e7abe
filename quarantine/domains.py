"""Blocked domains: read as people write them, and whether anybody has an address there."""

import re
from dataclasses import dataclass
from datetime import timedelta

import idna
from django.db.models import Q
from django.db.models.functions import Right
from django.db.models.lookups import Exact
from django.utils.translation import gettext as _

from profiles.addresses import a_label
from profiles.channels import Channel
from profiles.models import Address
from profiles.time_limits import TookTooLong, limited

PATIENCE = timedelta(seconds=1)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))+\Z")


class DomainRefused(ValueError):
    """What was written is no domain."""

    def __str__(self) -> str:
        return _("Write one domain such as example.org.")


@dataclass(frozen=True, slots=True)
class ReadDomain:
    """A domain in lower-case ASCII, as in the keys of addresses; `below` when those below it were written too."""

    name: str
    below: bool


def read(text: str) -> ReadDomain:
    """Read a domain as people write it: "*.example.org", "@Example.org", "jardins-à-vivre.fr". Raise DomainRefused."""
    written = text.strip().rpartition("@")[2].removesuffix(".")
    below = written.startswith(("*.", "."))
    try:
        name = a_label(written.removeprefix("*").removeprefix("."))
    except (idna.IDNAError, UnicodeError):
        raise DomainRefused from None
    if len(name) > 253 or not _NAME.match(name):
        raise DomainRefused
    return ReadDomain(name, below)


def anybody_there(name: str, *, below: bool) -> bool | None:
    """Say whether anybody has an email address of a domain; None where that cannot be told quickly."""
    there = _ends_with(f"@{name}") | (_ends_with(f".{name}") if below else Q())
    try:
        with limited(PATIENCE):
            return Address.objects.filter(there, channel=Channel.EMAIL).exists()
    except TookTooLong:
        return None


def _ends_with(ending: str) -> Q:
    return Q(Exact(Right("key", len(ending)), ending))
