"""Personalisation: Liquid over plain values, with a small set of bounded filters.

A template sees the values below and nothing else: no model, no setting, no file, no other template.

    profile.first_name profile.last_name profile.email profile.language profile.country profile.attributes.<name>
    brand.name brand.sender_name brand.postal_address brand.contact
    service.label  opt_out_url

The library bounds nesting, loops and output; it does not bound filters, so only those of `FILTERS` exist, each on
texts of at most `LONGEST_TEXT` characters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _
from liquid import BoundTemplate, Environment, StrictDefaultUndefined, Undefined
from liquid.exceptions import LiquidError, UndefinedError
from liquid.filter import string_filter
from markupsafe import Markup, escape

from profiles.models import Brand, Profile, Service
from profiles.texts import pick

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
    output_stream_limit = 1_000_000


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
        subject=" ".join(_render("subject", content.subject, values, strict=strict).split()),
        html=_render("html", content.html, values, strict=strict),
        text=_render("text", content.text, values, strict=strict),
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
    try:
        _compiled(source, field == "html", True)
    except (LiquidError, RecursionError, ValueError, TypeError) as error:
        raise TemplateRefused(_field_label(field), _line(source, error), _problem(error)) from error


def _render(field: str, source: str, values: Mapping[str, Any], *, strict: bool) -> str:
    if len(source) > LONGEST_TEMPLATE:
        raise TemplateRefused(_field_label(field), None, _("It is too long."))
    try:
        return str(_compiled(source, field == "html", strict).render(**values))
    except (LiquidError, RecursionError, ValueError, TypeError) as error:
        raise TemplateRefused(_field_label(field), _line(source, error), _problem(error)) from error


@lru_cache(maxsize=64)
def _compiled(source: str, autoescape: bool, strict: bool) -> BoundTemplate:
    return _ENVIRONMENTS[autoescape, strict].from_string(source)


def _field_label(field: str) -> str:
    return {"subject": _("Subject"), "html": _("HTML"), "text": _("Text")}[field]


def _line(source: str, error: Exception) -> int | None:
    token = getattr(error, "token", None)
    index = getattr(token, "start_index", -1)
    return source.count("\n", 0, index) + 1 if index is not None and index >= 0 else None


def _problem(error: Exception) -> str:
    if isinstance(error, UndefinedError):
        return _("the field “%(name)s” does not exist.") % {"name": str(error.message).removesuffix(" is undefined")}
    if isinstance(error, LiquidError):
        return str(error.message)
    return str(error)
