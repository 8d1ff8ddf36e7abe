"""What an SMTP answer means: how much it says about the address, and whose fault it is.

    classify(550, "5.1.1 No such user")    what the receiving side said
    own_rules()                            the rules of this platform, which come before the built-in ones

One ordered table (`answers`): the first row that fits decides. *Hard* means that the mailbox or its domain does not
exist or takes no more mail. A refusal for what the sender is or says (spam, policy, content, size, rate) is not the
address's fault, whatever its first digit, and is ignored; what is temporary is never hard.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from .answers import NOT_DEFINED, TABLE
from .kinds import Failure, Fault, Kind
from .models import AnswerRule, Reason
from .phrases import fold

__all__ = ["NOT_DEFINED", "Failure", "Fault", "Kind", "Rule", "classify", "compiled", "own_rules"]

# Answers come from strangers: no more of one is looked at.
LONGEST = 1_000
FRESH = 60.0  # seconds for which own rules are kept

_STATUS = re.compile(r"(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?!\.?\d)")
# Postfix and Exim begin with the name of the server that spoke, which may hold any word.
_SAID = re.compile(r"^(.{0,200}?) said: ")
_LATER = tuple(row for row in TABLE if row.later or row.always)
_FOR_GOOD = tuple(row for row in TABLE if not row.later)


@dataclass(frozen=True, slots=True)
class Rule:
    """An own rule, ready to use: words that an answer holds in this order, and what they mean."""

    words: tuple[str, ...]
    failure: Failure

    def fits(self, line: str) -> bool:
        at = 0
        for words in self.words:
            found = line.find(words, at)
            if found < 0:
                return False
            at = found + len(words)
        return bool(self.words)


def classify(code: int, text: str, rules: Sequence[Rule] = ()) -> Failure:
    """Return what an answer of the receiving side says. `code` is 0 when only the text is known.

    `rules` are tried first, in their order.
    """
    written = " ".join((f"{code} {text}" if code else text)[:LONGEST].split())
    if rules:
        plain = written.lower()
        own = next((rule.failure for rule in rules if rule.fits(plain)), None)
        if own:
            return own
    line = fold(_SAID.sub("", written, count=1) if " said: " in written[:210] else written)
    codes = tuple(_STATUS.findall(line))
    later = 400 <= code < 500 or (not code and _is_later(line, codes))
    return _looked_up(line, codes, later)


def compiled(rule: AnswerRule) -> Rule:
    """Return a rule ready to use; upper and lower case are alike, and * in its pattern stands for anything."""
    words = tuple(part for part in (" ".join(part.split()) for part in rule.pattern.lower().split("*")) if part)
    return Rule(words, Failure(Kind(rule.effect), Reason(rule.reason), Fault(rule.whose)))


def own_rules(*, fresh: bool = False) -> tuple[Rule, ...]:
    """Return the active own rules in their order. One query a minute and process; at once with `fresh`."""
    now = time.monotonic()
    if fresh or now >= _kept.until:
        _kept.rules = tuple(map(compiled, AnswerRule.objects.filter(is_active=True)))
        _kept.until = now + FRESH
    return _kept.rules


@lru_cache(maxsize=2_000)
def _looked_up(line: str, codes: tuple[str, ...], later: bool) -> Failure:
    """Return what the table says. The answers of a provider are alike, once addresses are left out."""
    return next((row.failure for row in (_LATER if later else _FOR_GOOD) if row.fits(line, codes)), NOT_DEFINED)


@dataclass(slots=True)
class _Kept:
    rules: tuple[Rule, ...] = ()
    until: float = 0.0


_kept = _Kept()


def _is_later(line: str, codes: tuple[str, ...]) -> bool:
    """Say whether an answer without a code of its own is temporary: by its first digit, or by its status codes."""
    return line.startswith("4") or (bool(codes) and all(status.startswith("4") for status in codes))
