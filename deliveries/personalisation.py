"""The fields of a template: what they are called on screen, and which ones in a template do not exist."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from django.utils.functional import Promise
from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _

from profiles.channels import Channel
from profiles.models import CustomField

from . import rendering
from .errors import TemplateRefused

ATTRIBUTES = "profile.attributes"
# What Liquid itself answers about a text or a list.
_OF_ANY_VALUE = {"size", "first", "last"}


@dataclass(frozen=True, slots=True)
class TemplateField:
    """A field to insert. `in_html` is how it is best written into HTML, where that differs from a plain text."""

    name: str
    label: str | Promise
    in_html: str = ""

    @property
    def code(self) -> str:
        return f"{{{{ {self.name} }}}}"

    @property
    def html_code(self) -> str:
        return self.in_html or self.code


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name in a template that stands for nothing, its line (from 1), and the existing name most like it, if any."""

    name: str
    line: int
    nearest: str = ""


BUILT_IN = (
    TemplateField("profile.first_name", _("First name")),
    TemplateField("profile.last_name", _("Last name")),
    TemplateField("opt_out_url", _("Opt-out link")),
    TemplateField("view_online_url", _("Link to the message online")),
    TemplateField("brand.postal_address", _("Postal address"), "{{ brand.postal_address | newline_to_br }}"),
    TemplateField("service.label", _("Name of the service")),
    TemplateField("brand.name", _("Name of the brand")),
    TemplateField("brand.sender_name", _("Name of the sender")),
    TemplateField("brand.contact", _("Contact of the brand")),
    TemplateField("profile.email", _("Address written to")),
    TemplateField("profile.language", _("Language code")),
    TemplateField("profile.country", _("Country code")),
)


def offered(channel: int, language: str, declared: Iterable[CustomField]) -> list[TemplateField]:
    """Return the fields to insert into a message: the built-in ones, then the organisation's own.

    In HTML the links are whole links, with words in the language of the message.
    """
    with override(language):
        words = {"opt_out_url": gettext("Unsubscribe"), "view_online_url": gettext("Read this message online")}
    links = {name: f'<a href="{{{{ {name} }}}}">{text}</a>' for name, text in words.items()}
    built_in = [replace(one, in_html=links.get(one.name, one.in_html)) for one in BUILT_IN]
    if channel != Channel.EMAIL:  # whoever gets an SMS leaves by answering it, and has read all of it
        built_in = [one for one in built_in if one.name not in links]
    return [*built_in, *(TemplateField(attribute(one.name), str(one)) for one in declared)]


def attribute(name: str) -> str:
    """Return how a template names one of the organisation's own fields."""
    return f"{ATTRIBUTES}.{name}"


def unknown(field: str, source: str, declared: Iterable[str]) -> Iterator[Unknown]:
    """Yield the names in a template that stand for nothing, each once, in the order of their lines.

    `declared` are the organisation's own fields; where it has none, any attribute may have come with an import. Parts
    that are worked out while rendering (`profile[x]`) are not judged. Nothing is yielded of an unreadable template.
    """
    try:
        used = rendering.names(field, source)
    except TemplateRefused:
        return
    own = {attribute(name) for name in declared}
    known = [*(one.name for one in BUILT_IN), *own]
    for name, line in used.items():
        if not _exists(name, known, any_attribute=not own):
            yield Unknown(name, line, _nearest(name, known))


def _exists(name: str, known: Sequence[str], *, any_attribute: bool) -> bool:
    if name == ATTRIBUTES or name in known:
        return True
    if any_attribute and name.startswith(ATTRIBUTES + "."):
        return True
    start, _dot, last = name.rpartition(".")
    return last in _OF_ANY_VALUE and (start == ATTRIBUTES or start in known)


def _nearest(name: str, known: Sequence[str]) -> str:
    """Return the existing name most like another: as a whole, else by its last part."""
    if close := get_close_matches(name, known, n=1, cutoff=0.75):
        return close[0]
    by_last = {one.rpartition(".")[2]: one for one in reversed(known)}
    close = get_close_matches(name.rpartition(".")[2], list(by_last), n=1, cutoff=0.6)
    return by_last[close[0]] if close else ""
