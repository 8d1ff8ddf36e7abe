"""Ring a task once the change it is about is committed."""

from typing import Any, Protocol

from django.db import transaction


class Task(Protocol):
    def delay(self, *args: Any) -> Any: ...


def ring(task: Task, *ids: int) -> None:
    """Enqueue a task after the commit, with ids only: the broker never holds personal data.

    A ring that is lost costs a few seconds: periodic jobs look for work whose ring never came. So a broker that is
    down is noted in the log (robust), and the change, which is committed, is answered for as it should be.
    """
    transaction.on_commit(lambda: task.delay(*ids), robust=True)
