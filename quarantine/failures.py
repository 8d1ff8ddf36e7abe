"""What an SMTP answer means for the address it is about.

One ordered table: the first row whose pattern is found in ``"550 5.1.1 text"`` decides. *Hard* means that the
mailbox or its domain does not exist or takes no more mail. A refusal for what the sender is or says (spam, policy,
content, size, rate) is not the address's fault, whatever its first digit, and is ignored.
Codes: RFC 5321 section 4.2.3, RFC 3463 section 3.
"""

import re
from dataclasses import dataclass
from enum import Enum

from .models import Reason


class Kind(Enum):
    """How much an answer says about the address."""

    HARD = "hard"
    SOFT = "soft"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Failure:
    kind: Kind
    reason: Reason


_H, _S, _I = Kind.HARD, Kind.SOFT, Kind.IGNORED
_TABLE: tuple[tuple[str, Failure], ...] = (
    # RFC 3463 3.8: security or policy status; 3.7: media. The sender's message or standing, not the mailbox.
    (r"\b[45]\.(7|6)\.\d+\b", Failure(_I, Reason.REFUSED)),
    (r"spam|blocked|blacklist|reputation|policy|dmarc|\bspf\b|\bdkim\b|rate limit|too many",
     Failure(_I, Reason.REFUSED)),
    # The sender's own address is what is wrong here.
    (r"\b[45]\.1\.[78]\b", Failure(_I, Reason.REFUSED)),
    # RFC 3463 3.3: mailbox status.
    (r"\b[45]\.2\.2\b|mailbox (is )?full|over ?quota|quota exceeded", Failure(_S, Reason.MAILBOX_FULL)),
    (r"\b5\.2\.1\b|(account|mailbox) (is )?(disabled|inactive|suspended)", Failure(_H, Reason.ACCOUNT_DISABLED)),
    (r"\b[45]\.2\.3\b|\b[45]\.3\.4\b|message (is )?too (large|big)", Failure(_I, Reason.REFUSED)),
    # RFC 3463 3.2: addressing status. RFC 7505: null MX (5.1.10).
    (r"\b5\.1\.(2|10)\b|(host|domain) (not found|unknown|does not exist)", Failure(_H, Reason.INVALID_DOMAIN)),
    (r"\b5\.1\.[1346]\b|(user|mailbox|recipient|address)( \S+)? (unknown|not found|does not exist|invalid|rejected)"
     r"|unknown (user|mailbox|recipient)|no such (user|mailbox)", Failure(_H, Reason.USER_UNKNOWN)),
    # RFC 3463 3.5: network and routing status.
    (r"\b[45]\.4\.\d+\b|\b4\.\d+\.\d+\b", Failure(_S, Reason.UNREACHABLE)),
    (r"^(421|450|451|452)\b", Failure(_S, Reason.UNREACHABLE)),
    # A bare 550 or 553 to RCPT means that the mailbox is unavailable, RFC 5321 4.2.3.
    (r"^55[013]\b", Failure(_S, Reason.NOT_DEFINED)),
)  # fmt: skip
NOT_DEFINED = Failure(_S, Reason.NOT_DEFINED)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), failure) for pattern, failure in _TABLE)


def classify(code: int, text: str) -> Failure:
    """Return what an answer of the receiving side says about the address."""
    line = f"{code} {text}"
    return next((failure for pattern, failure in _COMPILED if pattern.search(line)), NOT_DEFINED)
