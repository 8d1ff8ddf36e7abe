"""Blocked domains: read as people write them, and whether anybody has an address there.

>>> read(" *.Bücher.example ")
ReadDomain(name='xn--bcher-kva.example', below=True)
"""

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
LONGEST = 253  # RFC 1035 section 3.1, without the root
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


class DomainRefused(ValueError):
    """What was written is no domain; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class ReadDomain:
    """A domain in lower-case ASCII, as in the keys of addresses; `below` when those below it were written too."""

    name: str
    below: bool


def read(text: str) -> ReadDomain:
    """Read a domain as people write it: "*.example.org", "@Example.org", "jardins-à-vivre.fr". Raise DomainRefused."""
    written = text.strip().removeprefix("*@").removeprefix("@")
    below = written.startswith(("*.", "."))
    written = written.removeprefix("*").removeprefix(".") if below else written
    if "@" in written:
        # Taken for its domain, one address would stop the mail of everybody there.
        raise DomainRefused(_("This is an address. Write only what follows its @, or leave that one address out."))
    if "/" in written or ":" in written:
        raise DomainRefused(_("This is the address of a page. Write only the domain, such as example.org."))
    try:
        name = a_label(written).removesuffix(".")
    except UnicodeError:
        name = ""
    labels = name.split(".")
    is_domain = len(labels) > 1 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdecimal()
    if len(name) > LONGEST or not is_domain:
        raise DomainRefused(_("Write one domain such as example.org."))
    return ReadDomain(name, below)


def shown(name: str) -> str:
    """Return a domain as people read it: "bücher.example (xn--bcher-kva.example)" where the letters are not plain."""
    try:
        letters = idna.decode(name)
    except UnicodeError:
        return name
    return name if letters == name else f"{letters} ({name})"


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
