"""Questions that may be given up: what a page asks in passing must not keep it, or the database, busy.

with limited(timedelta(seconds=2)):
    ...                                  TookTooLong when the queries inside take longer
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import OperationalError, connection, transaction

_STEPS = 10_000  # of SQLite's machine between two looks at the clock: a fraction of a millisecond


class TookTooLong(TimeoutError):
    """The database took longer than was allowed. Ask for less, or do without the answer."""


@contextmanager
def limited(span: timedelta) -> Iterator[None]:
    """Stop the queries inside when they take longer, each (PostgreSQL) or together (SQLite). Raise TookTooLong."""
    limit = _limited_on_postgresql if connection.vendor == "postgresql" else _limited_on_sqlite
    with limit(span):
        yield


@contextmanager
def _limited_on_postgresql(span: timedelta) -> Iterator[None]:
    milliseconds = str(max(1, int(span.total_seconds() * 1000)))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            before = cursor.fetchone()[0]
            # Of this transaction only; when it is rolled back to here, the former one counts again.
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])
            yield
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])
    except OperationalError as error:
        # 57014: query_canceled, which is what a statement that timed out ends with.
        if getattr(error.__cause__, "sqlstate", "") != "57014":
            raise
        raise TookTooLong from error


@contextmanager
def _limited_on_sqlite(span: timedelta) -> Iterator[None]:
    connection.ensure_connection()
    raw, end = connection.connection, time.monotonic() + span.total_seconds()
    raw.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        yield
    except OperationalError as error:
        if str(error) != "interrupted":
            raise
        raise TookTooLong from error
    finally:
        raw.set_progress_handler(None, _STEPS)
