"""A fast SMTP server that accepts everything, writes down what it accepted, and misbehaves on request.

    with MailSink() as sink:                                  # a process of its own, on a free port of loopback
        settings.EMAIL_HOST, settings.EMAIL_PORT = sink.host, sink.port
        sink.script(Rule("RCPT", recipient="slow@", answer="451 4.7.1 Try again later", probability=0.3))
        ...
        sink.recipients                                       # who was written to, in the order of acceptance

`tests.sink` is easier to ask from inside a test; this one is for measuring and for killing the other side: each
message is in the log before its answer is on the wire, so a killed client cannot hide one that was accepted.

Alone: `python -m tests.mailsink --port 2525 --log accepted.tsv`. It prints its port, then reads one JSON object a line:
`{"rules": [{"verb": "RCPT", "answer": "451 wait"}]}` replaces the rules, `{"stats": true}` prints counts.
"""

import collections
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Rule:
    """One misbehaviour. The first rule that fits a moment of the dialogue decides; without one, all goes well.

    `verb`: CONNECT, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, END (the final dot), RSET, NOOP or QUIT.
    `recipient`: a regular expression; such a rule fits at RCPT, DATA and END only.
    `answer`: "451 4.7.1 Wait"; several lines make a multi-line answer. `raw`: sent as it stands, for malformed ones.
    `drop`: "before" or "after" the answer, or "reset" (RST instead of FIN, before the answer).
    `accept`: whether a message whose answer is dropped, held back or malformed counts as accepted (END only).
    """

    verb: str
    recipient: str = ""
    probability: float = 1.0
    count: int | None = None  # at most so many times
    delay: float | tuple[float, float] = 0  # milliseconds, or the least and the most of them
    answer: str = ""
    raw: str = ""
    drop: str = ""
    hang: bool = False
    trickle: float = 0  # seconds before each byte of the answer
    accept: bool = True


@dataclass(frozen=True)
class Accepted:
    """One accepted message for one recipient, as the log has it."""

    number: int
    at_ns: int
    recipient: str
    size: int
    message_id: str
    sender: str


class MailSink:
    """The server as a process of its own, seen from a test. `options` are those of the command line."""

    host = "127.0.0.1"

    def __init__(self, *rules: Rule, keep: bool = False, **options: str | float | bool) -> None:
        self.rules, self.options, self.keep = rules, options, keep
        self.port = int(options.pop("port", 0))
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.folder = tempfile.TemporaryDirectory(prefix="mailsink-", ignore_cleanup_errors=True)
        self.log = Path(self.folder.name, "accepted.tsv")
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self.folder.cleanup()

    @property
    def url(self) -> str:
        """The value of EMAIL_URL that leads here."""
        return f"smtp://{self.host}:{self.port}"

    def start(self) -> None:
        """Start, or start again after `stop` on the same port with the same log."""
        command = [sys.executable, "-m", "tests.mailsink", "--port", str(self.port), "--log", str(self.log)]
        command += ["--with-parent", *(["--keep", self.folder.name] if self.keep else [])]
        for name, value in self.options.items():
            command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline() or 0)
        if not self.port:
            raise RuntimeError(f"The mail sink did not start: exit code {self.process.wait()}.")
        if self.rules:
            self.script(*self.rules)

    def stop(self) -> None:
        self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()

    def script(self, *rules: Rule) -> None:
        """Replace the rules; they are in force when this returns."""
        self._order({"rules": [asdict(rule) for rule in rules]})

    def stats(self) -> collections.Counter[str]:
        """Return how often each verb came, and: connections, open, messages, pipelined."""
        return collections.Counter(self._order({"stats": True}))

    def accepted(self) -> list[Accepted]:
        """Return what was accepted so far, oldest first."""
        lines = self.log.read_text().split("\n")[:-1]
        return [Accepted(int(n), int(at), to, int(size), *rest) for n, at, to, size, *rest in map(_fields, lines)]

    @property
    def recipients(self) -> list[str]:
        return [accepted.recipient for accepted in self.accepted()]

    def messages(self) -> list[bytes]:
        """Return the messages themselves, oldest first; with `keep` only."""
        return [path.read_bytes() for path in sorted(Path(self.folder.name).glob("*.eml"))]

    def _order(self, order: dict[str, Any]) -> dict[str, int]:
        with self._lock:
            assert self.process.stdin
            assert self.process.stdout
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            counts: dict[str, int] = json.loads(self.process.stdout.readline())
            return counts


def _fields(line: str) -> list[str]:
    return line.split("\t")
