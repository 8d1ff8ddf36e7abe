"""Mail domains to which nothing is sent, as people type them.

>>> read(" *.Bücher.example ")
ReadDomain(name='xn--bcher-kva.example', below=True)
"""

import re
from dataclasses import dataclass

import idna
from django.utils.translation import gettext as _

from profiles.addresses import a_label

LONGEST = 253  # RFC 1035 section 3.1, without the root
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


class DomainRefused(ValueError):
    """A text that is no domain; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class ReadDomain:
    """A domain in the form in which those of addresses are compared; `below`: those below it are meant too."""

    name: str
    below: bool = False


def read(text: str) -> ReadDomain:
    """Read a domain: "example.org", "@example.org", "*.example.org" for it and those below. Raise DomainRefused."""
    typed = text.strip().removeprefix("*@").removeprefix("@")
    below = typed.startswith("*.")
    typed = typed.removeprefix("*.")
    if "@" in typed:
        raise DomainRefused(_("This is an address. Write only what follows its @, or leave that one address out."))
    if "/" in typed or ":" in typed:
        raise DomainRefused(_("This is the address of a page. Write only the domain, such as example.org."))
    try:
        name = a_label(typed).removesuffix(".")
    except UnicodeError:
        name = ""
    labels = name.split(".")
    is_domain = len(labels) > 1 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdecimal()
    if not is_domain or len(name) > LONGEST:
        raise DomainRefused(_("This is no mail domain. Write one such as example.org."))
    return ReadDomain(name, below)


def shown(name: str) -> str:
    """Return a domain as people read it: "bücher.example (xn--bcher-kva.example)" where the letters are not plain."""
    try:
        letters = idna.decode(name)
    except UnicodeError:
        return name
    return name if letters == name else f"{letters} ({name})"
