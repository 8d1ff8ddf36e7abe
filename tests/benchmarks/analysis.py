"""How long the analysis of a delivery takes, beside the cost of writing its log at all and beside a plain loop.

BENCH_PEOPLE changes the number of people at scale 1, BENCH_ENGINE=sqlite the database.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from .servers import place

PEOPLE = 1_000_000  # at scale 1
# A server of 16 GB; the floor runs with the same.
TUNED = {
    "shared_buffers": "4GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "8GB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
}


def run(*, scale: int, repeat: int, tell: Callable[[str], object]) -> dict[str, Any]:
    """Measure; raise RuntimeError when a count is wrong or the loop gives somebody another row."""
    people = int(os.environ.get("BENCH_PEOPLE", PEOPLE)) * scale
    with place(tuned=TUNED, sqlite=os.environ.get("BENCH_ENGINE") == "sqlite") as campaign:
        tell(f"Making {people:,} people, then analysing {repeat} times ...")
        found: dict[str, Any] = json.loads(
            campaign.manage("-m", "tests.benchmarks.analysing", str(people), str(repeat))
        )
    return found
