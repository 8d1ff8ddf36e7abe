"""Starts workers quickly: it has imported all of them once, and forks one for each line that it is told.

    {"arguments": ["worker", "-P", "threads"], "environment": {"FAULT_TWICE": "1"}, "log": "/tmp/1.log"}  ->  its pid

Each is a process of its own, in a session of its own, as `python -m tests.faults.worker` would be, but for the seconds
that importing takes. It has opened nothing before the fork.
"""

import json
import os
import random
import signal
import sys
from multiprocessing.sharedctypes import RawValue
from typing import Any

import campaign.celery
from tests import servers
from tests.faults import worker


def main() -> None:
    worker.prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: the system forgets them by itself
    _say(os.getpid())
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _become(json.loads(line))
        _say(pid)


def _say(pid: int) -> None:
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()


def _become(order: dict[str, Any]) -> None:
    code = 1
    try:
        os.setsid()
        servers._die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.update(order["environment"])
        random.seed()
        # Else what one worker is asked would be asked of all: it is memory that forks share.
        campaign.celery._shutting_down = RawValue("b", 0)
        worker.run(order["arguments"])
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        if code:
            sys.stderr.write(f"{error}\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
