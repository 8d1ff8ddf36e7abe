"""Conditions on declared keys of `Profile.attributes`.

A value of another JSON type than the declared one counts as not known: comparing texts with numbers means something
else on each database.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField, F, FloatField, Func, Q
from django.db.models.functions import Left, Length
from django.db.models.lookups import Exact, GreaterThan, GreaterThanOrEqual, In, IsNull, LessThan, LessThanOrEqual

from . import days
from .values import Kind, Operator

Op = Operator
FIRST, LAST = "1000-01-01", "9999-12-31"
OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    Kind.TEXT: (Op.IS, Op.IN, Op.NOT_IN, Op.STARTS, Op.IS_SET, Op.NOT_SET),
    Kind.NUMBER: (Op.EQ, Op.LTE, Op.GTE, Op.BETWEEN, Op.IS_SET, Op.NOT_SET),
    Kind.DATE: (Op.LAST_DAYS, Op.BEFORE, Op.SINCE, Op.BETWEEN, Op.IS_SET, Op.NOT_SET),
    Kind.YES_NO: (Op.YES, Op.NO, Op.IS_SET, Op.NOT_SET),
}


class _Attribute(Func):
    """The value of a key when its JSON type is the wanted one, else NULL."""

    arity = 1
    postgresql_type = sqlite_types = ""

    def __init__(self, name: str) -> None:
        super().__init__(F("attributes"))
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _cast(self, value: str) -> str:
        return value

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = compiler.compile(self.source_expressions[0])
        of = self.postgresql_type
        sql = f"CASE WHEN jsonb_typeof({column} -> %s) = '{of}' THEN {self._cast(f'({column} ->> %s)')} END"
        return sql, (*params, self.name, *params, self.name)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = compiler.compile(self.source_expressions[0])
        path = f'$."{self.name}"'
        sql = f"CASE WHEN json_type({column}, %s) IN ({self.sqlite_types}) THEN json_extract({column}, %s) END"
        return sql, (*params, path, *params, path)


class _Text(_Attribute):
    postgresql_type, sqlite_types = "string", "'text'"
    output_field = CharField()


class _Number(_Attribute):
    postgresql_type, sqlite_types = "number", "'integer', 'real'"
    output_field = FloatField()

    def _cast(self, value: str) -> str:
        return f"{value}::double precision"


class _Truth(_Attribute):
    """As the texts "true" and "false"."""

    postgresql_type = "boolean"
    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = compiler.compile(self.source_expressions[0])
        path = f'$."{self.name}"'
        sql = f"CASE WHEN json_type({column}, %s) IN ('true', 'false') THEN json_type({column}, %s) END"
        return sql, (*params, path, *params, path)


def number_of(name: str) -> Func:
    """Return the number that a key holds, as an expression; NULL where it holds none."""
    return _Number(name)


def condition(name: str, kind: Kind, operator: Operator, value: Any, at: datetime) -> Q:
    """Compare the value of a key; whoever has none, or one of another type, meets only what says so."""
    found = _EXPRESSIONS[kind](name)
    known = Q(IsNull(found, False))
    if kind == Kind.TEXT:
        known &= ~Q(Exact(found, ""))
    if kind == Kind.DATE:
        # A text kept from before the field was declared may be no date.
        known &= Q(Exact(Length(found), 10)) & Q(GreaterThanOrEqual(found, FIRST)) & Q(LessThanOrEqual(found, LAST))
    if operator in (Op.IS_SET, Op.NOT_SET):
        return known if operator == Op.IS_SET else ~known
    if operator == Op.NOT_IN:
        return ~(known & Q(In(found, value)))
    if kind == Kind.DATE:
        return known & _on_days(found, operator, value, at)
    return known & _compared(found, operator, value)


def _compared(found: _Attribute, operator: Operator, value: Any) -> Q:
    match operator:
        case Op.IS | Op.EQ:
            return Q(Exact(found, value))
        case Op.IN:
            return Q(In(found, value))
        case Op.STARTS:
            return Q(Exact(Left(found, len(value)), value))
        case Op.LTE:
            return Q(LessThanOrEqual(found, value))
        case Op.GTE:
            return Q(GreaterThanOrEqual(found, value))
        case Op.BETWEEN:
            return Q(GreaterThanOrEqual(found, value[0])) & Q(LessThanOrEqual(found, value[1]))
        case Op.YES | Op.NO:
            return Q(Exact(found, "true" if operator == Op.YES else "false"))
    raise AssertionError(operator)


def _on_days(found: _Attribute, operator: Operator, value: Any, at: datetime) -> Q:
    """Compare dates as texts: year first, they sort alike."""
    match operator:
        case Op.LAST_DAYS:
            today = days.today(at)
            first = (today - timedelta(days=value)).isoformat()
            return Q(GreaterThan(found, first)) & Q(LessThanOrEqual(found, today.isoformat()))
        case Op.BEFORE:
            return Q(LessThan(found, value.isoformat()))
        case Op.SINCE:
            return Q(GreaterThanOrEqual(found, value.isoformat()))
        case Op.BETWEEN:
            return _compared(found, operator, [day.isoformat() for day in value])
    raise AssertionError(operator)


_EXPRESSIONS: dict[Kind, type[_Attribute]] = {
    Kind.TEXT: _Text,
    Kind.NUMBER: _Number,
    Kind.DATE: _Text,
    Kind.YES_NO: _Truth,
}
