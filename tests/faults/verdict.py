"""How PostgreSQL tells whether a suppression or a claim came first; see `race`."""

# Both sides of a tie are told: a claim is taken to come after a suppression of the same microsecond.
VERDICT = """
WITH claim AS (SELECT log, profile, digest, pg_xact_commit_timestamp(xmin) AS at FROM race_claim),
suppression AS (SELECT kind, profile, digest, pg_xact_commit_timestamp(xmin) AS at FROM race_suppression),
met AS (
  SELECT s.kind, c.log, s.at AS suppressed_at, c.at AS claimed_at
  FROM suppression s JOIN claim c ON c.profile = s.profile
  UNION ALL
  SELECT s.kind, c.log, s.at, c.at FROM suppression s JOIN claim c ON c.digest = s.digest
)
SELECT m.kind, m.log, l.address, m.suppressed_at, m.claimed_at FROM met m JOIN deliveries_deliverylog l ON l.id = m.log
"""
