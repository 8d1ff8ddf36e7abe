"""How fast messages leave, with every check, against a loop that checks nothing.

In turn, in one process each, against the same receiving side (`tests.mailsink`) over the same number of connections:

    group_1, group_20      the engine: claimed one by one, or twenty together; every outcome recorded
    baseline               smtplib on reused connections, EmailMultiAlternatives, a compiled template; nothing is
                           checked or recorded
    claims, bulk_update    the database's part alone: claim and record, against select_for_update and two bulk_update
    failing                the engine with 5 % of the addresses refused, against none

A rate counts only when as many messages arrived as were recorded. BENCH_CONNECTIONS sets the connections (4).
"""

import json
import os
from collections.abc import Callable
from statistics import median
from typing import Any

from tests.mailsink import MailSink, Rule

from .servers import Place, place

MESSAGES = 6_000  # per measurement, at scale 1
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "4"))
THINGS = ("baseline", "group_1", "group_20", "bulk_update", "claims_20", "claims_500", "failing_5", "failing_0")
# Two cores and 24 GB, as the other benchmarks take them.
TUNED = {"shared_buffers": "1GB", "max_wal_size": "4GB"}


def run(*, scale: int, repeat: int, tell: Callable[[str], object]) -> dict[str, Any]:
    """Measure; raise AssertionError when what arrived is not what was recorded."""
    messages = MESSAGES * scale
    rates: dict[str, list[float]] = {name: [] for name in THINGS}
    with place(tuned=TUNED) as campaign, MailSink() as sink:
        campaign.environment.update({"EMAIL_URL": sink.url, "PAUSE_HARD_PERCENT": "100"})
        tell(f"Making {messages:,} subscribers ...")
        campaign.manage("-m", "tests.benchmarks.sending_parts", "make", str(messages))
        sink.script(Rule("RCPT", recipient="^refused", answer="550 5.1.1 No such user"))
        for number in range(repeat):
            # The order turns, so that none of them always has the warmest machine.
            for name in THINGS[number % 2 :] + THINGS[: number % 2]:
                rates[name].append(_measure(campaign, sink, name))
                tell(f"{name:<12} {rates[name][-1]:>10,.0f}/s")
    ratios = {
        f"{name}_to_baseline": median(a / b for a, b in zip(rates[name], rates["baseline"], strict=True))
        for name in ("group_1", "group_20")
    }
    for name in ("claims_20", "claims_500"):
        ratios[f"{name}_to_bulk_update"] = median(a / b for a, b in zip(rates[name], rates["bulk_update"], strict=True))
    ratios["failing_5_to_0"] = median(a / b for a, b in zip(rates["failing_5"], rates["failing_0"], strict=True))
    return {
        "name": "sending", "messages": messages, "repeat": repeat, "connections": CONNECTIONS,
        **{f"{name}_per_second": median(found) for name, found in rates.items()}, **ratios,
    }  # fmt: skip


def _measure(campaign: Place, sink: MailSink, name: str) -> float:
    """Return how many messages (or rows) a second, having compared what was recorded with what arrived."""
    before = len(sink.accepted())
    found = json.loads(campaign.manage("-m", "tests.benchmarks.sending_parts", name, str(CONNECTIONS)).splitlines()[-1])
    arrived = len(sink.accepted()) - before
    assert arrived == found["left"], (name, arrived, found)
    return float(found["number"] / found["seconds"])
