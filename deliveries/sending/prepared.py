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

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings

from profiles.channels import Channel
from profiles.digests import lock_number
from profiles.models import Profile
from quarantine.models import QuarantinedAddress, Status

from ..exclusions import Judging, something_applies, with_address, with_quarantine
from ..gate import staying
from ..models import AnalysisRun, Delivery, DeliveryLog, Lease, LogStatus, MessageClass, State
from ..sql import DELIVERY_LOCKS
from .refusals import PreparedRefusals
from .results import Answer, Result
from .statements import AT, DIGEST, PROFILE, Statements, array, ids, instant, numbers, octets, of_a_row, texts

S = LogStatus

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
        self.judge_by(judging)

    def judge_by(self, judging: Judging) -> None:
        """Take what is configured (blocked domains...) as it is now."""
        if getattr(self, "_judging", None) != judging:
            self._judging = judging
            self._prepared = Statements(self._sources)
            self._refusals = PreparedRefusals(self.delivery, self.run, judging)

    def ask(self, lease: Lease, rows: Sequence[DeliveryLog], results: Sequence[Result], *, at: datetime) -> Answer:
        """Write results and claim rows, in one transaction; mark those that may not leave in another.

        Raises DatabaseError: the first has then done nothing, or the second.
        """
        claimed, erroneous, recorded, state, owned = self._prepared.run(self._calls(lease, rows, results, at))
        answer = Answer(ids(claimed), ids(recorded), ids(erroneous), state == State.SENDING.encode(), owned == b"t")
        refused = [row for row in rows if row.pk not in answer.claimed]
        if refused and answer.sending and answer.owned:
            answer.doubtful = self._refusals.leave_out(lease, refused, at=at)
        return answer

    def _calls(
        self, lease: Lease, rows: Sequence[DeliveryLog], results: Sequence[Result], at: datetime
    ) -> dict[str, str]:
        """Return the arguments of both statements, in their order."""
        people = sorted({row.profile_id for row in rows})
        digests = sorted({lock_number(bytes(row.digest or b"")) for row in rows})
        mark = ", ".join((
            numbers(row.pk for row in rows),
            numbers(row.profile_id for row in rows),
            octets(bytes(row.digest or b"") for row in rows),
            numbers(row.status for row in rows),
            numbers(result.row.pk for result in results),
            numbers(result.row.attempts for result in results),
            numbers(int(result.status) for result in results),
            texts([result.answer for result in results]),
            array(f'"{result.at.isoformat()}"' for result in results),
            array(f'"{result.not_before.isoformat()}"' if result.not_before else "NULL" for result in results),
            numbers(-1 if result.took is None else round(1_000 * result.took.total_seconds()) for result in results),
            array("t" if result.hard else "f" for result in results),
            f"{instant(at)}, {instant(at + settings.LEASE_TIME)}, {lease.pk}, '{lease.owner}'",
        ))  # fmt: skip
        return {"lock": f"{lease.pk}, {self.delivery.pk}, {numbers(people)}, {numbers(digests)}", "mark": mark}

    def _sources(self) -> dict[str, tuple[str, str]]:
        """Return the types of the arguments of each statement, and its text."""
        tables = {"log": DeliveryLog, "lease": Lease, "profile": Profile, "quarantine": QuarantinedAddress,
                  "delivery_table": Delivery}  # fmt: skip
        names = {name: model._meta.db_table for name, model in tables.items()}
        lock = _LOCK.format(space=DELIVERY_LOCKS, **names)
        mark = _MARK.format(
            check=self._check(), stays=self._stays(), channel=int(self.delivery.channel), delivery=self.delivery.pk,
            sending=f"'{State.SENDING}'", erroneous=int(Status.ERRONEOUS),
            **{status.counter: int(status) for status in S}, **names,
        )  # fmt: skip
        return {"lock": (_LOCK_TYPES, lock), "mark": (_MARK_TYPES, mark)}

    def _check(self) -> str:
        """Return a query that finds the person of the row `r` if no exclusion concerns them at its address."""
        channel = Channel(self.delivery.channel)
        people = with_quarantine(with_address(Profile.objects.filter(pk=PROFILE), channel, DIGEST), channel, AT)
        barred = something_applies(self._judging, MessageClass(self.delivery.message_class))
        return of_a_row(people.annotate(barred=barred).filter(barred=False).values("pk"), at="$13")

    def _stays(self) -> str:
        """Return the condition that the person of the row `r` has not left the delivery's service."""
        found = staying(PROFILE, self.delivery, self.run, at=AT)
        if found is None:
            return "true"
        query, wanted = found
        return f"{'' if wanted else 'NOT '}EXISTS ({of_a_row(query.values('pk'), at='$13')})"
