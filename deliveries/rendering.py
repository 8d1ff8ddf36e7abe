"""Personalisation: Liquid over plain values, with a small set of bounded filters.

A template sees the values below and nothing else: no model, no setting, no file, no other template.

    profile.first_name profile.last_name profile.email profile.language profile.country profile.attributes.<name>
    brand.name brand.sender_name brand.postal_address brand.contact
    service.label  opt_out_url  view_online_url

What is written is made ready once: MJML becomes HTML, style sheets go into the elements they are about, and a text that
nobody has written is written from the HTML. What a template may do is bounded: see `bounds`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _
from liquid import BoundTemplate
from liquid.exceptions import LiquidError

from profiles.models import Brand, Profile, Service
from profiles.texts import pick

from . import bounds, mjml, plain_text, styles, template_errors
from .errors import TemplateRefused
from .models import DeliveryContent

FIELDS = (
    "{{ profile.first_name }} {{ profile.last_name }} {{ profile.email }} {{ profile.attributes.… }} "
    "{{ service.label }} {{ brand.name }} {{ brand.postal_address }} {{ opt_out_url }} "
    "{{ view_online_url }}"
)
_ENVIRONMENTS = {
    (autoescape, strict, checking): bounds.environment(autoescape=autoescape, strict=strict, checking=checking)
    for autoescape in (True, False)
    for strict in (True, False)
    for checking in (True, False)
}


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
        subject=render_part(content, "subject", values, strict=strict),
        html=render_part(content, "html", values, strict=strict),
        text=render_part(content, "text", values, strict=strict),
    )


def render_part(
    content: DeliveryContent, name: str, values: Mapping[str, Any], *, strict: bool = False, checking: bool = False
) -> str:
    """Render a part as it is sent: subject, html or text; raise as `render` does. `checking` allows it less work."""
    if name == "subject":
        return render_field(name, content.subject, values, strict=strict, checking=checking)
    if name == "html":
        return _render_html(content.html, values, strict=strict, checking=checking)
    if not text_is_derived(content):
        return render_field(name, content.text, values, strict=strict, checking=checking)
    return plain_text.tidy(
        render_field(name, _derived(content.html, content.language), values, strict=strict, checking=checking)
    )


def text_is_derived(content: DeliveryContent) -> bool:
    """Say whether the text part is written from the HTML."""
    return not content.text.strip() and bool(content.html.strip())


def values_for(
    *, profile: Profile | None, address: str, brand: Brand, service: Service | None, opt_out_url: str, language: str,
    view_online_url: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Return the plain values that a template may use."""
    person = profile or Profile(first_name="", last_name="", country="")
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
        "view_online_url": view_online_url,
    }


def check_syntax(field: str, source: str) -> None:
    """Raise TemplateRefused, naming the field and the line, when a template cannot be read or made ready."""
    with _refusing(field, source):
        _compiled(source, field == "html", True, True)
    if field == "html":
        _html(source)


def render_field(
    field: str, source: str, values: Mapping[str, Any], *, strict: bool = False, checking: bool = False
) -> str:
    """Render one template as it stands, a subject on one line; raise TemplateRefused as `render` does."""
    with _refusing(field, source):
        text = str(_compiled(source, field == "html", strict, checking).render(**values))
    return " ".join(text.split()) if field == "subject" else text


def _render_html(source: str, values: Mapping[str, Any], *, strict: bool, checking: bool) -> str:
    ready = _html(source)
    try:
        html = render_field("html", ready.template, values, strict=strict, checking=checking)
    except TemplateRefused:
        if ready.template != source:  # as it was typed, it names the line that was typed
            render_field("html", source, values, strict=strict, checking=checking)
        raise
    if not ready.late:
        return html
    with _refusing("html", ""):
        return styles.inline_rendered(html)


@lru_cache(maxsize=64)
def _html(source: str) -> styles.Inlined:
    """Return the HTML template that is rendered, with its styles in its elements; raise TemplateRefused."""
    with _refusing("html", source):
        _compiled(source, True, True, True)
        return styles.inline(_as_html(source))


@lru_cache(maxsize=64)
def _derived(source: str, language: str) -> str:
    """Return the text template that is written from an HTML one; raise TemplateRefused."""
    with _refusing("html", source):
        _compiled(source, True, True, True)
        text = plain_text.derive(_as_html(source), language)
    try:
        check_syntax("text", text)
    except TemplateRefused as error:
        problem = _("It cannot be written from this HTML. Please write it yourself.")
        raise TemplateRefused(field_label("text"), None, problem) from error
    return text


def _as_html(source: str) -> str:
    return mjml.to_html(source) if mjml.is_mjml(source) else source


def names(field: str, source: str) -> dict[str, int]:
    """Return the names that a template takes from outside, each with the line (from 1) where it first stands.

    A name that is only known while rendering (`profile[x]`) is left out. Raises TemplateRefused.
    """
    with _refusing(field, source):
        found = _compiled(source, field == "html", False, True).analyze(include_partials=False).globals
    used = [variable for variables in found.values() for variable in variables]
    lines: dict[str, int] = {}
    for variable in sorted(used, key=lambda variable: variable.span.index):
        if not any(isinstance(segment, list) for segment in variable.segments):
            lines.setdefault(".".join(map(str, variable.segments)), template_errors.at(source, variable.span.index))
    return lines


@contextmanager
def _refusing(field: str, source: str) -> Iterator[None]:
    """Turn whatever the libraries raise about a template into TemplateRefused."""
    try:
        yield
    except (bounds.TooMuch, mjml.NotMjml) as error:
        line = template_errors.at(source, error.index) if error.index >= 0 else None
        raise TemplateRefused(field_label(field), line, str(error)) from error
    except (LiquidError, RecursionError, ValueError, TypeError) as error:
        line = template_errors.line(source, error, parse=_ENVIRONMENTS[field == "html", True, True].from_string)
        raise TemplateRefused(field_label(field), line, template_errors.problem(error)) from error


@lru_cache(maxsize=64)
def _compiled(source: str, autoescape: bool, strict: bool, checking: bool) -> BoundTemplate:
    bounds.check(source)
    return _ENVIRONMENTS[autoescape, strict, checking].from_string(source)


def field_label(field: str) -> str:
    """Return what a part of a content is called on screen."""
    return {"subject": _("Subject"), "html": _("HTML"), "text": _("Text")}[field]
