"""Decide what a report says about an address: from its action, its status code, the answer, and the words around.

A status code of a report is often a general one, or contradicts the answer that it came from: the answer and its
words are read first, by the one table of quarantine.failures.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..failures import NOT_DEFINED, Failure, Kind, Rule, classify
from ..models import Reason
from ..phrases import DELAYED, fold, holds
from .dsn import NOT_FAILED, status_of

DIAGNOSTIC = 500  # characters of a diagnostic that are kept
# An SMTP reply code (RFC 5321 section 4.2) in a text: a number of three digits that begins what was said. Not a
# port, not a part of an address.
_CODE = re.compile(
    r"(?<![\w.:/+=@%-])(?<!port )#?([45][0-5]\d)(?=[ -]|:? ?#?[45]\.\d+\.\d+|[:;]? |$)(?![ ]?(?:bytes|KB|MB|more))"
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_FOR_GOOD = ("given up", "permanent error", "permanent fatal", "failed permanently", "will not be retried",
             "no further")  # fmt: skip
_NOTICE, _LINES, _BEGINNING = 6_000, 25, 2_000  # characters of a notice, its paragraphs, and its beginning


@dataclass(frozen=True, slots=True)
class Verdict:
    failure: Failure | None
    status: str | None
    diagnostic: str
    action: str = ""


def judge(
    action: str, status: str, diagnostic: str, *, around: Callable[[], Failure | None], rules: Sequence[Rule] = ()
) -> Verdict:
    """Return what follows for one recipient. `around` tells what the notice says, for when the answer says nothing."""
    diagnostic = tidy(diagnostic)
    told = status_of(diagnostic)
    if told and (not status or (status.endswith(".0.0") and told[0] == status[0])):
        status = told
    status = status or _class_of(diagnostic)
    if action in NOT_FAILED or (not action and status.startswith("2")):
        return Verdict(None, status or None, diagnostic)
    failure = _of_answer(status, diagnostic, rules)
    if failure == NOT_DEFINED:
        failure = around() or failure
    if action == "delayed":  # RFC 3464 section 2.3.3: it is still on its way
        failure = replace(failure, kind=Kind.IGNORED)
    return Verdict(failure, status or None, diagnostic)


def judge_notice(
    said: str, *, is_delayed: bool, around: Callable[[], Failure | None], rules: Sequence[Rule] = ()
) -> Verdict:
    """Return what follows for an address of a notice, from what is said beside it, else from all of it."""
    said = tidy(said)
    status = status_of(said)
    failure = _of_answer(status, said, rules)
    if failure == NOT_DEFINED:
        failure = around() or failure
    action = "delayed" if is_delayed else "failed"
    if is_delayed:
        failure = replace(failure, kind=Kind.IGNORED)
    return Verdict(failure, status or _class_of(said) or None, said, action)


def of_lines(notice: str, rules: Sequence[Rule]) -> Failure | None:
    """Return what the plainest line of a notice says: of the mailbox first, then of anything."""
    found = [_of_answer(status_of(line), line, rules) for line in map(tidy, _sentences(notice)[:_LINES]) if line]
    told = [failure for failure in found if failure != NOT_DEFINED]
    about = [failure for failure in told if failure.kind == Kind.HARD or failure.reason == Reason.MAILBOX_FULL]
    return next(iter(about), None) or next(iter(told), None)


def _sentences(notice: str) -> list[str]:
    """Return the paragraphs of a notice, each on one line."""
    return [" ".join(block.split()) for block in re.split(r"\n[ \t]*\n", notice[:_NOTICE])]


def is_delayed(subject: str, notice: str) -> bool:
    """Say whether a notice tells that a message is still on its way. The subject is folded."""
    beginning = fold(notice[:_BEGINNING])
    if holds(beginning, _FOR_GOOD):
        return False
    return holds(beginning, DELAYED) or (
        re.search(r"\bdelay|warning: (could not send|message)|verzogert|retarde|retraso|ritardo", subject) is not None
        and not re.search(r"\bfail", subject)
    )


def _class_of(answer: str) -> str:
    """Return the status that an SMTP code alone amounts to (RFC 3463 section 2); empty without a code."""
    found = _CODE.search(answer)
    return f"{found[1][0]}.0.0" if found else ""


def tidy(text: str) -> str:
    """Return a text on one line, without control characters, as long as it is kept."""
    return " ".join(_CONTROLS.sub(" ", text[: DIAGNOSTIC * 4]).split())[:DIAGNOSTIC].strip()


def _of_answer(status: str, text: str, rules: Sequence[Rule]) -> Failure:
    found = _CODE.search(text)
    code = int(found[1]) if found else 0
    said = text[found.end() :].lstrip(" -:;") if found else text
    if status and status not in said:
        said = f"{status} {said}"
    return classify(code, said, rules)
