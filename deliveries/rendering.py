"""Personalisation: Liquid over plain values, with a small set of bounded filters.

A template sees the values below and nothing else: no model, no setting, no file, no other template.

    profile.first_name profile.last_name profile.email profile.language profile.country profile.attributes.<name>
    brand.name brand.sender_name brand.postal_address brand.contact
    service.label  opt_out_url

The library bounds nesting, loops and output; it does not bound filters, so only those of `FILTERS` exist, each on
texts of at most `LONGEST_TEXT` characters.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _
from liquid import BoundTemplate, Environment, StrictDefaultUndefined, Undefined
from liquid.exceptions import LiquidError
from liquid.filter import string_filter
from markupsafe import Markup, escape

from profiles.models import Brand, Profile, Service
from profiles.texts import pick

from . import template_errors
from .errors import TemplateRefused
from .models import DeliveryContent

FIELDS = (
    "{{ profile.first_name }} {{ profile.last_name }} {{ profile.email }} {{ profile.attributes.… }} "
    "{{ service.label }} {{ brand.name }} {{ brand.postal_address }} {{ opt_out_url }}"
)
LONGEST_TEXT = 20_000
LONGEST_TEMPLATE = 300_000
TAGS = {
    "assign", "break", "capture", "case", "comment", "content", "continue", "cycle", "for", "if", "illegal", "output",
    "unless",
}  # fmt: skip


def _bounded(change: Callable[[str], str]) -> Callable[..., Any]:
    @string_filter
    def apply(value: str) -> str:
        if len(value) > LONGEST_TEXT:
            raise LiquidError(_("a text is longer than %(limit)s characters") % {"limit": LONGEST_TEXT}, token=None)
        return change(value)

    return apply


def _default(value: Any, other: Any = "") -> Any:
    return other if value is None or isinstance(value, Undefined) or value == "" else value


@string_filter
def _truncate(value: str, length: Any = 50) -> str:
    limit = max(1, min(int(length), LONGEST_TEXT))
    return value if len(value) <= limit else value[: limit - 1] + "…"


FILTERS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "upcase": _bounded(str.upper),
    "downcase": _bounded(str.lower),
    "capitalize": _bounded(str.capitalize),
    "strip": _bounded(str.strip),
    "truncate": _truncate,
    "newline_to_br": lambda value: Markup("<br>").join(escape(line) for line in str(value)[:LONGEST_TEXT].splitlines()),
}


class _Bounded(Environment):
    block_nesting_limit = 20
    context_depth_limit = 20
    loop_iteration_limit = 1_000
    local_namespace_limit = 100_000
    output_stream_limit = 1_500_000  # bytes


def _environment(*, autoescape: bool, strict: bool) -> Environment:
    made = _Bounded(autoescape=autoescape, undefined=StrictDefaultUndefined if strict else Undefined)
    made.filters = dict(FILTERS)
    made.tags = {name: tag for name, tag in made.tags.items() if name in TAGS}
    return made


_ENVIRONMENTS = {(a, s): _environment(autoescape=a, strict=s) for a in (True, False) for s in (True, False)}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message for one person: subject on one line, HTML document, plain text."""

    subject: str
    html: str
    text: str


def render(content: DeliveryContent, values: Mapping[str, Any], *, strict: bool = False) -> Rendered:
    """Render the three templates of a content; raise TemplateRefused naming the field and the line.

    `strict` refuses a field that does not exist, where a sending leaves a blank.
    """
    return Rendered(
        subject=render_field("subject", content.subject, values, strict=strict),
        html=render_field("html", content.html, values, strict=strict),
        text=render_field("text", content.text, values, strict=strict),
    )


def values_for(
    *, profile: Profile | None, address: str, brand: Brand, service: Service | None, opt_out_url: str, language: str
) -> dict[str, Any]:
    """Return the plain values that a template may use."""
    person = profile or Profile()
    return {
        "profile": {
            "first_name": person.first_name,
            "last_name": person.last_name,
            "email": address,
            "language": language,
            "country": person.country,
            "attributes": dict(person.attributes or {}),
        },
        "brand": {
            "name": brand.name,
            "sender_name": brand.sender_name,
            "postal_address": brand.postal_address,
            "contact": brand.contact,
        },
        "service": {"label": pick(service.label, language) if service else ""},
        "opt_out_url": opt_out_url,
    }


def check_syntax(field: str, source: str) -> None:
    """Raise TemplateRefused, naming the field and the line, when a template cannot be read."""
    with _refusing(field, source):
        _compiled(source, field == "html", True)


def render_field(field: str, source: str, values: Mapping[str, Any], *, strict: bool = False) -> str:
    """Render one template of a content, a subject on one line; raise TemplateRefused as `render` does."""
    with _refusing(field, source):
        text = str(_compiled(source, field == "html", strict).render(**values))
    return " ".join(text.split()) if field == "subject" else text


def names(field: str, source: str) -> dict[str, int]:
    """Return the names that a template takes from outside, each with the line (from 1) where it first stands.

    A name that is only known while rendering (`profile[x]`) is left out. Raises TemplateRefused.
    """
    with _refusing(field, source):
        found = _compiled(source, field == "html", False).analyze(include_partials=False).globals
    used = [variable for variables in found.values() for variable in variables]
    lines: dict[str, int] = {}
    for variable in sorted(used, key=lambda variable: variable.span.index):
        if not any(isinstance(segment, list) for segment in variable.segments):
            lines.setdefault(".".join(map(str, variable.segments)), template_errors.at(source, variable.span.index))
    return lines


@contextmanager
def _refusing(field: str, source: str) -> Iterator[None]:
    """Turn whatever the library raises about a template into TemplateRefused."""
    if len(source) > LONGEST_TEMPLATE:
        raise TemplateRefused(field_label(field), None, _("It is too long."))
    try:
        yield
    except (LiquidError, RecursionError, ValueError, TypeError) as error:
        line = template_errors.line(source, error, parse=_ENVIRONMENTS[field == "html", True].from_string)
        raise TemplateRefused(field_label(field), line, template_errors.problem(error)) from error


@lru_cache(maxsize=64)
def _compiled(source: str, autoescape: bool, strict: bool) -> BoundTemplate:
    return _ENVIRONMENTS[autoescape, strict].from_string(source)


def field_label(field: str) -> str:
    """Return what a part of a content is called on screen."""
    return {"subject": _("Subject"), "html": _("HTML"), "text": _("Text")}[field]
