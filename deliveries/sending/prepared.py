"""Claims on PostgreSQL: lock, then check and mark, in one transaction and one round trip.

One query text holds two statements, the locks and the check that marks, and PostgreSQL makes one transaction of it. In
READ COMMITTED each statement has a snapshot of its own, taken when it begins. So the check sees every suppression that
committed before the locks were held, and none can commit between the two.

The check is that of the analysis: `exclusions` writes it, and it is compiled here once, with the values of each row in
place of constants. It claims only rows that nothing forbids. The others it leaves as they are, and the portable claim
looks at them one by one and says why.

Both statements are prepared once for each connection and executed by name. That takes a third of the client's time of
a pipeline of bound parameters, and the planner is asked once. It needs a connection of its own: a pooler that hands
connections on after each transaction would lose what is prepared.
"""

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from psycopg.errors import error_from_result
from psycopg.pq import Escaping, ExecStatus

from profiles.channels import Channel
from profiles.digests import lock_number
from profiles.models import Profile
from quarantine.models import QuarantinedAddress, Status

from ..exclusions import Judging, something_applies, with_address, with_quarantine
from ..gate import staying
from ..models import AnalysisRun, Delivery, DeliveryLog, Lease, LogStatus, MessageClass, State
from ..sql import DELIVERY_LOCKS
from .results import Answer, Result

S = LogStatus
# Constants of the compiled check that stand for the values of a row.
_PROFILE, _DIGEST = -8_310_457_102_335_911, b"\x00digest of a row"
_AT = datetime(1, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
_NAMES = itertools.count(1)

# The order of locks is everybody's: lease, delivery, profiles by id, digests sorted. A CASE keeps it.
_LOCK = """
SELECT CASE
  WHEN (SELECT count(*) FROM (SELECT 1 FROM {lease} WHERE id = $1 FOR NO KEY UPDATE) l) < 0 THEN 1
  WHEN (SELECT pg_advisory_xact_lock_shared({space}, $2)) IS NULL THEN 2
  WHEN (SELECT count(*) FROM (
    SELECT 1 FROM {profile} WHERE id = ANY ($3) ORDER BY id FOR SHARE
  ) p) < 0 THEN 3
  WHEN (SELECT count(*) FROM (
    SELECT pg_advisory_xact_lock_shared(n) FROM unnest($4) WITH ORDINALITY AS d(n, place) ORDER BY place
  ) a) < 0 THEN 4
END
"""
_LOCK_TYPES = "bigint, int, bigint[], bigint[]"

# $1-$4 rows to claim: id, profile, digest, status before. $5-$12 results: id, attempts, status, answer, at, not_before,
# milliseconds (-1: nothing was handed over), hard. $13 now, $14 the lease's end from now on, $15 lease, $16 its owner.
_MARK = """
WITH recorded AS (
  UPDATE {log} g
  SET status = t.status, answer = t.answer, finished_at = t.at, not_before = t.not_before
  FROM unnest($5, $6, $7, $8, $9, $10, $11, $12) AS t(id, attempts, status, answer, at, not_before, ms, hard)
  WHERE g.id = t.id AND g.attempts = t.attempts AND g.status = {handing_off}
  RETURNING g.id, t.status, t.ms, t.hard
), judged AS MATERIALIZED (
  SELECT r.id, r.before, (
    SELECT q.status FROM {quarantine} q WHERE q.channel = {channel} AND q.digest = r.digest ORDER BY q.status LIMIT 1
  ) IS NOT DISTINCT FROM {erroneous} AS erroneous
  FROM unnest($1, $2, $3, $4) AS r(id, profile, digest, before)
  CROSS JOIN LATERAL ({check}) v
  WHERE ({stays})
  AND (SELECT state FROM {delivery_table} WHERE id = {delivery}) = {sending}
  AND EXISTS (SELECT 1 FROM {lease} WHERE id = $15 AND owner = $16 AND expires_at > $13)
), claimed AS (
  UPDATE {log} g SET status = {handing_off}, claimed_at = $13, attempts = g.attempts + 1
  FROM judged j WHERE g.id = j.id AND g.status = j.before
  RETURNING g.id, j.before, j.erroneous
), counted AS (
  UPDATE {lease} l SET
    handing_off = l.handing_off + c.n - e.n,
    pending = l.pending - c.pending + e.pending, retry = l.retry - c.retry + e.retry,
    sent = l.sent + e.sent, failed = l.failed + e.failed, in_doubt = l.in_doubt + e.in_doubt,
    sent_ms = l.sent_ms + e.sent_ms, failed_ms = l.failed_ms + e.failed_ms,
    failed_tries = l.failed_tries + e.tries, hard = l.hard + e.hard,
    expires_at = CASE WHEN l.owner = $16 AND l.expires_at > $13 THEN $14 ELSE l.expires_at END
  FROM (
    SELECT count(*) AS n, count(*) FILTER (WHERE before = {pending}) AS pending,
      count(*) FILTER (WHERE before = {retry}) AS retry FROM claimed
  ) c, (
    SELECT count(*) AS n, count(*) FILTER (WHERE status = {pending}) AS pending,
      count(*) FILTER (WHERE status = {retry}) AS retry, count(*) FILTER (WHERE status = {sent}) AS sent,
      count(*) FILTER (WHERE status = {failed}) AS failed, count(*) FILTER (WHERE status = {in_doubt}) AS in_doubt,
      coalesce(sum(ms) FILTER (WHERE ms > 0 AND status = {sent}), 0) AS sent_ms,
      coalesce(sum(ms) FILTER (WHERE ms > 0 AND status <> {sent}), 0) AS failed_ms,
      count(*) FILTER (WHERE ms >= 0 AND status <> {sent}) AS tries,
      count(*) FILTER (WHERE hard) AS hard FROM recorded
  ) e
  WHERE l.id = $15
  RETURNING l.owner = $16 AND l.expires_at > $13 AS owned
)
SELECT (SELECT array_agg(id) FROM claimed), (SELECT array_agg(id) FROM claimed WHERE erroneous),
  (SELECT array_agg(id) FROM recorded), (SELECT state FROM {delivery_table} WHERE id = {delivery}),
  (SELECT owned FROM counted)
"""
_MARK_TYPES = (
    "bigint[], bigint[], bytea[], smallint[], bigint[], smallint[], smallint[], text[], timestamptz[], timestamptz[], "
    "int[], bool[], timestamptz, timestamptz, bigint, text"
)


class PreparedClaims:
    """Claims the rows of one run's leases on one connection."""

    def __init__(self, delivery: Delivery, run: AnalysisRun, judging: Judging) -> None:
        self.delivery, self.run = delivery, run
        self._prepared_on: Any = None
        self._name = ""
        self.judge_by(judging)

    def judge_by(self, judging: Judging) -> None:
        """Take what is configured (blocked domains...) as it is now."""
        if getattr(self, "_judging", None) != judging:
            self._judging, self._prepared_on = judging, None

    def ask(self, lease: Lease, rows: Sequence[DeliveryLog], results: Sequence[Result], *, at: datetime) -> Answer:
        """Write results and claim rows, in one transaction. Raises DatabaseError, and has then done nothing."""
        if self._prepared_on is None or self._prepared_on is not connection.connection:
            self._prepare()
        claimed, erroneous, recorded, state, owned = self._execute(self._statements(lease, rows, results, at))
        answer = Answer(_ids(claimed), _ids(recorded), _ids(erroneous), state == State.SENDING.encode(), owned == b"t")
        if answer.sending and answer.owned:
            answer.doubtful = [row for row in rows if row.pk not in answer.claimed]
        return answer

    def _execute(self, text: str) -> list[bytes | None]:
        """Run the statements as one transaction (PostgreSQL makes one of a query text), and return the last one's line.

        By libpq itself: a cursor would describe columns and convert values, for half the time of a claim.
        """
        with connection.wrap_database_errors:
            result = connection.connection.pgconn.exec_(text.encode())
            if result.status != ExecStatus.TUPLES_OK:
                raise error_from_result(result, "utf-8")
        return [result.get_value(0, column) for column in range(result.nfields)]

    def _statements(self, lease: Lease, rows: Sequence[DeliveryLog], results: Sequence[Result], at: datetime) -> str:
        people = sorted({row.profile_id for row in rows})
        digests = sorted({lock_number(bytes(row.digest or b"")) for row in rows})
        lock = f"{lease.pk}, {self.delivery.pk}, {_numbers(people)}, {_numbers(digests)}"
        until = at + settings.LEASE_TIME
        mark = ", ".join((
            _numbers(row.pk for row in rows),
            _numbers(row.profile_id for row in rows),
            _array(f'"\\\\x{bytes(row.digest or b"").hex()}"' for row in rows),
            _numbers(row.status for row in rows),
            _numbers(result.row.pk for result in results),
            _numbers(result.row.attempts for result in results),
            _numbers(int(result.status) for result in results),
            _texts([result.answer for result in results]),
            _array(f'"{result.at.isoformat()}"' for result in results),
            _array(f'"{result.not_before.isoformat()}"' if result.not_before else "NULL" for result in results),
            _numbers(-1 if result.took is None else round(1_000 * result.took.total_seconds()) for result in results),
            _array("t" if result.hard else "f" for result in results),
            f"'{at.isoformat()}', '{until.isoformat()}', {lease.pk}, '{lease.owner}'",
        ))  # fmt: skip
        return f"EXECUTE {self._name}_lock({lock}); EXECUTE {self._name}_mark({mark})"

    def _prepare(self) -> None:
        connection.ensure_connection()
        self._name = f"claim_{next(_NAMES)}"
        tables = {"log": DeliveryLog, "lease": Lease, "profile": Profile, "quarantine": QuarantinedAddress,
                  "delivery_table": Delivery}  # fmt: skip
        names = {name: model._meta.db_table for name, model in tables.items()}
        lock = _LOCK.format(space=DELIVERY_LOCKS, **names)
        mark = _MARK.format(
            check=self._check(), stays=self._stays(), channel=int(self.delivery.channel), delivery=self.delivery.pk,
            sending=f"'{State.SENDING}'", erroneous=int(Status.ERRONEOUS),
            **{status.counter: int(status) for status in S}, **names,
        )  # fmt: skip
        with connection.cursor() as cursor:
            # Whatever the values, the plan is by keys; making it takes longer than all the rest.
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            # With one snapshot for the whole transaction, the check would not see what the locks waited for.
            cursor.execute("SET default_transaction_isolation = 'read committed'")
            cursor.execute(f"PREPARE {self._name}_lock({_LOCK_TYPES}) AS {lock}")
            cursor.execute(f"PREPARE {self._name}_mark({_MARK_TYPES}) AS {mark}")
        self._prepared_on = connection.connection

    def _check(self) -> str:
        """Return a query that finds the person of the row `r` if no exclusion concerns them at its address."""
        channel = Channel(self.delivery.channel)
        people = with_quarantine(with_address(Profile.objects.filter(pk=_PROFILE), channel, _DIGEST), channel, _AT)
        barred = something_applies(self._judging, MessageClass(self.delivery.message_class))
        return _with_values_of_a_row(people.annotate(barred=barred).filter(barred=False).values("pk"))

    def _stays(self) -> str:
        """Return the condition that the person of the row `r` has not left the delivery's service."""
        found = staying(_PROFILE, self.delivery, self.run, at=_AT)
        if found is None:
            return "true"
        query, wanted = found
        return f"{'' if wanted else 'NOT '}EXISTS ({_with_values_of_a_row(query.values('pk'))})"


def _with_values_of_a_row(query: QuerySet[Any, Any]) -> str:
    """Return a query with its constants written out, and the values of the row `r` where they stand for them."""
    compose: Any = connection.ops.compose_sql  # type: ignore[attr-defined]  # of PostgreSQL
    written = compose(*query.query.sql_with_params())
    for constant, name in ((_PROFILE, "r.profile"), (_DIGEST, "r.digest"), (_AT, "$13")):
        written = written.replace(compose("%s", [constant]), name)
    return str(written)


def _ids(array: bytes | None) -> set[int]:
    """Return the numbers of an array as PostgreSQL writes it: {1,2,3}."""
    return set(map(int, array[1:-1].split(b","))) if array else set()


def _array(values: Iterable[str]) -> str:
    return "'{" + ",".join(values) + "}'"


def _numbers(values: Iterable[int]) -> str:
    return "'{" + ",".join([str(int(value)) for value in values]) + "}'"


def _texts(values: Sequence[str]) -> str:
    """Return an array of texts that come from strangers: each is quoted by libpq."""
    escape = Escaping(connection.connection.pgconn).escape_literal
    quoted = (escape(value.replace("\x00", "").encode()).decode() for value in values)
    return f"ARRAY[{','.join(quoted)}]::text[]"
