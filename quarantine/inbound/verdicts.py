"""Decide what a report says about an address: from its action, its status code, the answer, and the words around.

A status code of a report is often a general one, or contradicts the answer that it came from: the answer and its
words are read first, by the one table of quarantine.failures.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..failures import NOT_DEFINED, Failure, Kind, Rule, classify
from .dsn import NOT_FAILED, status_of

DIAGNOSTIC = 500  # characters of a diagnostic that are kept
# An SMTP reply code (RFC 5321 section 4.2) in a text: a number of three digits that begins what was said. Not a
# port, not a part of an address.
_CODE = re.compile(
    r"(?<![\w.:/+=@%-])(?<!port )#?([45][0-5]\d)(?=[ -]|:? ?#?[45]\.\d+\.\d+|[:;]? |$)(?![ ]?(?:bytes|KB|MB|more))"
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_TO_COME = re.compile(r"\d{3}[- ]")


@dataclass(frozen=True, slots=True)
class Verdict:
    failure: Failure | None
    status: str | None
    diagnostic: str


def judge(action: str, status: str, diagnostic: str, *, around: str = "", rules: Sequence[Rule] = ()) -> Verdict:
    """Return what follows for one recipient. `around` are the words of the notice, for when the answer says nothing."""
    diagnostic = tidy(diagnostic)
    told = status_of(diagnostic)
    if told and (not status or (status.endswith(".0.0") and told[0] == status[0])):
        status = told
    if action in NOT_FAILED or (not action and status.startswith("2")):
        return Verdict(None, status or None, diagnostic)
    failure = _of_answer(status, diagnostic, rules)
    if around and failure == NOT_DEFINED:
        failure = _of_answer(status, tidy(around), rules)
    if action == "delayed":  # RFC 3464 section 2.3.3: it is still on its way
        failure = replace(failure, kind=Kind.IGNORED)
    return Verdict(failure, status or None, diagnostic)


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
