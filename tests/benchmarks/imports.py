"""How fast people are imported from a file, beside a loop that writes the same rows one line at a time.

The baseline is what one writes first: for each line of the file, in one transaction, look the address up, create or
change the profile, its addresses, the subscription and its event. It is also the oracle: on the first lines of the
file both must leave the same people, addresses, subscriptions and events. It is so slow that it reads these lines only
and is compared by line. Every run has a database of its own, a copy of the one in which 30 % of the people are already.
BENCH_PEOPLE changes the number of lines at scale 1.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from .servers import Place, place

PEOPLE = 100_000  # lines of the file, at scale 1
PART = 5_000  # lines that the baseline reads
PROGRAM = ("-m", "tests.benchmarks.importing")
# What a small server would be given; both run with the same.
TUNED = {"shared_buffers": "1GB", "work_mem": "16MB", "max_wal_size": "4GB", "random_page_cost": "1.1"}


def run(*, scale: int, repeat: int, tell: Callable[[str], object]) -> dict[str, Any]:
    """Measure; raise AssertionError unless the importer and the baseline leave the same."""
    people = int(os.environ.get("BENCH_PEOPLE", PEOPLE)) * scale
    with place(tuned=TUNED) as campaign, tempfile.TemporaryDirectory(prefix="campaign-bench-") as folder:
        whole, part = Path(folder) / "people.csv", Path(folder) / "part.csv"
        tell(f"Making a file of {people:,} people, 30 % of them in the database ...")
        campaign.manage(*PROGRAM, "make", str(people), str(whole), str(part), str(PART))
        _assert_same(campaign, part)
        tell(f"The importer and the baseline left the same of the first {PART:,} lines.")
        found: dict[str, list[dict[str, float]]] = {"importer": [], "rows": []}
        for number in range(repeat):
            for kind, file in (("importer", whole), ("rows", part)):
                with _copy(campaign, f"{kind}_{number}") as own:
                    found[kind].append(json.loads(own.manage(*PROGRAM, kind, str(file))))
            one, other = (found[kind][-1]["lines"] / found[kind][-1]["seconds"] for kind in ("importer", "rows"))
            tell(f"{one:,.0f} lines/s; the baseline {other:,.0f} lines/s")
    each = {kind: [got["seconds"] / got["lines"] for got in many] for kind, many in found.items()}
    return {
        "name": "import", "people": people, "repeat": repeat,
        "importer_s": median(got["seconds"] for got in found["importer"]),
        "rows_per_second": 1 / median(each["importer"]), "baseline_rows_per_second": 1 / median(each["rows"]),
        "speedup_over_rows": median(b / a for a, b in zip(each["importer"], each["rows"], strict=True)),
        "peak_memory_mb": max(got["memory_mb"] for got in found["importer"]),
    }  # fmt: skip


def _assert_same(campaign: Place, part: Path) -> None:
    left = []
    for kind in ("importer", "rows"):
        with _copy(campaign, f"{kind}_part") as own:
            own.manage(*PROGRAM, kind, str(part))
            left.append(json.loads(own.manage(*PROGRAM, "dump")))
    one, other = left
    assert one.keys() == other.keys()
    for name in one:
        assert one[name], f"no {name}"
        only = [row for row in one[name] if row not in other[name]][:3] if one[name] != other[name] else []
        assert one[name] == other[name], f"{name}: {only}"


@contextmanager
def _copy(campaign: Place, name: str) -> Iterator[Place]:
    """Yield a Campaign on a fresh copy of the database, in the state right after `make`."""
    base, _slash, template = campaign.environment["DATABASE_URL"].rpartition("/")
    with psycopg.connect(f"{base}/template1", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        server.execute("CHECKPOINT")  # what the copy owes to the disk is not measured
    try:
        yield replace(campaign, environment={**campaign.environment, "DATABASE_URL": f"{base}/{name}"})
    finally:
        with psycopg.connect(f"{base}/template1", autocommit=True) as server:
            server.execute(f"DROP DATABASE {name}")
