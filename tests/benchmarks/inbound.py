"""How many reports a second one process takes from a folder: reads, matches to messages, and acts on, on PostgreSQL.

In turn with it, what reading alone costs: the same files, read and understood, and nothing looked up. What was
written is checked, and that a second time changes nothing.
"""

import json
import tempfile
from collections.abc import Callable
from statistics import median
from typing import Any

from .servers import Place, place

REPORTS = 20_000  # per round, at scale 1
TUNED = {"shared_buffers": "512MB", "max_wal_size": "4GB"}


def run(*, scale: int, repeat: int, tell: Callable[[str], object]) -> dict[str, Any]:
    """Measure; raise AssertionError when what the database holds is not what the reports said."""
    number = REPORTS * scale
    found: dict[str, list[dict[str, float]]] = {"receive": [], "understand": [], "again": []}
    with place(tuned=TUNED) as campaign, tempfile.TemporaryDirectory(prefix="campaign-inbound-") as folder:
        tell(f"Making {number * repeat:,} messages that were sent ...")
        _part(campaign, "make", str(number * repeat))
        for turn in range(repeat):
            _part(campaign, "write", folder, str(turn), str(number))
            # The order turns, so that neither always has the warmest machine.
            for name in ["understand", "receive"][:: 1 if turn % 2 else -1]:
                found[name].append(_part(campaign, name, folder, str(turn)))
                tell(f"{name:<12} {found[name][-1]['per_second']:>8,.0f}/s")
            found["again"].append(_part(campaign, "receive", folder, str(turn)))
        checked = _part(campaign, "check")
        tell(f"checked: {checked}")
    rates = {name: [one["per_second"] for one in rounds] for name, rounds in found.items()}
    return {
        "name": "inbound", "reports": number, "repeat": repeat,
        "per_second": median(rates["receive"]),
        "understood_per_second": median(rates["understand"]),
        "again_per_second": median(rates["again"]),
        "ratio_to_understanding": median(a / b for a, b in zip(rates["receive"], rates["understand"], strict=True)),
        "most_memory_mb": max(one["memory_mb"] for one in found["receive"]), **checked,
    }  # fmt: skip


def _part(campaign: Place, *arguments: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(campaign.manage("-m", "tests.benchmarks.inbound_parts", *arguments))
    return found
