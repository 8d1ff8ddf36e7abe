"""Spoil messages that come back in thousands of ways, and see that each is read: without exception, fast, in no space.

    make fuzz                                    100,000 mutants; what this version has already seen counts
    make fuzz ARGS="--number 1000000 --seed 2"   more, and others
    make fuzz ARGS="--again 4711"                one of them once more, with its traceback

Nothing stands above the parser here: any exception is a failure, as is a call that takes more than two seconds of
processor time or 200 MB, or that returns what a database would refuse. The message is kept in var/fuzz/ with what
happened. The scoreboard is var/fuzz.jsonl, one line a thousand mutants; stop it at any time, it goes on from there.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quarantine.inbound.reports import Finding

ROOT = Path(__file__).resolve().parents[1]
BOARD = ROOT / "var" / "fuzz.jsonl"
CODE = (":(glob)quarantine/*.py", "quarantine/inbound", "profiles/tokens.py", "tests/quarantine", "tests/fuzz.py")
PIECE = 1_000  # mutants on one line of the scoreboard
SECONDS = 2.0  # of processor time, for one message
MEGABYTES = 200
ACTIONS = {"", "failed", "delayed", "delivered", "relayed", "expanded"}
_TO_MEGABYTES = 1_000_000 if sys.platform == "darwin" else 1_000  # what getrusage counts in


class TooSlow(Exception):
    """Raised within a call that takes more processor time than it may."""


@dataclass
class Line:
    """A piece of the run as the scoreboard has it; `failures` are numbers of mutants."""

    version: str
    seed: str
    first: int
    number: int
    at: str
    seconds: float = 0.0
    slowest: float = 0.0
    megabytes: int = 0
    failures: list[int] = field(default_factory=list)


def version() -> str:
    """Return the last commit that touched what is tested."""
    told = subprocess.run(["git", "log", "-1", "--format=%h", "--", *CODE], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


def failure_of(raw: bytes) -> tuple[str, float]:
    """Return what goes wrong when a message is read (empty: nothing), and how many seconds it took."""
    from quarantine.inbound.reports import understand

    before, began = _peak(), time.process_time()
    try:
        with _deadline():
            finding = understand(raw)
    except Exception:  # noqa: BLE001 (whatever it is, it is what is looked for)
        return traceback.format_exc(), time.process_time() - began
    took = time.process_time() - began
    if _peak() - before > MEGABYTES:
        return f"It took {_peak() - before} MB.", took
    if took > SECONDS:
        return f"It took {took:.1f} s.", took
    return wrong_with(finding), took


def wrong_with(finding: "Finding") -> str:
    """Say what of a finding breaks its contract, or could not be stored."""
    texts = [*finding.return_paths, *finding.message_ids]
    for one in finding.recipients:
        texts += [one.address, one.diagnostic]
        if not one.address or one.action not in ACTIONS or len(one.diagnostic) > 500:
            return f"no recipient: {one!r}"
        if any(char < " " or char == "\x7f" for char in one.address + one.diagnostic):
            return f"control characters: {one!r}"
    # Neither engine takes half a surrogate pair, and PostgreSQL no NUL.
    return next((f"cannot be stored: {text!r}" for text in texts if "\0" in text or _surrogates(text)), "")


def _surrogates(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _peak() -> int:
    """Return the most memory that this process ever had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _TO_MEGABYTES


@contextmanager
def _deadline() -> Iterator[None]:
    """Break off what takes too long, in a regular expression too: those look for signals."""

    def ring(*_signal: Any) -> None:
        raise TooSlow(f"It took more than {2 * SECONDS} s.")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, 2 * SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def play(of: str, seed: str, first: int, number: int, kept: Path) -> Line:
    """Read a piece of the mutants with the version that was loaded, and keep those that go wrong in a folder."""
    from tests.quarantine.mutants import mutant

    line = Line(of, seed, first, number, time.strftime("%Y-%m-%d %H:%M"))
    for index in range(first, first + number):
        done, raw = mutant(seed, index)
        wrong, took = failure_of(raw)
        line.seconds += took
        line.slowest = max(line.slowest, took)
        if wrong:
            line.failures.append(index)
            kept.mkdir(parents=True, exist_ok=True)
            (kept / f"{line.version}-{seed}-{index}.eml").write_bytes(raw)
            (kept / f"{line.version}-{seed}-{index}.txt").write_text(f"{done}\n\n{wrong}\n")
    line.megabytes = _peak()
    line.seconds, line.slowest = round(line.seconds, 2), round(line.slowest, 3)
    return line


def known(board: Path, *, of: str, seed: str) -> list[dict[str, Any]]:
    """Return what the scoreboard has for a version and a seed."""
    if not board.exists():
        return []
    lines = [json.loads(line) for line in board.read_text().splitlines()]
    return [line for line in lines if line["version"] == of and line["seed"] == seed]


def fuzz(number: int, seed: str, board: Path) -> int:
    """Read as many mutants as the scoreboard lacks; return how many failed, those that it has included."""
    loaded = version()  # a commit made meanwhile is not what runs
    before = known(board, of=loaded, seed=seed)
    done, failed = sum(line["number"] for line in before), sum(len(line["failures"]) for line in before)
    while done < number:
        line = play(loaded, seed, done, min(PIECE, number - done), board.parent / "fuzz")
        board.parent.mkdir(exist_ok=True)
        with board.open("a") as lines:
            lines.write(json.dumps(asdict(line)) + "\n")
        done, failed = done + line.number, failed + len(line.failures)
        sys.stdout.write(
            f"{done:,} of {number:,}: {failed} failed; the slowest of the last took {line.slowest * 1000:.0f} ms, "
            f"all of them {line.seconds:.1f} s\n"
        )
        sys.stdout.flush()
    sys.stdout.write(f"{done:,} mutants of {loaded}: {failed} failed. Scoreboard: {board}\n")
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=100_000, help="mutants that the scoreboard is to hold")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--again", type=int, help="the number of one mutant to read again")
    given = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    if given.again is not None:
        from tests.quarantine.mutants import mutant

        done, raw = mutant(given.seed, given.again)
        sys.stdout.write(f"{done}\n{failure_of(raw)[0] or 'Nothing goes wrong.'}\n")
        return
    try:
        failed = fuzz(given.number, given.seed, BOARD)
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on from here.")
    if failed:
        sys.exit(f"{failed} failed; they are in {BOARD.parent / 'fuzz'}.")


if __name__ == "__main__":
    main()
