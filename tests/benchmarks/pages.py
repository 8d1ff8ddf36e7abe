"""How long the page of an analysed delivery takes, and the pages of people behind it, whatever the size of its log."""

import json
import os
from collections.abc import Callable
from typing import Any

from .analysis import TUNED
from .servers import place

ROWS = 5_000_000  # at scale 1


def run(*, scale: int, repeat: int, tell: Callable[[str], object]) -> dict[str, Any]:
    """Measure; raise RuntimeError when a page fails, counts the log, or reads it from end to end."""
    rows = int(os.environ.get("BENCH_ROWS", ROWS)) * scale
    with place(tuned=TUNED) as campaign:
        tell(f"Writing {rows:,} log rows, then asking for each page ...")
        found: dict[str, Any] = json.loads(campaign.manage("-m", "tests.benchmarks.paging", str(rows), str(repeat)))
    return found
