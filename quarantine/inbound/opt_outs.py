"""Find the sealed token of an unsubscribe message (the mailto address of List-Unsubscribe holds it as its subject).

Programs add "Re:" and quotes, fold and encode the subject, or lose it; people paste it into the text. A token is
sealed, so nothing else can be taken for one: what is found is tried, wherever it stands. Only copies are left alone:
a report or a forwarded message may quote the header of the original, and whoever sends that asks for nothing.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from profiles.errors import TokenRefused
from profiles.tokens import TAG, OptOutLink, Purpose, open_token

from .mail import Mail

LINES = 10  # of the text, in which a token may stand
SUBJECT, TEXT = 1_000, 2_000  # characters that are searched
SIZE = math.ceil((1 + TAG + len(OptOutLink(channel=0, digest=bytes(16)).pack())) * 4 / 3)
_RUN = re.compile(rf"[A-Za-z0-9_-]{{{SIZE},}}")
# What is close to a token in shape: worth a word to the operator.
_LIKE = re.compile(r"(?=[A-Za-z_-]*[0-9])(?=[a-z0-9_-]*[A-Z])(?=[A-Z0-9_-]*[a-z])[A-Za-z0-9_-]{40,}")
_BLANK = re.compile(r"[\s\u00ad\u200b-\u200d\u2060\ufeff]+")
_COPY = re.compile(r"list-unsubscribe", re.IGNORECASE)


class Token(StrEnum):
    """Whether a message holds a token of the one-click purpose."""

    VALID = "valid"
    ABSENT = "absent"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Found:
    """What a message asks for: the link whose token it holds, if it holds one that opens."""

    token: Token
    link: OptOutLink | None = None


NOTHING = Found(Token.ABSENT)


def find(mail: Mail) -> Found:
    """Look for a token in the subject, then in the first lines of the text."""
    subject, text = mail.subject[:SUBJECT], "" if mail.is_report else _first_lines(mail.text)
    for candidate in dict.fromkeys((*_candidates(subject), *_candidates(text))):
        try:
            return Found(Token.VALID, OptOutLink.unpack(open_token(Purpose.ONE_CLICK, candidate)))
        except TokenRefused:
            continue
    return Found(Token.INVALID if _LIKE.search(subject) or _LIKE.search(text) else Token.ABSENT)


def _candidates(text: str) -> Iterator[str]:
    """Yield what may be a token: as it stands, without the blanks of folding, with those that were underscores."""
    for variant in dict.fromkeys((text, _BLANK.sub("", text), _BLANK.sub("_", text))):
        for run in _RUN.findall(variant):
            yield from (run[start : start + SIZE] for start in range(len(run) - SIZE + 1))


def _first_lines(text: str) -> str:
    """Return the beginning of what somebody wrote, without quotations and addresses of pages."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith((">", "|"))][:LINES]
    if any(_COPY.search(line) for line in lines):
        return ""
    words = "\n".join(lines)[:TEXT].split()
    return " ".join(word for word in words if "/" not in word and "=" not in word)
