"""What a file may hold besides people and opt-outs: what another application reads out of it.

    contents.register(Content(kind="addresses", ...))     in the `ready` of the application

Its jobs have the same life as all others: checked first, run in batches that survive a kill, noted line by line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from profiles.consent import Evidence
from profiles.models import ImportJob

if TYPE_CHECKING:  # these modules need this one's words
    from django.utils.functional import _StrOrPromise

    from .columns import Columns, Table
    from .files import Record, Sheet
    from .lines import Line
    from .people import Counts
    from .scratch import Memory


@dataclass(frozen=True, slots=True)
class Done:
    """What became of the lines of a batch."""

    lines: "Sequence[Line]"
    counts: "Counts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One kind of file. `run` is called in the transaction of its batch; `check` writes nothing."""

    kind: str  # as in ImportJob.kind
    title: "_StrOrPromise"
    button: "_StrOrPromise"
    permission: str
    table: "Table"
    batch: int  # lines, at most
    counts: "Mapping[str, _StrOrPromise]"  # what the counts of a job mean, where not what they usually do
    always: Sequence[str]  # the counts that are shown also where they are zero
    run: "Callable[[ImportJob, Sheet, Sequence[Record], Evidence, datetime], Done]"
    memory: "Callable[[], Memory]"  # of a dry run: what the batches before would have done
    check: "Callable[[Any, ImportJob, Sheet, Sequence[Record], datetime], Done]"
    read: "Callable[[Sequence[Record], Columns, datetime], Sequence[tuple[Line, Mapping[str, str]]]]"


_CONTENTS: dict[str, Content] = {}


def register(content: Content) -> None:
    """Let files of this kind be imported."""
    _CONTENTS[content.kind] = content


def of_table(table: "Table") -> Content | None:
    """Return what a file with this table holds; None for people and opt-outs."""
    return next((content for content in _CONTENTS.values() if content.table is table), None)


def content_of(job: ImportJob) -> Content | None:
    """Return what the file of a job holds; None for people and opt-outs."""
    return _CONTENTS[job.kind] if job.kind else None
