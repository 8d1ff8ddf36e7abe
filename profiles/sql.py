"""Hand-written SQL about people: locks that only PostgreSQL needs, and its fast way of adding many rows."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, models, transaction

from .digests import lock_number


def lock_digests(values: Iterable[bytes], *, shared: bool = False) -> None:
    """Lock addresses until the transaction ends, whether or not a row exists for them.

    Writers of a suppression take the exclusive form and a hand-off the shared one, so that a suppression of an
    address waits for the message that is just leaving to it, and the next message waits for the suppression.
    Always in sorted order, and after the profile rows, so that no two transactions wait for each other.
    SQLite has one writer at a time (IMMEDIATE transactions): there is nothing to lock.
    """
    numbers = sorted({lock_number(bytes(value)) for value in values})
    if connection.vendor != "postgresql" or not numbers:
        return
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {function}(n) FROM unnest(%s::bigint[]) WITH ORDINALITY AS t(n, i) ORDER BY i", [numbers]
        )


def hold_erased_opt_outs() -> None:
    """Let nobody keep or forget an erased opt-out until the transaction ends.

    For a batch that adds thousands of addresses: a lock on each would fill PostgreSQL's table of locks. An opt-out
    that waits for the batch then sees its people.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE profiles_erasedoptout IN SHARE MODE")


def lock_seals() -> None:
    """Let one process at a time add to the chain of seals, until the transaction ends."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('profiles.seals'))")


def bulk_create(rows: Sequence[models.Model]) -> None:
    """Add rows of one model in their order; their ids are not read back, and every column has a value.

    By COPY on PostgreSQL: for rows with bytes in them that takes a fifth of the time of a long INSERT.
    """
    if connection.vendor != "postgresql":
        for model in {type(row) for row in rows}:
            model._default_manager.bulk_create(rows, batch_size=1_000)
        return
    if not rows:
        return
    fields = [field for field in rows[0]._meta.concrete_fields if not field.primary_key]
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    table = connection.ops.quote_name(rows[0]._meta.db_table)
    columns = [_column(field, rows) for field in fields]
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for values in zip(*columns, strict=True):
            copy.write_row(values)


def bulk_update(rows: Sequence[models.Model], names: Sequence[str]) -> None:
    """Write some fields of rows of one model that are there and locked; triggers and constraints hold as always.

    By one UPDATE from arrays on PostgreSQL: its text does not grow, so that it is read once. Elsewhere by an upsert,
    which is many times faster than a CASE for each row.
    """
    if not rows:
        return
    meta = rows[0]._meta
    if connection.vendor != "postgresql":
        type(rows[0])._default_manager.bulk_create(
            rows, batch_size=1_000, update_conflicts=True, unique_fields=["pk"], update_fields=names
        )
        return
    fields = [meta.get_field(name) for name in names]
    quote = connection.ops.quote_name
    known: list[Any] = [meta.pk, *fields]
    arrays = ", ".join(f"%s::{field.db_type(connection)}[]" for field in known)
    columns = ", ".join(quote(field.column) for field in known)
    changes = ", ".join(f"{quote(field.column)} = new.{quote(field.column)}" for field in known[1:])
    table, key = quote(meta.db_table), quote(known[0].column)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {changes} FROM unnest({arrays}) AS new ({columns}) WHERE {table}.{key} = new.{key}",
            [_column(field, rows) for field in known],
        )


# PostgreSQL takes what these hold as it is: preparing each value would take longer than writing it.
_AS_IT_IS = (
    models.IntegerField, models.CharField, models.TextField, models.DateTimeField, models.BooleanField,
    models.BinaryField,
)  # fmt: skip


def _column(field: Any, rows: Sequence[models.Model]) -> list[Any]:
    """Return the values of a field, as its column takes them."""
    values = [getattr(row, field.attname) for row in rows]
    if isinstance(field, _AS_IT_IS):
        return values
    return [field.get_db_prep_save(value, connection) for value in values]


@contextmanager
def snapshot() -> Iterator[None]:
    """Read everything inside the block as it was at one moment, while others go on writing."""
    mode = getattr(connection, "transaction_mode", None)
    if connection.vendor == "sqlite":
        connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]  # a reader needs no writer's lock
    try:
        with transaction.atomic():
            # Inside an outer transaction, as in a test, it is too late to choose.
            if connection.vendor == "postgresql" and not connection.savepoint_ids:
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    finally:
        if connection.vendor == "sqlite":
            connection.transaction_mode = mode  # type: ignore[attr-defined]
