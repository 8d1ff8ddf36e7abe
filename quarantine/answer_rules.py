"""Own rules for what an answer of a mail system means: tried before the built-in table, lowest position first.

    own_rules()          the active ones, ready for `failures.classify`; read once a minute
    last_read()          the same without asking the database, where it must not be waited for: while a message leaves
    compiled(...)        one of them, from what somebody typed
    flaw(pattern)        what is wrong with its words, and what would help; empty when nothing is

The words of a rule are looked for as they stand, upper and lower case alike, and "*" stands for anything in between.
They are no regular expression: pieces are found one after the other, so that no rule can take long on any answer.
"""

import logging
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import Error
from django.utils.translation import gettext as _

from .kinds import Failure, Fault, Kind
from .models import AnswerRule, Effect, Reason, Whose

# Fewer letters would be found in answers that have nothing to do with each other.
FEWEST_LETTERS = 4
MOST_PIECES = 8
MOST_RULES = 500  # that are tried; each costs a look at every answer
KEPT_FOR = 60.0  # seconds
LONGEST_PATTERN, MOST_WORDS = 120, 30  # of a suggestion
# An address, a number (but a status code is none) or what holds one, an address of a page.
_OF_ONE_MESSAGE = re.compile(r"@|\d|://")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")  # RFC 3463 section 2

KINDS = {Effect.HARD: Kind.HARD, Effect.SOFT: Kind.SOFT, Effect.IGNORED: Kind.IGNORED}
FAULTS = {Whose.ADDRESS: Fault.ADDRESS, Whose.DOMAIN: Fault.DOMAIN, Whose.SENDER: Fault.SENDER}
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rule:
    """An own rule, ready to use: words that an answer holds in this order, and what it then means."""

    words: tuple[str, ...]  # lower case, single blanks
    failure: Failure
    number: int = 0

    def fits(self, line: str) -> bool:
        """Say whether a line, in lower case, holds the words in their order. Linear in its length."""
        place = 0
        for words in self.words:
            found = line.find(words, place)
            if found < 0:
                return False
            place = found + len(words)
        return bool(self.words)


def deciding(line: str, rules: Sequence[Rule]) -> Rule | None:
    """Return the first rule that fits a line."""
    lowered = line.lower()
    return next((rule for rule in rules if rule.fits(lowered)), None)


def flaw(pattern: str) -> str:
    """Say what is wrong with the words of a rule, with a remedy."""
    found = pieces(pattern)
    if not found:
        return _("Write some words of the answer.")
    if len(found) > MOST_PIECES:
        return _("Use at most %(n)d stars.") % {"n": MOST_PIECES - 1}
    if max(map(_letters, found)) < FEWEST_LETTERS and not _has_status(found):
        return _(
            "This would fit too many answers. Write a word of at least %(n)d letters, or a status such as 5.7.1."
        ) % {"n": FEWEST_LETTERS}
    return ""


def flaw_of_leaving_out(pattern: str) -> str:
    """Say what is wrong with the words of a rule that counts against addresses, with a remedy; empty when nothing is.

    More is asked of it: too general a rule would leave out people whose mailboxes are well.
    """
    if "@" in pattern or "://" in pattern:
        return _("Answers of every kind quote addresses of people and pages. Put a star in their place.")
    found = pieces(pattern)
    if sum(len(piece.split()) for piece in found) < 2 and not _has_status(found):
        return _("One word is found in answers that say nothing against an address. Write at least two, or a status.")
    return ""


def pieces(pattern: str) -> tuple[str, ...]:
    """Return what an answer must hold, one after the other: lower case, single blanks."""
    found = (" ".join(piece.split()) for piece in pattern.lower().split("*"))
    return tuple(piece for piece in found if piece)


def compiled(rule: AnswerRule) -> Rule:
    """Return a rule ready to be tried. An answer about us or the domain never counts against an address."""
    fault = FAULTS[Whose(rule.whose)]
    kind = KINDS[Effect(rule.effect)] if fault == Fault.ADDRESS else Kind.IGNORED
    return Rule(pieces(rule.pattern), Failure(kind, Reason(rule.reason), fault), rule.pk or 0)


def suggestion(answer: str) -> str:
    """Return words of an answer that a rule could look for: what is about one message or person is left open."""
    kept: list[str] = []
    for word in answer.split()[:MOST_WORDS]:
        said = word.strip("<>()[]{}\"'.,;:")
        if _STATUS.fullmatch(said) or (said and not _OF_ONE_MESSAGE.search(said)):
            kept.append(word)
        elif kept[-1:] != ["*"]:
            kept.append("*")
    text = " ".join(kept).strip("* ")
    while len(text) > LONGEST_PATTERN or len(pieces(text)) > MOST_PIECES:
        text = text[:LONGEST_PATTERN].rpartition(" ")[0].strip("* ")
    return text


def own_rules() -> Sequence[Rule]:
    """Return the active rules; one query a minute at most. What was read last stays when the database does not answer.

    A process sees a change after a minute; the one that made it, at once (see `forget`).
    """
    now = time.monotonic()
    if now >= _kept.until:
        with _kept.lock:
            if now >= _kept.until:
                _kept.read(now)
    return _kept.rules


def last_read() -> Sequence[Rule]:
    """Return the rules that this process has read last; no query."""
    return _kept.rules


def read_rules() -> Sequence[Rule]:
    """Return the active rules as they are in the database now. One query."""
    active = AnswerRule.objects.filter(is_active=True).order_by("position", "pk")[:MOST_RULES]
    return tuple(compiled(rule) for rule in active if not flaw(rule.pattern))


def forget() -> None:
    """Have the rules read again at the next use: one was changed."""
    _kept.rules, _kept.until = (), 0.0


def _letters(piece: str) -> int:
    """Return how many letters a piece has; those of writings without an alphabet say as much as two."""
    return sum(1 if char < "\u2e80" else 2 for char in piece if char.isalpha())


def _has_status(found: Sequence[str]) -> bool:
    """Say whether one of the pieces holds an enhanced status code, with nothing left open."""
    return any(_STATUS.fullmatch(word) for piece in found for word in piece.split())


class _Kept:
    """The rules that were read last, and until when they are used."""

    def __init__(self) -> None:
        self.rules: Sequence[Rule] = ()
        self.until = 0.0
        self.lock = threading.Lock()

    def read(self, now: float) -> None:
        try:
            self.rules = read_rules()
        except Error as error:
            logger.error("The own rules for answers could not be read: %s.", type(error).__name__)
        self.until = now + KEPT_FOR


_kept = _Kept()
