"""What the demonstration says: plain lines, each long step with its reason and, at its end, how long it took."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

WIDTH = 72
EVERY = 10.0  # seconds between two lines of progress where a line cannot be written over


class Console:
    """Writes to a stream; on a terminal, progress is written over itself."""

    def __init__(self, write: Callable[[str], None], *, terminal: bool = False) -> None:
        self._write, self._terminal = write, terminal
        self._last_progress = 0.0
        self._unfinished = False

    def say(self, text: str = "") -> None:
        self._end_progress()
        self._write(f"{text}\n")

    def lines(self, text: str) -> None:
        """Write each line of a text, indented."""
        for line in text.splitlines():
            self.say(f"  {line}")

    @contextmanager
    def step(self, title: str, why: str = "") -> Iterator[None]:
        """Announce a step and why it takes its time; say how long it took once it is done."""
        self.say()
        self.say(f"{title} ...")
        if why:
            self.lines(why)
        begun = self._last_progress = time.monotonic()
        yield
        self.say(f"  Done in {time.monotonic() - begun:.1f} s.")

    def progress(self, text: str) -> None:
        """Show how far something got."""
        if self._terminal:
            self._write(f"\r  {text:<{WIDTH}}")
            self._unfinished = True
        elif time.monotonic() - self._last_progress > EVERY:
            self._write(f"  {text}\n")
            self._last_progress = time.monotonic()

    def table(self, rows: Iterable[tuple[str, int]]) -> None:
        """Write labels and numbers, aligned."""
        found = list(rows)
        width = max(len(label) for label, _number in found)
        for label, number in found:
            self.say(f"  {label:<{width}}  {number:>8,}")

    def _end_progress(self) -> None:
        if self._unfinished:
            self._write("\n")
            self._unfinished = False
