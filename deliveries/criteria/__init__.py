"""Criteria: which people are meant, as data that a marketer puts together by pointing.

    {"all": [{"field": "country", "op": "in", "value": ["FR", "BE"]},
             {"not": {"field": "subscription", "op": "in", "value": [3]}}]}

A tree of `all`, `any` and `not` over conditions. A condition names a field of a closed, typed list (`fields`), an
operator of its kind and a value. `read` turns stored JSON into a tree or says what is wrong with it and where,
`condition` turns a tree into a Q, `describe` into words. Every condition is two-valued: for somebody of whom nothing
is known it is false, and its negation true.
"""

from .fields import BUILT_IN, Field, fields
from .tree import All, Any, Condition, CriteriaRefused, Node, Not, condition, is_everybody, meets, read, write
from .values import Kind, Operator
from .words import describe, describe_all, names

__all__ = [
    "BUILT_IN",
    "All",
    "Any",
    "Condition",
    "CriteriaRefused",
    "Field",
    "Kind",
    "Node",
    "Not",
    "Operator",
    "condition",
    "describe",
    "describe_all",
    "fields",
    "is_everybody",
    "meets",
    "names",
    "read",
    "write",
]
