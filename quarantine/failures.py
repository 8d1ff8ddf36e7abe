"""What an SMTP answer means: how much it says about the address, and whose fault it is.

    classify(550, "5.1.1 No such user")    what the receiving side said
    own_rules()                            the rules of this platform, which come first (`answer_rules`)

One ordered table (`answers`): the first row that fits decides. *Hard* means that the mailbox or its domain does not
exist or takes no more mail. A refusal for what the sender is or says (spam, policy, content, size, rate) is not the
address's fault, whatever its first digit, and is ignored; what is temporary is never hard.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from .answer_rules import Rule, deciding, own_rules
from .answers import NOT_DEFINED, TABLE
from .kinds import Failure, Fault, Kind
from .phrases import fold

__all__ = ["NOT_DEFINED", "Failure", "Fault", "Kind", "Rule", "classify", "deciding", "one_line", "own_rules"]

# Answers come from strangers: no more of one is looked at.
LONGEST = 1_000

_STATUS = re.compile(r"(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?!\.?\d)")
# Postfix and Exim begin with the name of the server that spoke, which may hold any word.
_SAID = re.compile(r"^(.{0,200}?) said: ")
_LATER = tuple(row for row in TABLE if row.later or row.always)
_FOR_GOOD = tuple(row for row in TABLE if not row.later)


def one_line(code: int, text: str) -> str:
    """Return what is looked at of an answer."""
    return " ".join((f"{code} {text}" if code else text)[:LONGEST].split())


def classify(code: int, text: str, rules: Sequence[Rule] = ()) -> Failure:
    """Return what an answer of the receiving side says. `code` is 0 when only the text is known.

    `rules` are tried first, in their order.
    """
    written = one_line(code, text)
    if rules and (own := deciding(written, rules)) is not None:
        return own.failure
    line = fold(_SAID.sub("", written, count=1) if " said: " in written[:210] else written)
    codes = tuple(_STATUS.findall(line))
    later = 400 <= code < 500 or (not code and _is_later(line, codes))
    return _looked_up(line, codes, later)


@lru_cache(maxsize=2_000)
def _looked_up(line: str, codes: tuple[str, ...], later: bool) -> Failure:
    """Return what the table says. The answers of a provider are alike, once addresses are left out."""
    return next((row.failure for row in (_LATER if later else _FOR_GOOD) if row.fits(line, codes)), NOT_DEFINED)


def _is_later(line: str, codes: tuple[str, ...]) -> bool:
    """Say whether an answer without a code of its own is temporary: by its first digit, or by its status codes."""
    return line.startswith("4") or (bool(codes) and all(status.startswith("4") for status in codes))
