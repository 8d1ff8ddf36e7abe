"""Break everything on purpose while a delivery is sent, and see that nothing is lost and nothing is sent twice.

    make faults                               each fault 20 times, at drawn instants
    make faults ARGS="--only F4,F6 --times 5"
    make faults ARGS="--only F4:2,F6:1"
    make faults ARGS="--table"                what is known of this version, as a table

Real processes: PostgreSQL, Valkey, a beat, Celery workers, and a mail sink that writes down what it accepts. The sink
and the database are compared in the end, person by person. Some people opt out meanwhile, and PostgreSQL says whether
a claim came after (`race`). The scoreboard is var/faults.jsonl: what it has for this version is not done again, unless
`--again` is given. `--seed` draws other instants.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.site import ROOT, Site, site

BOARD = ROOT / "var" / "faults.jsonl"
CODE = ("campaign", "deliveries", "quarantine", "profiles", "tests/faults", "tests/mailsink")


@dataclass
class Line:
    """One run as the scoreboard has it."""

    version: str
    at: str
    fault: str
    name: str
    run: int
    seed: str
    struck: int
    seconds: float
    resumed: int
    may_be_in_doubt: int
    verdict: dict[str, Any]
    wrong: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def version() -> str:
    """Return the last commit that touched what is tested."""
    told = subprocess.run(["git", "log", "-1", "--format=%h", "--", *CODE], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


def play(place: Site, code: str, *, number: int, seed: str, times: int) -> Line:
    """Run one fault once."""
    from tests.faults import catalogue, population, scene

    fault = next(fault for fault in catalogue.FAULTS if fault.code == code)
    chance = random.Random(f"{seed} {code} {number}")
    place.whole_again()
    on = scene.Scene(place, chance, population.make(fault.people), min(times, fault.at_once))
    on.rules()
    with population.opting_out(on.delivery, chance):
        fault.play(on)
        if not on.wait_for_the_end():
            on.remarks.append("did not end")
    seconds = time.monotonic() - on.began
    found = population.judge(on.delivery, place.sink)
    if not found.ended:
        place.end_workers()
        population.give_up(on.delivery)
    wrong = [name for name in ("violations", "lost", "doubled", "mistaken") if getattr(found, name)]
    wrong += [name for name in ("balanced", "ended") if not getattr(found, name)]
    wrong += ["in doubt"] if found.in_doubt > on.doubtful else []
    wrong += ["refused"] if found.refused > on.refusals else []
    wrong += [remark for remark in on.remarks if not re.match(r"ended in|\d+ tasks", remark)]
    return Line(
        version(), time.strftime("%Y-%m-%d %H:%M"), code, fault.name, number, seed, on.struck, round(seconds, 1),
        on.resumed, on.doubtful, asdict(found), wrong, on.remarks,
    )  # fmt: skip


def known(board: Path, *, of: str, seed: str = "") -> list[dict[str, Any]]:
    """Return what the scoreboard has for a version and a seed (all seeds, when empty)."""
    if not board.exists():
        return []
    lines = [json.loads(line) for line in board.read_text().splitlines()]
    return [line for line in lines if line["version"] == of and (not seed or line["seed"] == seed)]


def table(lines: Iterable[dict[str, Any]]) -> str:
    """Return a scoreboard as a table in Markdown, one line per fault."""
    rows: dict[str, dict[str, Any]] = {}
    for line in lines:
        row = rows.setdefault(line["fault"], {"name": line["name"], "runs": 0, "struck": 0, "seconds": 0.0, "ended": 0,
                                              "resumed": 0, "may": 0, "wrong": 0, "people": 0, "violations": 0,
                                              "lost": 0, "doubled": 0, "in_doubt": 0})  # fmt: skip
        row["runs"] += 1
        row["wrong"] += bool(line["wrong"])
        row["may"] += line["may_be_in_doubt"]
        for name in ("struck", "seconds", "resumed"):
            row[name] += line[name]
        for name in ("people", "violations", "lost", "doubled", "in_doubt", "ended"):
            row[name] += line["verdict"][name]
    heads = ("fault", "times", "messages", "after an opt-out", "lost", "doubled", "in doubt (at most)",
             "ended by itself", "s")  # fmt: skip
    told = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for code, row in sorted(rows.items(), key=lambda pair: int(pair[0][1:])):
        by_itself = f"{row['ended']} of {row['runs']}" + (f", resumed {row['resumed']}" if row["resumed"] else "")
        told.append(
            f"| {code} {row['name']} | {row['struck']} | {row['people']:,} | {row['violations']} | {row['lost']} "
            f"| {row['doubled']} | {row['in_doubt']} ({row['may']}) | {by_itself} | {row['seconds']:.0f} |"
        )
    return "\n".join(told)


def main() -> None:
    given = _arguments()
    if given.table:
        sys.stdout.write(table(known(given.board, of=version())) + "\n")
        return
    done = {} if given.again else _struck(known(given.board, of=version(), seed=given.seed))
    with site() as place:
        wrong = sum(bool(line.wrong) for line in _play_all(place, given, done))
    sys.stdout.write("\n" + table(known(given.board, of=version(), seed=given.seed)) + "\n")
    if wrong:
        sys.exit(f"{wrong} runs went wrong.")


def _play_all(place: Site, given: argparse.Namespace, done: dict[str, tuple[int, int]]) -> Iterator[Line]:
    """Yield the runs that are wanted and not done yet, as they end."""
    import django

    django.setup()
    from django.db import connection

    from tests.faults import catalogue
    from tests.faults.racing import WITNESSES

    with connection.cursor() as cursor:
        cursor.execute(WITNESSES)
    for fault in catalogue.FAULTS:
        if given.only and fault.code not in given.only:
            continue
        times = given.only.get(fault.code) or given.times
        struck, number = done.get(fault.code, (0, 0))
        tries = number + 2 * times
        while struck < times and number < tries:
            number += 1
            line = play(place, fault.code, number=number, seed=given.seed, times=times - struck)
            struck += line.struck
            _keep(line, place, given.board)
            yield line
        place.end_workers()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Break everything on purpose while a delivery is sent.")
    parser.add_argument("--only", type=_chosen, default={}, help="F1,F4:3,... (F4 three times)")
    parser.add_argument("--times", type=int, default=20, help="how often each fault strikes")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--board", type=Path, default=BOARD)
    parser.add_argument("--again", action="store_true", help="also what the scoreboard has")
    parser.add_argument("--table", action="store_true", help="show the scoreboard of this version, and end")
    return parser.parse_args()


def _chosen(text: str) -> dict[str, int]:
    """Read F1,F4:3 as faults, each with how often it is to strike (0: as often as the others)."""
    pairs = (part.partition(":") for part in text.split(","))
    return {code: int(times or 0) for code, _colon, times in pairs}


def _struck(lines: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Return how often each fault has struck, and the number of its last run."""
    found: dict[str, tuple[int, int]] = {}
    for line in lines:
        struck, number = found.get(line["fault"], (0, 0))
        found[line["fault"]] = struck + line["struck"], max(number, line["run"])
    return found


def _keep(line: Line, place: Site, board: Path) -> None:
    """Add a run to the scoreboard; when it went wrong, keep what the processes have said."""
    board.parent.mkdir(exist_ok=True)
    with board.open("a") as lines:
        lines.write(json.dumps(asdict(line)) + "\n")
    verdict = {name: value for name, value in line.verdict.items() if name not in ("balanced", "ended")}
    sys.stdout.write(f"{line.fault} #{line.run} struck {line.struck} in {line.seconds} s {verdict} {line.remarks}\n")
    if line.wrong:
        kept = board.parent / "faults" / f"{line.version}-{line.seed}-{line.fault}-{line.run}"
        kept.mkdir(parents=True, exist_ok=True)
        for log in place.folder.glob("*.log"):
            (kept / log.name).write_bytes(log.read_bytes())
        sys.stdout.write(f"   WRONG: {', '.join(line.wrong)}; logs in {kept}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
