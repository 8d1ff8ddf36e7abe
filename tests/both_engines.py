"""Run the tests on SQLite and on PostgreSQL, side by side where there are two processors; arguments go to pytest.

    python -m tests.both_engines [pytest arguments]

PostgreSQL's output is shown as it comes, SQLite's when both are done. Each takes one processor, so that together they
take half the time. Some tests run once then, beside SQLite: those that drive a browser, for they are about screens, and
those that ask no database. Interactive options (--pdb, -s) make them run one after the other.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

INTERACTIVE = {"-s", "--pdb", "--capture=no", "--trace"}


def main(arguments: Sequence[str]) -> int:
    """Return 0 when both runs passed, else 1."""
    if (os.cpu_count() or 1) < 2 or INTERACTIVE & set(arguments):
        codes = [subprocess.call(_command(arguments), env=_environment(engine)) for engine in ("sqlite", "postgres")]
        return int(any(codes))
    print("Testing on SQLite (shown at the end), and on PostgreSQL and Valkey from two wheels ...", flush=True)
    with tempfile.TemporaryFile("w+") as kept:
        beside = subprocess.Popen(
            _command(arguments), env=_environment("sqlite"), stdout=kept, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            without_browser = [] if {"-m", "-k"} & set(arguments) else ["-m", "not browser"]
            code = subprocess.call(
                _command([*arguments, *without_browser]), env=_environment("postgres", SQLITE_BESIDE="1")
            )
            other = beside.wait()
        finally:
            beside.terminate()
        kept.seek(0)
        print("\nOn SQLite:", kept.read(), sep="\n", flush=True)
    return int(bool(code or other))


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", *arguments]


def _environment(engine: str, **more: str) -> dict[str, str]:
    return {**os.environ, "TEST_ENGINE": engine, **more}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
