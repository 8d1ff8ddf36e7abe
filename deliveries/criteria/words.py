"""Criteria in words, as a marketer would say them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries.models import Delivery
from profiles.models import Service

from .fields import Field, fields
from .tree import All, Condition, CriteriaRefused, Node, Not, read
from .tree import Any as AnyOf
from .values import DAYS, Operator

SHOWN = 5
Names = dict[str, dict[Any, str]]
_ROWS = {"subscription": Service, "sent": Delivery, "left_out": Delivery, "targeted": Delivery}


def describe(stored: object) -> str:
    """Return stored criteria in words; what is wrong with them when they cannot be read."""
    return describe_all([stored])[0]


def describe_all(many: Sequence[object]) -> list[str]:
    """Return several stored criteria in words, as `describe` does, in the queries that one of them takes."""
    known = fields()
    found: list[Node | CriteriaRefused] = []
    for stored in many:
        try:
            found.append(read(stored, known))
        except CriteriaRefused as error:
            found.append(error)
    called = _names(found)
    return [str(one) if isinstance(one, CriteriaRefused) else _say(one, called, top=True) for one in found]


def names(field: Field, values: Iterable[Any]) -> dict[Any, str]:
    """Return what codes are called, also of rows that are no longer offered. At most one query."""
    if model := _ROWS.get(field.name):
        rows: dict[Any, Any] = model._default_manager.in_bulk(list(values))
        return {pk: str(row) for pk, row in rows.items()}
    return dict(field.choices()) if field.choices else {}


def _names(nodes: Iterable[object]) -> Names:
    """Return the name of each field with codes → what those that are told are called. A query per kind of row."""
    told: dict[str, tuple[Field, set[Any]]] = {}
    for condition in _conditions(nodes):
        if condition.field.choices and isinstance(condition.value, tuple):
            told.setdefault(condition.field.name, (condition.field, set()))[1].update(condition.value[:SHOWN])
    return {name: names(field, values) for name, (field, values) in told.items()}


def _conditions(nodes: Iterable[object]) -> Iterator[Condition]:
    for node in nodes:
        if isinstance(node, Condition):
            yield node
        elif isinstance(node, Not):
            yield from _conditions([node.node])
        elif isinstance(node, All | AnyOf):
            yield from _conditions(node.nodes)


def _say(node: Node, called: Names, *, top: bool = False) -> str:
    if isinstance(node, Condition):
        return _say_condition(node, called)
    if isinstance(node, Not):
        return _("not (%(criteria)s)") % {"criteria": _say(node.node, called, top=True)}
    if not node.nodes:
        return _("everybody") if isinstance(node, All) else _("nobody")
    glue = _(" and ") if isinstance(node, All) else _(" or ")
    told = glue.join(_say(one, called) for one in node.nodes)
    return told if top or len(node.nodes) == 1 else f"({told})"


def _say_condition(node: Condition, called: Names) -> str:
    words = {"field": node.field.label, "operator": node.operator.label}
    value: Any = node.value
    if value is None:
        return _("%(field)s %(operator)s") % words
    if node.operator in DAYS:
        last = node.operator == Operator.LAST_DAYS
        told = (
            ngettext("%(field)s in the last %(days)s day", "%(field)s in the last %(days)s days", value)
            if last
            else ngettext("%(field)s, not in the last %(days)s day", "%(field)s, not in the last %(days)s days", value)
        )
        return told % {**words, "days": number_format(value, force_grouping=True)}
    if node.operator == Operator.BETWEEN:
        first, second = (_one(one) for one in value)
        return _("%(field)s from %(first)s to %(second)s") % {**words, "first": first, "second": second}
    return _("%(field)s %(operator)s %(value)s") % {**words, "value": _many(node.field, value, called)}


def _many(field: Field, value: Any, called: Names) -> str:
    if not isinstance(value, tuple):
        return _one(value)
    known = called.get(field.name, {})
    told = ", ".join(_name(field, one, known) for one in value[:SHOWN])
    left = len(value) - SHOWN
    return told if left <= 0 else _("%(some)s and %(number)s more") % {"some": told, "number": left}


def _name(field: Field, value: Any, known: dict[Any, str]) -> str:
    if field.name in _ROWS:
        return _quoted(known[value]) if value in known else _("(no longer there)")
    return known.get(value, _one(value))


def _one(value: Any) -> str:
    if isinstance(value, date):
        return date_format(value, "SHORT_DATE_FORMAT")
    return str(number_format(value, force_grouping=True)) if isinstance(value, int | float) else _quoted(value)


def _quoted(text: Any) -> str:
    return _("“%(text)s”") % {"text": text}
