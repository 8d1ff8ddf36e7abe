"""The tree of criteria: read from JSON, written back, turned into a Q."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any as Anything

from django.db.models import Q
from django.utils.translation import gettext as _

from deliveries.exclusions import IdRange
from profiles.models import Profile

from .fields import Field, fields
from .values import Operator, Value, ValueRefused

DEEPEST = 6
MOST_CONDITIONS = 50


class CriteriaRefused(ValueError):
    """Criteria that cannot be read: where (as "2.1", counted from one; empty: the whole), and what to do."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, problem)
        self.where, self.problem = where, problem

    def __str__(self) -> str:
        if not self.where:
            return self.problem
        return _("Condition %(where)s: %(problem)s") % {"where": self.where, "problem": self.problem}


@dataclass(frozen=True, slots=True)
class Condition:
    """One field compared with a value that fits it."""

    field: Field
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these holds; none at all: everybody."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one of these holds; none at all: nobody."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    node: "Node"


Node = Condition | All | Any | Not


def read(stored: object, known: Mapping[str, Field] | None = None) -> Node:
    """Return the tree of stored criteria; an empty object means everybody. Raise CriteriaRefused.

    `known` are the fields, where somebody has read them already.
    """
    known = fields() if known is None else known
    tree = All(()) if stored == {} else _read(stored, known, "", 0)
    if (number := _size(tree)) > MOST_CONDITIONS:
        told = _("There are %(number)s conditions; %(most)s are the most that can be combined.")
        raise CriteriaRefused("", told % {"number": number, "most": MOST_CONDITIONS})
    return tree


def write(node: Node) -> dict[str, Anything]:
    """Return a tree as the JSON that `read` takes."""
    if isinstance(node, Condition):
        return {"field": node.field.name, "op": node.operator.value, "value": node.field.stored(node.value)}
    if isinstance(node, Not):
        return {"not": write(node.node)}
    return {"all" if isinstance(node, All) else "any": [write(one) for one in node.nodes]}


def condition(node: Node, *, at: datetime, within: IdRange | None = None) -> Q:
    """Return a tree as a Q over profiles, as it is at a moment; `within` bounds every table that it looks into.

    Never an empty Q, which negation and CASE would both take amiss.
    """
    if isinstance(node, Condition):
        return node.field.condition(node.operator, node.value, at, within)
    if isinstance(node, Not):
        return ~condition(node.node, at=at, within=within)
    found = Q()
    for one in node.nodes:
        part = condition(one, at=at, within=within)
        found = found & part if isinstance(node, All) else found | part
    return found or Q(pk__isnull=isinstance(node, Any))


def is_everybody(node: Node) -> bool:
    """Say whether a tree means everybody whatever is known of them, as one without conditions does."""
    return _constant(node) is True


def _constant(node: Node) -> bool | None:
    """Return what a tree says of everybody alike; None when that depends on the person."""
    if isinstance(node, Condition):
        return None
    if isinstance(node, Not):
        inner = _constant(node.node)
        return None if inner is None else not inner
    decisive = isinstance(node, Any)  # one part that is so decides
    parts = [_constant(one) for one in node.nodes]
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


def meets(node: Node, profile: int, *, at: datetime) -> bool:
    """Say whether one person meets the criteria. One query."""
    return Profile.objects.filter(condition(node, at=at), pk=profile).exists()


def _read(stored: object, known: Mapping[str, Field], where: str, depth: int) -> Node:
    if depth > DEEPEST:
        raise CriteriaRefused(where, _("The groups are nested too deeply: put fewer of them into each other."))
    if not isinstance(stored, dict):
        raise CriteriaRefused(where, _("This is no condition and no group of conditions."))
    match stored:
        case {"all": list() as parts, **rest} if not rest:
            return All(_read_all(parts, known, where, depth))
        case {"any": list() as parts, **rest} if not rest:
            return Any(_read_all(parts, known, where, depth))
        case {"not": part, **rest} if not rest:
            return Not(_read(part, known, where, depth + 1))
        case {"field": str() as name, "op": str() as operator, "value": value, **rest} if not rest:
            return _read_condition(name, operator, value, known, where)
    raise CriteriaRefused(where, _("This is no condition and no group of conditions."))


def _read_all(parts: list[object], known: Mapping[str, Field], where: str, depth: int) -> tuple[Node, ...]:
    prefix = f"{where}." if where else ""
    return tuple(_read(part, known, f"{prefix}{number}", depth + 1) for number, part in enumerate(parts, 1))


def _read_condition(name: str, operator: str, value: object, known: Mapping[str, Field], where: str) -> Condition:
    field = known.get(name)
    if field is None:
        told = _("There is no field “%(name)s”: choose one of the list.")
        raise CriteriaRefused(where, told % {"name": name[:60]})
    if operator not in field.operators:
        told = _("“%(field)s” cannot be compared in this way: choose one of its comparisons.")
        raise CriteriaRefused(where, told % {"field": field.label})
    try:
        return Condition(field, Operator(operator), field.read(Operator(operator), value))
    except ValueRefused as error:
        raise CriteriaRefused(where, _("%(field)s: %(problem)s") % {"field": field.label, "problem": error}) from error


def _size(node: Node) -> int:
    if isinstance(node, Condition):
        return 1
    if isinstance(node, Not):
        return _size(node.node)
    return sum(_size(one) for one in node.nodes)
