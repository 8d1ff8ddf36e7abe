"""Criteria in words, as a marketer would say them."""

from datetime import date
from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries.models import Delivery
from profiles.models import Service

from .fields import Field
from .tree import All, Condition, CriteriaRefused, Node, Not, read
from .values import DAYS, Operator

SHOWN = 5
_ROWS = {"subscription": Service, "sent": Delivery, "left_out": Delivery, "targeted": Delivery}


def describe(stored: object) -> str:
    """Return stored criteria in words; what is wrong with them when they cannot be read."""
    try:
        tree = read(stored)
    except CriteriaRefused as error:
        return str(error)
    return _say(tree, top=True)


def _say(node: Node, *, top: bool = False) -> str:
    if isinstance(node, Condition):
        return _say_condition(node)
    if isinstance(node, Not):
        return _("not (%(criteria)s)") % {"criteria": _say(node.node, top=True)}
    if not node.nodes:
        return _("everybody") if isinstance(node, All) else _("nobody")
    glue = _(" and ") if isinstance(node, All) else _(" or ")
    told = glue.join(_say(one) for one in node.nodes)
    return told if top or len(node.nodes) == 1 else f"({told})"


def _say_condition(node: Condition) -> str:
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
    return _("%(field)s %(operator)s %(value)s") % {**words, "value": _many(node.field, value)}


def _many(field: Field, value: Any) -> str:
    if not isinstance(value, tuple):
        return _one(value)
    names = _names(field, value[:SHOWN])
    told = ", ".join(names.get(one, _one(one)) for one in value[:SHOWN])
    left = len(value) - SHOWN
    return told if left <= 0 else _("%(some)s and %(number)s more") % {"some": told, "number": left}


def _names(field: Field, values: tuple[Any, ...]) -> dict[Any, str]:
    """Return what codes are called, also of rows that are no longer offered."""
    if model := _ROWS.get(field.name):
        found: dict[Any, Any] = model._default_manager.in_bulk(values)
        return {one: _quoted(found[one]) if one in found else _("(no longer there)") for one in values}
    return dict(field.choices()) if field.choices else {}


def _one(value: Any) -> str:
    if isinstance(value, date):
        return date_format(value, "SHORT_DATE_FORMAT")
    return str(number_format(value, force_grouping=True)) if isinstance(value, int | float) else _quoted(value)


def _quoted(text: Any) -> str:
    return _("“%(text)s”") % {"text": text}
