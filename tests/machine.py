"""Run the state machine of sending for as many steps as asked, in the background, and keep score.

    python -m tests.machine --steps 1000000 [--engine postgres] [--foreground]

The scoreboard is a file with one line of JSON for each piece of the run: seed, steps, seconds, engine, commit, and how
it ended. Steps that it holds already count, so that a run that was interrupted goes on. What a piece that failed said
is kept beside it; `MACHINE_SEED=… MACHINE_SHRINK=1` and the test then show the same failure, made short.
"""

import argparse
import json
import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEST = "tests/deliveries/test_sending_machine.py"
PIECE = 10_000  # steps in one process
STEPS_DONE = re.compile(r"^\d+: (\d+) steps", re.MULTILINE)


def main() -> int:
    """Start the run and return at once, or run it."""
    parser = argparse.ArgumentParser(prog="make machine", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000_000, help="steps that the scoreboard is to hold")
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--scoreboard", type=Path, default=ROOT / "var" / "machine.jsonl")
    parser.add_argument("--foreground", action="store_true", help="stay until the end")
    asked = parser.parse_args()
    asked.scoreboard.parent.mkdir(parents=True, exist_ok=True)
    if asked.foreground:
        return run(asked.steps, asked.engine, asked.scoreboard)
    command = [sys.executable, "-m", "tests.machine", *sys.argv[1:], "--foreground"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    print(f"Running as process {process.pid}, at low priority. Scoreboard: {asked.scoreboard}")
    return 0


def run(steps: int, engine: str, scoreboard: Path) -> int:
    """Run pieces until the scoreboard holds so many steps; return 1 when one of this run failed."""
    os.nice(19)
    failed = 0
    while (left := steps - done(scoreboard, engine)) > 0:
        line, told = piece(min(left, PIECE), engine)
        with scoreboard.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if line["outcome"] != "passed":
            failed = 1
            scoreboard.with_name(f"{scoreboard.stem}-{line['seed']}.txt").write_text(told)
            if not line["steps"]:  # it does not even begin: going on would never end
                break
    return failed


def done(scoreboard: Path, engine: str) -> int:
    """Return how many steps a scoreboard holds for an engine."""
    if not scoreboard.exists():
        return 0
    lines = [json.loads(line) for line in scoreboard.read_text().splitlines()]
    return sum(line["steps"] for line in lines if line["engine"] == engine)


def piece(steps: int, engine: str) -> tuple[dict[str, object], str]:
    """Run so many steps in a process of their own; return the line of the scoreboard and what was printed."""
    number, began = secrets.randbelow(2**32), time.monotonic()
    environment = {
        **os.environ, "TEST_ENGINE": engine, "MACHINE_SEED": str(number), "MACHINE_STEPS": str(steps),
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", TEST, "-q", "-s", "-p", "no:randomly", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    rounds = STEPS_DONE.findall(ended.stdout)
    line = {
        "seed": number, "steps": int(rounds[-1]) if rounds else 0, "seconds": round(time.monotonic() - began),
        "engine": engine, "commit": commit(), "outcome": "failed" if ended.returncode else "passed",
    }  # fmt: skip
    return line, ended.stdout + ended.stderr


def commit() -> str:
    """Return the short name of the code's version, or nothing outside of a repository."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
