"""A sample of the faults (`make faults`), drawn the same each time: nothing is lost, nothing is sent twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.site import ROOT

SAMPLE = {"F4": 1, "F10": 1, "F13": 5, "F15": 3}

# On servers of its own: it needs the moments of commits, and sets the environment of all that it starts.
pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_whatever_breaks_nothing_is_lost_or_doubled_and_the_delivery_ends(tmp_path: Path) -> None:
    board = tmp_path / "faults.jsonl"
    wanted = ",".join(f"{code}:{times}" for code, times in SAMPLE.items())
    command = [sys.executable, "-m", "tests.faults.run", "--only", wanted, "--seed", "sample", "--board", str(board)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in board.read_text().splitlines()]
    assert {line["fault"]: line["struck"] for line in lines} == SAMPLE
    for line in lines:
        verdict = line["verdict"]
        assert [verdict[name] for name in ("violations", "lost", "doubled", "mistaken")] == [0, 0, 0, 0]
        assert verdict["balanced"]
        assert verdict["ended"]
        assert verdict["in_doubt"] <= line["may_be_in_doubt"]
    by_fault = {line["fault"]: line["verdict"] for line in lines}
    assert by_fault["F4"]["in_doubt"] > 0, "the message whose acceptance nobody has recorded"
    assert by_fault["F15"]["in_doubt"] == SAMPLE["F15"]
