"""Time the analysis beside its floor and beside a plain loop, in the database that DATABASE_URL names.

    python -m tests.benchmarks.analysing PEOPLE REPEAT

Prints one JSON object. `tests.benchmarks.analysis` starts it on a server of its own.

The floor is the work that cannot be saved: the finished log, copied in its order into an empty table with the same
indexes. The loop is what a Django developer writes first: people with their addresses by `iterator`, the quarantine
in a set, rows by `bulk_create`. It is also the oracle: both must give each person the same row. It takes so long that
it goes through the first 100,000 people only, which changes nothing for them: a duplicate is one of somebody earlier.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import django

django.setup()

from django.db import connection  # noqa: E402  # after the set-up
from django.utils import timezone  # noqa: E402

from deliveries import analysis  # noqa: E402
from deliveries.exclusions import QUARANTINE_REASONS  # noqa: E402
from deliveries.models import (  # noqa: E402
    AnalysisRun,
    Delivery,
    DeliveryException,
    DeliveryLog,
    Lease,
    LogStatus,
    Reason,
    RunReason,
    State,
)
from profiles.addresses import Validity  # noqa: E402
from profiles.channels import Channel  # noqa: E402
from profiles.models import Profile  # noqa: E402
from quarantine.models import Cause, QuarantinedAddress  # noqa: E402
from tests.benchmarks import population  # noqa: E402
from tests.benchmarks.asking import ask  # noqa: E402
from tests.benchmarks.beside import opt_outs_beside  # noqa: E402

LOG, CLONE = DeliveryLog._meta.db_table, "log_clone"
NAIVE_PEOPLE, NAIVE_BATCH = 100_000, 1_000
POSTGRES = connection.vendor == "postgresql"


def measure(people: int, repeat: int) -> dict[str, Any]:
    delivery = population.make(people)
    times, floors, longest, statements = [], [], 0.0, 0.0
    before = _temporary_bytes()
    for _number in range(repeat):
        empty(delivery)
        with _probed() as probe:
            times.append(_timed(lambda: analyse(delivery)))
        longest, statements = max(longest, *probe.seconds), max(statements, *probe.statements)
        clone()
        floors.append(_timed(fill_clone))
        assert _rows(CLONE) == _rows(LOG)
    temporary = _temporary_bytes() - before
    counts = check(delivery)
    run_id = delivery.current_run_id
    loop = _timed(lambda: naive(delivery, run_id + 1))
    loop /= assert_same(run_id, run_id + 1)  # seconds a row
    row = median(times) / sum(counts.values())
    return {
        "name": "analysis", "engine": connection.vendor, "people": people, "repeat": repeat,
        "analysis_s": median(times), "floor_s": median(floors), "naive_s_per_1000_rows": 1_000 * loop,
        "ratio_to_floor": median(a / b for a, b in zip(times, floors, strict=True)),
        "speedup_over_naive": loop / row, "rows_per_second": 1 / row,
        "temp_bytes": temporary, "longest_transaction_s": longest, "statements_per_chunk": statements,
        "counts": counts, "pages_ms": pages(delivery), "beside": beside(delivery),
    }  # fmt: skip


def pages(delivery: Delivery) -> dict[str, float]:
    """Return how many milliseconds the pages of the analysed delivery take."""
    asked = {
        "waterfall": ("workspace", []),
        "live": ("live", []),
        "people_duplicate": ("left_out", [int(Reason.DUPLICATE)]),
        "people_opted_out": ("left_out", [int(Reason.BLACKLISTED)]),
        "people_to_send": ("by_status", [int(LogStatus.PENDING)]),
    }
    return ask(delivery, asked, repeat=7)


def beside(delivery: Delivery) -> dict[str, Any]:
    """Analyse once more while people opt out, fifty a second (PostgreSQL, for SQLite has one writer)."""
    if not POSTGRES:
        return {}
    empty(delivery)
    return opt_outs_beside(lambda: analyse(delivery))


def analyse(delivery: Delivery) -> None:
    """Do what the task does, ring after ring, until the run is done."""
    analysis.start(delivery, at=timezone.now())
    while analysis.work(delivery.pk):
        pass


def check(delivery: Delivery) -> dict[str, int]:
    """Return log rows by reason, or raise: counters, leases and log agree, and nothing is left to do."""
    delivery.refresh_from_db()
    run = delivery.current_run
    assert run is not None
    assert (delivery.state, run.state) == (State.ANALYSED, AnalysisRun.State.DONE)
    by_reason = {Reason(r).name.lower(): n for r, n in _fetch(f"SELECT reason, count(*) FROM {LOG} GROUP BY reason")}
    counters = {Reason(r.reason).name.lower(): r.first for r in RunReason.objects.filter(run=run) if r.first}
    assert counters == {name: n for name, n in by_reason.items() if name != "none"}
    leases = Lease.objects.filter(run=run).values_list("size", "excluded", "pending")
    sizes, excluded, pending = (sum(column) for column in zip(*leases, strict=True))
    assert (sizes, pending) == (run.targeted, by_reason["none"]) == (sum(by_reason.values()), sizes - excluded)
    return by_reason


def naive(delivery: Delivery, run: int) -> None:
    """Write the log of a run as one does who knows only the ORM."""
    blocked = {bytes(digest): cause for digest, cause in QuarantinedAddress.objects.blocking(timezone.now())
               .filter(channel=Channel.EMAIL).values_list("digest", "cause")}  # fmt: skip
    seen: set[bytes] = set()
    rows = []
    people = Profile.objects.filter(subscriptions__service=delivery.service_id, pk__lte=NAIVE_PEOPLE).order_by("pk")
    for person in people.prefetch_related("addresses").iterator(chunk_size=2_000):
        address = next((a for a in person.addresses.all() if (a.channel, a.position) == (Channel.EMAIL, 1)), None)
        digest, reason = bytes(address.digest) if address else b"", Reason.NONE
        if address is None:
            reason = Reason.ADDRESS_MISSING
        elif address.validity == Validity.INVALID:
            reason = Reason.ADDRESS_INVALID
        elif person.blacklisted:
            reason = Reason.BLACKLISTED
        elif person.blacklisted_email:
            reason = Reason.BLACKLISTED_CHANNEL
        elif digest in blocked:
            reason = QUARANTINE_REASONS[Cause(blocked[digest])]
        elif digest in seen:
            reason = Reason.DUPLICATE
        # Without an address, being opted out is still a reason of its own; only the first one counts here.
        if reason == Reason.NONE:
            seen.add(digest)
        status = LogStatus.EXCLUDED if reason else LogStatus.PENDING
        rows.append(
            DeliveryLog(
                run_id=run, delivery=delivery, profile=person, position=1, status=status, reason=reason,
                address=address.value if address else "", digest=digest or None,
            )
        )  # fmt: skip
        if len(rows) == NAIVE_BATCH:
            DeliveryLog.objects.bulk_create(rows)
            rows = []
    DeliveryLog.objects.bulk_create(rows)


def assert_same(one: int, other: int) -> int:
    """Raise unless both runs gave each of the first people the same row; return how many rows these are."""
    columns = "profile_id, position, status, reason, address, digest"
    some = f"SELECT {columns} FROM {LOG} WHERE run_id = %s AND profile_id <= {NAIVE_PEOPLE}"
    for pair in ((one, other), (other, one)):
        assert _fetch(f"{some} EXCEPT {some}", pair) == []
    return int(_fetch(f"SELECT count(*) FROM {LOG} WHERE run_id = %s", (other,))[0][0])


def empty(delivery: Delivery) -> None:
    """Make the delivery a draft again, in tables that are as good as new."""
    Delivery.objects.filter(pk=delivery.pk).update(state=State.DRAFT, current_run=None)
    delivery.refresh_from_db()
    tables = [m._meta.db_table for m in (DeliveryLog, DeliveryException, Lease, RunReason)]
    for table in tables:
        _execute(f"TRUNCATE {table}" if POSTGRES else f"DELETE FROM {table}")
    AnalysisRun.objects.all().delete()


def clone() -> None:
    """Make an empty table with the columns, defaults, constraints and indexes of the log."""
    _execute(f"DROP TABLE IF EXISTS {CLONE}")
    if POSTGRES:
        _execute(f"CREATE TABLE {CLONE} (LIKE {LOG} INCLUDING ALL)")
        return
    for (sql,) in _fetch("SELECT sql FROM sqlite_master WHERE tbl_name = %s AND sql IS NOT NULL", (LOG,)):
        for index in ("log_by_profile", "log_by_reason", "log_once"):
            sql = sql.replace(f'"{index}"', f'"{CLONE}_{index}"')
        _execute(sql.replace(f'"{LOG}"', f'"{CLONE}"'))


def fill_clone() -> None:
    _execute(f"INSERT INTO {CLONE} SELECT * FROM {LOG} ORDER BY id")


class _Probe:
    """How long each transaction of an analysis took, and how many statements each range."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.statements: list[int] = []
        self.now = 0

    def count(self, execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        self.now += 1
        return execute(sql, params, many, context)

    def watch(self, step: Callable[..., Any], *, ranges: bool) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.now, start = 0, time.perf_counter()
            done = step(*args, **kwargs)
            self.seconds.append(time.perf_counter() - start)
            if ranges:
                self.statements.append(self.now)
            return done

        return watched


@contextmanager
def _probed() -> Iterator[_Probe]:
    """Watch the functions of the analysis that are one transaction each."""
    probe, steps = _Probe(), {name: getattr(analysis, name) for name in ("start", "prepare", "write_range", "finish")}
    try:
        for name, step in steps.items():
            setattr(analysis, name, probe.watch(step, ranges=name == "write_range"))
        with connection.execute_wrapper(probe.count):
            yield probe
    finally:
        for name, step in steps.items():
            setattr(analysis, name, step)


def _timed(work: Callable[[], object]) -> float:
    _execute("CHECKPOINT" if POSTGRES else "PRAGMA wal_checkpoint(TRUNCATE)")
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _temporary_bytes() -> int:
    if not POSTGRES:
        return 0
    _fetch("SELECT pg_stat_force_next_flush()")
    _execute("SELECT 1")
    return int(_fetch("SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()")[0][0])


def _rows(table: str) -> int:
    return int(_fetch(f"SELECT count(*) FROM {table}")[0][0])


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _fetch(sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


if __name__ == "__main__":
    json.dump(measure(int(sys.argv[1]), int(sys.argv[2])), sys.stdout)
