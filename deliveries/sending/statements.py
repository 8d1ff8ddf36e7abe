"""Statements that PostgreSQL prepares once for a connection, and how the values of their arguments are written.

They are executed by name, several in one query text, which PostgreSQL makes one transaction of.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from psycopg.errors import error_from_result
from psycopg.pq import Escaping, ExecStatus
from psycopg.pq.abc import PGresult

# Constants of a compiled query that stand for the values of a row.
PROFILE, DIGEST = -8_310_457_102_335_911, b"\x00digest of a row"
AT = datetime(1, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
_NAMES = itertools.count(1)


class Statements:
    """Some statements, prepared on the connection of the thread when they are first used, and on each new one."""

    def __init__(self, sources: Callable[[], Mapping[str, tuple[str, str]]]) -> None:
        """Take what gives each statement's name, the types of its arguments, and its text."""
        self._sources = sources
        self._name = ""
        self._prepared_on: Any = None

    def run(self, calls: Mapping[str, str]) -> list[bytes | None]:
        """Run statements as one transaction, each with its arguments; return the first line of the last one."""
        result = self._execute(calls)
        return [result.get_value(0, column) for column in range(result.nfields)]

    def lines(self, calls: Mapping[str, str]) -> list[list[bytes | None]]:
        """Run statements as one transaction; return all lines of the last one."""
        result = self._execute(calls)
        return [[result.get_value(n, column) for column in range(result.nfields)] for n in range(result.ntuples)]

    def _execute(self, calls: Mapping[str, str]) -> PGresult:
        """By libpq itself: a cursor would describe columns and convert values, for half the time of a claim."""
        if self._prepared_on is None or self._prepared_on is not connection.connection:
            self._prepare()
        text = "; ".join(f"EXECUTE {self._name}_{name}({arguments})" for name, arguments in calls.items())
        with connection.wrap_database_errors:
            result: PGresult = connection.connection.pgconn.exec_(text.encode())
            if result.status != ExecStatus.TUPLES_OK:
                raise error_from_result(result, "utf-8")
        return result

    def _prepare(self) -> None:
        connection.ensure_connection()
        self._name = f"prepared_{next(_NAMES)}"
        with connection.cursor() as cursor:
            # Whatever the values, the plan is by keys; making it takes longer than all the rest.
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            # With one snapshot for the whole transaction, a check would not see what the locks waited for.
            cursor.execute("SET default_transaction_isolation = 'read committed'")
            for name, (types, text) in self._sources().items():
                cursor.execute(f"PREPARE {self._name}_{name}({types}) AS {text}")
        self._prepared_on = connection.connection


def of_a_row(query: QuerySet[Any, Any], *, at: str) -> str:
    """Return a query with its constants written out, and the values of the row `r` where they stand for them.

    `at` is the argument that holds the moment.
    """
    compose: Any = connection.ops.compose_sql  # type: ignore[attr-defined]  # of PostgreSQL
    written = compose(*query.query.sql_with_params())
    for constant, name in ((PROFILE, "r.profile"), (DIGEST, "r.digest"), (AT, at)):
        written = written.replace(compose("%s", [constant]), name)
    return str(written)


def ids(written: bytes | None) -> set[int]:
    """Return the numbers of an array as PostgreSQL writes it: {1,2,3}."""
    return set(map(int, written[1:-1].split(b","))) if written else set()


def array(values: Iterable[str]) -> str:
    return "'{" + ",".join(values) + "}'"


def numbers(values: Iterable[int]) -> str:
    return "'{" + ",".join([str(int(value)) for value in values]) + "}'"


def octets(values: Iterable[bytes]) -> str:
    return array(f'"\\\\x{value.hex()}"' for value in values)


def instant(at: datetime) -> str:
    return f"'{at.isoformat()}'"


def texts(values: Sequence[str]) -> str:
    """Return an array of texts that come from strangers: each is quoted by libpq."""
    connection.ensure_connection()
    escape = Escaping(connection.connection.pgconn).escape_literal
    quoted = (escape(value.replace("\x00", "").encode()).decode() for value in values)
    return f"ARRAY[{','.join(quoted)}]::text[]"
