"""Hand-written SQL of the analysis and of the hand-off, portable but where a comment says so.

The ORM writes the selects (so that a predicate exists once, in `exclusions`); the statements here wrap them, because
the ORM has no INSERT … SELECT, no window over a derived table and no FOR SHARE.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet

from .models import Delivery, DeliveryException, DeliveryLog, ExceptionKind, Lease, LogStatus, Reason, RunReason

_LOG = DeliveryLog._meta.db_table
_EXCEPTION = DeliveryException._meta.db_table
_LEASE = Lease._meta.db_table
_COUNTER = RunReason._meta.db_table
_DELIVERY = Delivery._meta.db_table


class ReasonCount(NamedTuple):
    """So many rows have this reason first and this set of reasons in all."""

    reason: int
    reasons: int
    rows: int


def insert_quarantined(run: int, rows: QuerySet[Any, Any]) -> int:
    """Store the exceptions of addresses in quarantine; return how many.

    `rows` yields (profile_id, position, cause). Quarantined addresses are few and people are many, so this starts
    from the quarantine, once, rather than look each person up in it, range after range.
    """
    select, params = _compiled(rows)
    return _execute(
        f"INSERT INTO {_EXCEPTION} (run_id, profile_id, position, cause, kind) "
        f"SELECT %s, v.profile_id, v.position, min(v.cause), %s FROM ({select}) v "
        "GROUP BY v.profile_id, v.position ORDER BY v.profile_id, v.position",
        (run, ExceptionKind.QUARANTINED, *params),
    )


def insert_duplicates(run: int, rows: QuerySet[Any, Any]) -> int:
    """Store the exceptions of people whose address an earlier surviving person of the target has; return how many.

    `rows` yields (id, position, digest, bits) for the people of the target whose address is shared. Shared addresses
    are rare: a window over them alone costs a fraction of one over the whole target.
    """
    select, params = _compiled(rows)
    return _execute(
        f"INSERT INTO {_EXCEPTION} (run_id, profile_id, position, cause, kind) "
        "SELECT %s, d.id, d.position, NULL, %s FROM ("
        "  SELECT v.id, v.position, row_number() OVER (PARTITION BY v.digest ORDER BY v.id, v.position) AS place"
        f" FROM ({select}) v WHERE v.bits = 0"
        ") d WHERE d.place > 1 ORDER BY d.id, d.position",
        (run, ExceptionKind.DUPLICATE, *params),
    )


def analyse_exceptions() -> None:
    """Tell PostgreSQL how many exceptions there are now: until then it plans each range as if there were none."""
    if connection.vendor == "postgresql":
        _execute(f"ANALYZE {_EXCEPTION}", ())


def insert_log(run: int, delivery: int, rows: QuerySet[Any, Any]) -> int:
    """Write the log rows of one range; return how many.

    `rows` yields (id, position, address, digest, bits, duplicate). Inserted in profile order: in any other, the
    unique index is filled at random, which costs half as much again. The bit set is a column of a derived table, so
    that it is computed once and not once per use.
    """
    select, params = _compiled(rows)
    first = " ".join(f"WHEN w.bits & {reason.bit} <> 0 THEN {int(reason)}" for reason in Reason if reason)
    return _execute(
        f"INSERT INTO {_LOG} (run_id, delivery_id, profile_id, position, status, reason, reasons, address, digest) "
        "SELECT %s, %s, w.id, w.position, "
        f"CASE WHEN w.bits = 0 THEN {LogStatus.PENDING} ELSE {LogStatus.EXCLUDED} END, "
        f"CASE {first} ELSE 0 END, w.bits, w.address, w.digest FROM ("
        "  SELECT v.id, v.position, v.address, v.digest,"
        f" CASE WHEN v.bits = 0 AND v.duplicate THEN {Reason.DUPLICATE.bit} ELSE v.bits END AS bits"
        f" FROM ({select}) v"
        ") w ORDER BY w.id, w.position",
        (run, delivery, *params),
    )


def count_reasons(run: int, after: int, upto: int) -> list[ReasonCount]:
    """Count the rows of a range by reason and set of reasons."""
    rows = _fetch(
        f"SELECT reason, reasons, count(*) FROM {_LOG} "
        "WHERE run_id = %s AND profile_id > %s AND profile_id <= %s GROUP BY reason, reasons",
        (run, after, upto),
    )
    return [ReasonCount(*row) for row in rows]


def add_counts(run: int, counts: Mapping[int, tuple[int, int]]) -> None:
    """Add to the counters of a run: reason → (rows that have it first, rows that have it at all). One statement."""
    if not counts:
        return
    rows = [(run, reason, first, in_all, 0) for reason, (first, in_all) in sorted(counts.items())]
    places = ", ".join(["(%s, %s, %s, %s, %s)"] * len(rows))
    _execute(
        f"INSERT INTO {_COUNTER} AS c (run_id, reason, first, in_all, since) VALUES {places} "
        "ON CONFLICT (run_id, reason) DO UPDATE"
        " SET first = c.first + excluded.first, in_all = c.in_all + excluded.in_all",
        tuple(value for row in rows for value in row),
    )


def insert_leases(run: int, after: int, upto: int, size: int) -> None:
    """Cut the rows of a range into leases of about `size` rows, never inside the rows of one profile.

    The first lease begins where the range does, and each next one where the former ends.
    """
    _execute(
        f"INSERT INTO {_LEASE} (run_id, after_profile, upto_profile, size, excluded, pending, "
        "handing_off, retry, sent, failed, suppressed, in_doubt, cancelled, owner) "
        "SELECT %s, coalesce(lag(g.last) OVER (ORDER BY g.piece), %s), g.last, "
        "g.size, g.excluded, g.size - g.excluded, "
        "0, 0, 0, 0, 0, 0, 0, '' FROM ("
        "  SELECT r.piece, max(r.profile_id) AS last, count(*) AS size,"
        f" sum(CASE WHEN r.status = {LogStatus.EXCLUDED} THEN 1 ELSE 0 END) AS excluded FROM ("
        "    SELECT profile_id, status, (dense_rank() OVER (ORDER BY profile_id) - 1) / %s AS piece"
        f"   FROM {_LOG} WHERE run_id = %s AND profile_id > %s AND profile_id <= %s"
        "  ) r GROUP BY r.piece"
        ") g",
        (run, after, size, run, after, upto),
    )


def delete_some(table: str, run: int, limit: int) -> int:
    """Delete at most `limit` rows of a voided run from the log or its exceptions; return how many."""
    name = {"log": _LOG, "exceptions": _EXCEPTION}[table]
    return _execute(
        f"DELETE FROM {name} WHERE id IN (SELECT id FROM {name} WHERE run_id = %s LIMIT %s)",
        (run, limit),
    )


def lock_for_hand_off(delivery: int | None, profile: int | None) -> None:
    """Lock what a hand-off depends on, shared, until its transaction ends: the delivery, then the profile.

    PostgreSQL only: whoever stops the delivery or opts the person out waits for this transaction, or this one for
    them. The rows are read in a *later* statement: one that locks and reads at once keeps the snapshot that it took
    before it waited. SQLite has a single writer (IMMEDIATE transactions).
    """
    if connection.vendor != "postgresql":
        return
    if delivery is not None:
        _fetch(f"SELECT 1 FROM {_DELIVERY} WHERE id = %s FOR SHARE", (delivery,))
    if profile is not None:
        _fetch("SELECT 1 FROM profiles_profile WHERE id = %s FOR SHARE", (profile,))


def _compiled(rows: QuerySet[Any, Any]) -> tuple[str, tuple[Any, ...]]:
    select, params = rows.query.sql_with_params()
    return select, tuple(params)


def _execute(sql: str, params: tuple[Any, ...]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def _fetch(sql: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
