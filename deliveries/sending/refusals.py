"""Why rows may not leave, and marking them so, on PostgreSQL: two round trips, whatever their number.

No lock is needed for it. That somebody may not be written to was true when it was read, and a message that does not
leave breaks no promise; one that nothing forbids any more by then is left to the portable claim, which locks.
"""

from collections.abc import Sequence
from datetime import datetime

from profiles.channels import Channel
from profiles.models import Profile
from quarantine.models import Cause, QuarantinedAddress

from ..exclusions import (
    QUARANTINE_REASONS,
    Judging,
    Verdict,
    reasons_expression,
    reasons_of,
    with_address,
    with_quarantine,
)
from ..gate import refusal, staying
from ..models import AnalysisRun, Delivery, DeliveryLog, Lease, LogStatus, MessageClass, Reason, RunReason
from .statements import AT, DIGEST, PROFILE, Statements, instant, numbers, octets, of_a_row

S = LogStatus

# $1-$3 rows: id, profile, digest. $4 now.
_WHY = """
SELECT r.id, v.bits, ({cause}), ({stays})
FROM unnest($1, $2, $3) AS r(id, profile, digest) LEFT JOIN LATERAL ({verdict}) v ON true
"""
_WHY_TYPES = "bigint[], bigint[], bytea[], timestamptz"

# $1-$3 rows: id, status before, reason. $4 now, $5 lease, $6 its owner.
_LOCK = "SELECT 1 FROM {lease} WHERE id = $1 FOR NO KEY UPDATE"
_LEAVE_OUT = """
WITH marked AS (
  UPDATE {log} g SET status = {suppressed}, reason = t.reason, finished_at = $4
  FROM unnest($1, $2, $3) AS t(id, before, reason)
  WHERE g.id = t.id AND g.status = t.before
  AND EXISTS (SELECT 1 FROM {lease} WHERE id = $5 AND owner = $6 AND expires_at > $4)
  RETURNING g.id, t.before, t.reason
), counted AS (
  UPDATE {lease} l SET suppressed = l.suppressed + c.n, pending = l.pending - c.pending, retry = l.retry - c.retry
  FROM (
    SELECT count(*) AS n, count(*) FILTER (WHERE before = {pending}) AS pending,
      count(*) FILTER (WHERE before = {retry}) AS retry FROM marked
  ) c
  WHERE l.id = $5 AND c.n > 0
), told AS (
  INSERT INTO {run_reason} AS w (run_id, reason, first, in_all, since)
  SELECT {run}, reason, 0, 0, count(*) FROM marked GROUP BY reason ORDER BY reason
  ON CONFLICT (run_id, reason) DO UPDATE SET since = w.since + excluded.since
)
SELECT array_agg(id) FROM marked
"""
_LEAVE_OUT_TYPES = "bigint[], smallint[], smallint[], timestamptz, bigint, text"


class PreparedRefusals:
    """Marks rows of one run's leases as left out."""

    def __init__(self, delivery: Delivery, run: AnalysisRun, judging: Judging) -> None:
        self.delivery, self.run, self.judging = delivery, run, judging
        self._prepared = Statements(self._sources)

    def leave_out(self, lease: Lease, rows: Sequence[DeliveryLog], *, at: datetime) -> list[DeliveryLog]:
        """Mark those that something forbids; return the others. Raises DatabaseError."""
        whom = numbers(row.pk for row in rows), numbers(row.profile_id for row in rows)
        digests = octets(bytes(row.digest or b"") for row in rows)
        found = self._prepared.lines({"why": f"{', '.join(whom)}, {digests}, {instant(at)}"})
        reasons = {int(line[0] or 0): _reason(*line) for line in found}
        refused = [row for row in rows if reasons.get(row.pk)]
        if not refused:
            return list(rows)
        marks = ", ".join((
            numbers(row.pk for row in refused),
            numbers(row.status for row in refused),
            numbers(reasons[row.pk] for row in refused),
            f"{instant(at)}, {lease.pk}, '{lease.owner}'",
        ))  # fmt: skip
        [marked] = self._prepared.run({"lock": str(lease.pk), "leave_out": marks})
        done = set(marked[1:-1].split(b",")) if marked else set()
        return [row for row in rows if str(row.pk).encode() not in done]

    def _sources(self) -> dict[str, tuple[str, str]]:
        """Return the types of the arguments of each statement, and its text."""
        channel = Channel(self.delivery.channel)
        people = with_quarantine(with_address(Profile.objects.filter(pk=PROFILE), channel, DIGEST), channel, AT)
        bits = reasons_expression(self.judging, MessageClass(self.delivery.message_class))
        entries = QuarantinedAddress.objects.blocking(AT).filter(channel=channel, digest=DIGEST).order_by("cause")
        tables = {"log": DeliveryLog, "lease": Lease, "run_reason": RunReason}
        names = {name: model._meta.db_table for name, model in tables.items()}
        why = _WHY.format(
            verdict=of_a_row(people.annotate(bits=bits).values("bits"), at="$4"),
            cause=of_a_row(entries.values("cause")[:1], at="$4"), stays=self._stays(),
        )  # fmt: skip
        leave_out = _LEAVE_OUT.format(run=self.run.pk, **{status.counter: int(status) for status in S}, **names)
        return {
            "why": (_WHY_TYPES, why),
            "lock": ("bigint", _LOCK.format(**names)),
            "leave_out": (_LEAVE_OUT_TYPES, leave_out),
        }

    def _stays(self) -> str:
        found = staying(PROFILE, self.delivery, self.run, at=AT)
        if found is None:
            return "true"
        query, wanted = found
        return f"{'' if wanted else 'NOT '}EXISTS ({of_a_row(query.values('pk'), at='$4')})"


def _reason(_row: bytes | None, bits: bytes | None, cause: bytes | None, stays: bytes | None) -> Reason:
    """Return the reason that a line of the answer gives, or NONE."""
    found = None if bits is None else Verdict(0, reasons_of(int(bits)), "", None)
    quarantined = QUARANTINE_REASONS[Cause(int(cause))] if cause else Reason.NONE
    return refusal(found, quarantined=lambda: quarantined, left=lambda: stays != b"t")
