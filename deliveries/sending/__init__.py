"""Sending: leases of log rows, and for each message a claim, a hand-off and its outcome.

    row: pending | retry --claim--> handing_off --record--> sent | failed | retry | in_doubt
                         \\--claim--> suppressed (the gate said no)

A claim is a short transaction of its own, per message, and nothing is handed over before it has committed. A worker
that dies in between leaves a row in `handing_off`; whoever takes its lease next marks it `in_doubt`, and never sends
it again by itself (the policy of the delivery may say so). Counts live on the lease and move with the row, and a
constraint keeps their sum equal to its size.
"""

from .leases import record, take_lease, to_ring_again
from .moves import ensure_ready, pause, resume, start, stop
from .worker import work

__all__ = [
    "ensure_ready",
    "pause",
    "record",
    "resume",
    "start",
    "stop",
    "take_lease",
    "to_ring_again",
    "work",
]
