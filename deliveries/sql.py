"""Hand-written SQL of the analysis and of the hand-off, portable but where a comment says so.

The ORM writes the selects (so that a predicate exists once, in `exclusions`); the statements here wrap them, because
the ORM has no INSERT … SELECT, no window over a derived table and no FOR SHARE.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet

from .draw import Draw
from .models import (
    Delivery,
    DeliveryException,
    DeliveryLog,
    ExceptionKind,
    Lease,
    LogStatus,
    Reason,
    RunDomain,
    RunReason,
    RunRule,
)

_LOG = DeliveryLog._meta.db_table
_EXCEPTION = DeliveryException._meta.db_table
_LEASE = Lease._meta.db_table
_COUNTER = RunReason._meta.db_table
_RULE = RunRule._meta.db_table
_DELIVERY = Delivery._meta.db_table
_DOMAIN = RunDomain._meta.db_table


class ReasonCount(NamedTuple):
    """So many rows have this reason first, this set of reasons in all, and this sending rule (0: none)."""

    reason: int
    reasons: int
    rule: int
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

    `rows` yields (id, position, digest, bits, pressed) for the addresses of the target that are shared. They are
    rare: a window over them alone costs a fraction of one over the whole target.
    """
    select, params = _compiled(rows)
    return _execute(
        f"INSERT INTO {_EXCEPTION} (run_id, profile_id, position, cause, kind) "
        "SELECT %s, d.id, d.position, NULL, %s FROM ("
        "  SELECT v.id, v.position, row_number() OVER (PARTITION BY v.digest ORDER BY v.id, v.position) AS place"
        f" FROM ({select}) v WHERE v.bits = 0 AND v.pressed = 0"
        ") d WHERE d.place > 1 ORDER BY d.id, d.position",
        (run, ExceptionKind.DUPLICATE, *params),
    )


def insert_pressed(
    run: int, rule: int, rows: QuerySet[Any, Any], runs: Sequence[int], statuses: Sequence[int], after: int, upto: int
) -> int:
    """Store the exceptions of people of a range who get as many messages of some runs as they may; return how many.

    `rows` yields (id, most). Who is stored already, for an earlier rule, stays as it is.
    """
    select, params = _compiled(rows)
    counted = "SELECT 0 AS profile_id, 0 AS got WHERE 1 = 0"
    values: tuple[Any, ...] = ()
    if runs:
        counted = (
            f"SELECT profile_id, count(*) AS got FROM {_LOG} WHERE run_id IN ({_places(runs)}) "
            f"AND profile_id > %s AND profile_id <= %s AND status IN ({_places(statuses)}) GROUP BY profile_id"
        )
        values = (*runs, after, upto, *statuses)
    return _execute(
        f"INSERT INTO {_EXCEPTION} (run_id, profile_id, position, cause, kind, rule) "
        f"SELECT %s, p.id, 0, NULL, %s, %s FROM ({select}) p LEFT JOIN ({counted}) c ON c.profile_id = p.id "
        "WHERE coalesce(c.got, 0) >= p.most ORDER BY p.id ON CONFLICT DO NOTHING",
        (run, ExceptionKind.FATIGUE, rule, *params, *values),
    )


def analyse_exceptions() -> None:
    """Tell PostgreSQL how many exceptions there are now: until then it plans each range as if there were none."""
    if connection.vendor == "postgresql":
        _execute(f"ANALYZE {_EXCEPTION}", ())


def join_by_merging() -> None:
    """Keep PostgreSQL from nested loops until the transaction ends.

    Just after an import its statistics may say that a table is empty. It would then read a whole range for each person
    of the range. Merging or hashing two ranges costs little more than the best plan, and never that much.
    """
    if connection.vendor == "postgresql":
        _execute("SET LOCAL enable_nestloop = off", ())


def insert_log(run: int, delivery: int, rows: QuerySet[Any, Any], *, held_out: tuple[Draw, int] | None = None) -> int:
    """Write the log rows of one range; return how many.

    `rows` yields (id, position, address, digest, bits, rule, pressed, duplicate); `held_out` is a draw and the number
    below which people are in the control group. Inserted in profile order: in any other, the unique index is filled
    at random, which costs half as much again. The bit set is a column of a derived table, so that it is computed once
    and not once per use.
    """
    select, params = _compiled(rows)
    first = " ".join(f"WHEN w.bits & {reason.bit} <> 0 THEN {int(reason)}" for reason in Reason if reason)
    held = f"WHEN {held_out[0].sql} < {held_out[1]} THEN {Reason.CONTROL_GROUP.bit} " if held_out else ""
    above = Reason.FILTERING_RULE.bit - 1  # the reasons that come before it
    return _execute(
        f"INSERT INTO {_LOG} (run_id, delivery_id, profile_id, position, status, reason, reasons, rule, address, "
        "digest) SELECT %s, %s, w.profile_id, w.position, "
        f"CASE WHEN w.bits = 0 THEN {LogStatus.PENDING} ELSE {LogStatus.EXCLUDED} END, "
        f"CASE {first} ELSE 0 END, w.bits, "
        f"CASE WHEN w.rule <> 0 AND w.bits & {above} = 0 THEN w.rule"
        f" WHEN w.pressed <> 0 AND w.bits = {Reason.FATIGUE_RULE.bit} THEN w.pressed END, w.address, w.digest FROM ("
        "  SELECT v.profile_id, v.position, v.address, v.digest, v.rule, v.pressed,"
        f" CASE WHEN v.bits <> 0 THEN v.bits WHEN v.pressed <> 0 THEN {Reason.FATIGUE_RULE.bit}"
        f" WHEN v.duplicate THEN {Reason.DUPLICATE.bit} {held}ELSE 0 END AS bits FROM ("
        "   SELECT u.id AS profile_id, u.position, u.address, u.digest, u.bits, u.rule, u.pressed, u.duplicate"
        f"  FROM ({select}) u"
        "  ) v"
        ") w ORDER BY w.profile_id, w.position",
        (run, delivery, *params),
    )


def count_reasons(run: int, after: int, upto: int) -> list[ReasonCount]:
    """Count the rows of a range by reason, set of reasons and sending rule."""
    rows = _fetch(
        f"SELECT reason, reasons, coalesce(rule, 0), count(*) FROM {_LOG} "
        "WHERE run_id = %s AND profile_id > %s AND profile_id <= %s GROUP BY reason, reasons, rule",
        (run, after, upto),
    )
    return [ReasonCount(*row) for row in rows]


def cut_at(run: int, draw: Draw, number: int, *, of_people: bool) -> int | None:
    """Return the number drawn by the so many-th lowest row that is to be sent (or person); None when they are fewer.

    Below all numbers when none is asked for. Counted coarsely first: a sort of all of them would spill to the disk.
    """
    if number <= 0:
        return -1
    to_send = f"FROM {_LOG} WHERE run_id = %s AND status = {LogStatus.PENDING}"
    what = "count(DISTINCT profile_id)" if of_people else "count(*)"
    coarse = _fetch(f"SELECT {draw.sql} / {draw.coarse}, {what} {to_send} GROUP BY 1", (run,))
    left = number
    for bucket, size in sorted(coarse):
        if left <= size:
            fine = f"SELECT DISTINCT {draw.sql} AS drawn {to_send} AND {draw.sql} / {draw.coarse} = %s"
            rows = _fetch(f"{fine} ORDER BY drawn LIMIT 1 OFFSET %s", (run, bucket, left - 1))
            return int(rows[0][0])
        left -= size
    return None


def leave_out(run: int, reason: Reason, draw: Draw, cut: int, *, above: bool, after: int, upto: int) -> int:
    """Leave out the rows of a range, still to be sent, that drew more than a number (or else at most); return how many.

    The leases that hold them are counted again.
    """
    compare = ">" if above else "<="
    changed = _execute(
        f"UPDATE {_LOG} SET status = %s, reason = %s, reasons = %s WHERE run_id = %s AND profile_id > %s "
        f"AND profile_id <= %s AND status = %s AND {draw.sql} {compare} %s",
        (LogStatus.EXCLUDED, reason, reason.bit, run, after, upto, LogStatus.PENDING, cut),
    )
    if changed:
        _execute(
            f"UPDATE {_LEASE} SET pending = c.pending, excluded = {_LEASE}.size - c.pending FROM ("
            f"  SELECT l.id, (SELECT count(*) FROM {_LOG} g WHERE g.run_id = l.run_id"
            "    AND g.profile_id > l.after_profile AND g.profile_id <= l.upto_profile AND g.status = %s) AS pending"
            f"  FROM {_LEASE} l WHERE l.run_id = %s AND l.after_profile < %s AND l.upto_profile > %s"
            f") c WHERE {_LEASE}.id = c.id",
            (LogStatus.PENDING, run, upto, after),
        )
    return changed


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


def add_rule_counts(run: int, counts: Mapping[tuple[int, int], int], labels: Mapping[int, str]) -> None:
    """Add to the counters of the sending rules of a run: (rule, reason) → rows. One statement."""
    if not counts:
        return
    rows = [(run, rule, reason, labels.get(rule, ""), number) for (rule, reason), number in sorted(counts.items())]
    places = ", ".join(["(%s, %s, %s, %s, %s)"] * len(rows))
    _execute(
        f"INSERT INTO {_RULE} AS c (run_id, rule, reason, label, number) VALUES {places} "
        "ON CONFLICT (run_id, rule) DO UPDATE SET number = c.number + excluded.number",
        tuple(value for row in rows for value in row),
    )


def add_domain_counts(run: int, rows: Sequence[tuple[str, int, int, int, int, str]]) -> None:
    """Add to the counters of the mail domains of a run: (domain, sent, failed, deferred, blocked, last answer).

    One statement; in the order of the rows, which must be that of everybody: of the domains.
    """
    if not rows:
        return
    places = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s)"] * len(rows))
    values = tuple(
        value
        for domain, sent, failed, deferred, blocked, answer in rows
        for value in (run, domain, sent, failed, deferred, blocked, failed + deferred + blocked, answer)
    )
    _execute(
        f"INSERT INTO {_DOMAIN} AS c (run_id, domain, sent, failed, deferred, blocked, trouble, answer) "
        f"VALUES {places} ON CONFLICT (run_id, domain) DO UPDATE SET sent = c.sent + excluded.sent, "
        "failed = c.failed + excluded.failed, deferred = c.deferred + excluded.deferred, "
        "blocked = c.blocked + excluded.blocked, trouble = c.trouble + excluded.trouble, "
        "answer = CASE WHEN excluded.answer = '' THEN c.answer ELSE excluded.answer END",
        values,
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


# The first of the two numbers under which a delivery is locked: claims share it, moves take it alone.
DELIVERY_LOCKS = 0x43616D70


def lock_for_hand_off(delivery: int | None, profile: int | None) -> None:
    """Lock what a hand-off depends on, shared, until its transaction ends: the delivery, then the profile.

    PostgreSQL only: whoever stops the delivery or opts the person out waits for this transaction, or this one for
    them. The rows are read in a *later* statement: one that locks and reads at once keeps the snapshot that it took
    before it waited. SQLite has a single writer (IMMEDIATE transactions).
    """
    if connection.vendor != "postgresql":
        return
    if delivery is not None:
        # By number and not by row: every message would else write to the one row of its delivery.
        _fetch("SELECT pg_advisory_xact_lock_shared(%s, %s)", (DELIVERY_LOCKS, delivery))
    if profile is not None:
        _fetch("SELECT 1 FROM profiles_profile WHERE id = %s FOR SHARE", (profile,))


def claims_can_be_prepared() -> bool:
    """Say whether the database takes the two statements of `sending.prepared`; all others claim by `sending.plain`."""
    return connection.vendor == "postgresql"


def lock_for_move(delivery: int) -> None:
    """Let no claim of a delivery be under way until the transaction ends. PostgreSQL only, as above."""
    if connection.vendor == "postgresql":
        _fetch("SELECT pg_advisory_xact_lock(%s, %s)", (DELIVERY_LOCKS, delivery))


def _places(values: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(values))


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
