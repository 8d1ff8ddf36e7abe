"""How long the list of addresses left out takes, narrowed in every way, and how fast a list is imported."""

import json
import os
from collections.abc import Callable
from typing import Any

from .analysis import TUNED
from .servers import place

ROWS, LINES = 5_000_000, 50_000  # at scale 1


def run(*, scale: int, repeat: int, tell: Callable[[str], object]) -> dict[str, Any]:
    """Measure; raise RuntimeError when a page fails, counts the addresses, or reads all of them."""
    rows, lines = int(os.environ.get("BENCH_ROWS", ROWS)) * scale, int(os.environ.get("BENCH_PEOPLE", LINES)) * scale
    with place(tuned=TUNED) as campaign:
        tell(f"Importing {lines:,} addresses, adding {rows:,}, then asking for each page ...")
        asked = ("-m", "tests.benchmarks.listing", str(rows), str(lines), str(repeat))
        found: dict[str, Any] = json.loads(campaign.manage(*asked))
    return found
