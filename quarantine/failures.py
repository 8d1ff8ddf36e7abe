"""What an SMTP answer means: how much it says about the address, and whose fault it is.

One ordered table: the first row whose pattern is found in ``"550 5.1.1 text"`` decides. *Hard* means that the
mailbox or its domain does not exist or takes no more mail. A refusal for what the sender is or says (spam, policy,
content, size, rate) is not the address's fault, whatever its first digit, and is ignored; what is temporary is never
hard. Codes: RFC 5321 section 4.2.3, RFC 3463 section 3, RFC 7372, and the help pages named at the rows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .models import Reason

# Answers come from strangers: no more of one is looked at.
LONGEST = 1_000


class Kind(Enum):
    """How much an answer says about the address."""

    HARD = "hard"
    SOFT = "soft"
    IGNORED = "ignored"


class Fault(Enum):
    """Whose fault a refusal is, which is who would meet the same one."""

    ADDRESS = "address"  # this mailbox: other messages may pass
    DOMAIN = "domain"  # its domain asks for patience or blocks us for now: rate, greylisting, reputation
    SENDER = "sender"  # who we are or what we send: all messages would meet it


@dataclass(frozen=True, slots=True)
class Failure:
    kind: Kind
    reason: Reason
    fault: Fault = Fault.ADDRESS


@dataclass(frozen=True, slots=True)
class Rule:
    """An own rule: what an answer holds, one piece after the other, and what it then means (see `answer_rules`)."""

    pieces: tuple[str, ...]  # lower case, single blanks
    failure: Failure
    number: int = 0

    def fits(self, line: str) -> bool:
        """Say whether a line, in lower case, holds the pieces in their order. Linear in its length."""
        place = 0
        for piece in self.pieces:
            found = line.find(piece, place)
            if found < 0:
                return False
            place = found + len(piece)
        return bool(self.pieces)


def _status(codes: str) -> str:
    """Return the pattern of enhanced status codes; those four numbers of an IP address are none."""
    return rf"(?<![\d.])(?:{codes})(?!\.?\d)"


def _later(pattern: str) -> str:
    """Return the pattern of a temporary answer that holds this."""
    return rf"^4.*(?:{pattern})"


_H, _S, _I = Kind.HARD, Kind.SOFT, Kind.IGNORED
_OURS = Failure(_I, Reason.REFUSED, Fault.SENDER)
_WAIT = Failure(_I, Reason.REFUSED, Fault.DOMAIN)
_NOT_HERE = Failure(_I, Reason.REFUSED, Fault.ADDRESS)
_FULL = Failure(_S, Reason.MAILBOX_FULL)
_AWAY = Failure(_S, Reason.UNREACHABLE)
_CLOSED = Failure(_H, Reason.ACCOUNT_DISABLED)
_NO_DOMAIN = Failure(_H, Reason.INVALID_DOMAIN)
_NO_USER = Failure(_H, Reason.USER_UNKNOWN)

_FULL_WORDS = r"(mail|in)?box (is )?full|over ?quota|quota ?exceeded|out of storage|exceeded storage|boite [^.]*pleine"
_BLOCKS = (
    r"blocked|bloque|black ?-?list|block ?-?list|deny ?list|spamhaus|spamcop|barracuda|\bdns?bl\b|\brbl\b"
    r"|reputation|banned|rate.?limit"
    r"|frequency limit|too (many|much|fast)|trop de|slow down|throttl|unusual rate|spam ip"
    r"|traffic not accepted|connections? (will )?not (be )?accepted"
)
_TABLE: tuple[tuple[str, Failure], ...] = (
    # Gmail 450 4.2.1 and 550 5.2.1: one person gets more than they may for now. A rate, not a closed account.
    (r"receiving (mail|email|messages) (too quickly|at a rate)", _NOT_HERE),

    # -- temporary: the second digit of RFC 3463 says what, and nothing of it is hard ------------------------
    (_later(_status(r"4\.2\.2") + "|" + _FULL_WORDS), _FULL),
    (_later(_status(r"4\.1\.[78]") + r"|sender (address )?(rejected|verify)"
            r"|relay(ing)? (access )?(denied|not permitted)"), _OURS),
    # Greylisting: RFC 6647. Gmail 4.7.28 and the like, Microsoft 4.7.500 and 4.7.650, Yahoo TSS04, Orange OFR004.
    (_later(r"gr[ea]y ?-?list|" + _BLOCKS + r"|deferred|complaint|spam|policy|unsolicited|server (is )?busy"
            r"|service refuse"), _WAIT),
    (_later(_status(r"4\.7\.(0|2\d|3\d|5\d\d|6\d\d)")), _WAIT),
    (_later(_status(r"4\.[67]\.\d+")), _NOT_HERE),
    (_later(_status(r"4\.1\.2|4\.1\.10")), Failure(_S, Reason.INVALID_DOMAIN)),
    (r"^4", _AWAY),

    # -- who we are: RFC 4954 section 6, RFC 7372; support.google.com/a/answer/3726730; Microsoft 5.7.x ------
    (r"^5(23|25|3[0-58])\b|authentication (is )?(required|failed|unsuccessful)|not (been )?authenticated"
     r"|unauthenticated|starttls", _OURS),
    (_status(r"5\.7\.(8|9|1[1-4]|2[0-7]|29|3[0-2]|57|60|64|515|70[1-35])"), _OURS),
    (r"\bdmarc\b|\bspf\b|\bdkim\b|domainkeys|\bptr\b|reverse dns|message-id", _OURS),
    (_status(r"5\.1\.[78]") + r"|sender (address )?(is )?(rejected|denied|invalid|unknown|verify)"
     r"|(bad|invalid) (outbound )?sender|verification failed for", _OURS),
    (r"relay(ing)? (access )?(denied|not permitted|prohibited)|not permitted to relay|unable to relay", _OURS),
    # Gmail 550 5.4.5: how much our own account may send.
    (_status(r"5\.4\.5") + r"|(sending|daily) (\w+ )?(quota|limit)", _OURS),
    # RFC 3463 3.4 (5.3.4): bigger than the system takes; 3.3 (5.2.3): than this mailbox takes.
    (_status(r"5\.2\.3"), _NOT_HERE),
    (_status(r"5\.3\.4") + r"|message (is )?too (large|big)|message size exceeds", _OURS),

    # -- what we say -----------------------------------------------------------------------------------------
    (r"content (denied|restriction|presents|rejected|filter)|\b(mail|message) content|virus|malware|attachment"
     r"|likely (unsolicited|spam)", _OURS),
    # Microsoft 5.7.124 to 5.7.136: a group or mailbox that takes mail from its own people only.
    (_status(r"5\.7\.(2|12|12\d|13\d)"), _NOT_HERE),
    # RFC 3463 3.5 (5.4.6): its forwarding goes round in circles.
    (_status(r"5\.4\.6|5\.4\.14") + r"|too many hops|hop count|mail loop", _NOT_HERE),
    # Free, GMX: a mailbox that nobody opens any more is no refusal of ours, whatever its words.
    (r"(blocked|disabled|suspended|closed) (due to|for) (\w+ )?inactivity"
     r"|(mailbox|account|email address)[^.]{0,40} inactive",
     _CLOSED),

    # -- for now: Microsoft S3140 and 5.7.511, 5.7.606 and on; Yahoo BL; Gmail 5.7.28; QQ; Spamhaus ----------
    (_status(r"5\.7\.(28|511|6\d\d|708|750)") + r"|\bS31[45]0\b|" + _BLOCKS, _WAIT),
    # RFC 3463 3.8: security or policy status; 3.7: media. The sender's message or standing, not the mailbox.
    (_status(r"5\.[67]\.\d+"), _OURS),
    (r"spam|policy|administrative prohibition|unsolicited|mail rejete", _OURS),

    # -- the mailbox: RFC 3463 3.3 ---------------------------------------------------------------------------
    (_status(r"5\.2\.2") + "|" + _FULL_WORDS, _FULL),
    (_status(r"5\.2\.1") + r"|(account|mailbox|user) (\S+ )?(is |has been )?"
     r"(disabled|inactive|suspended|closed|deactivated)|archived recipient|destinataire archive", _CLOSED),

    # -- the address: RFC 3463 3.2. Null MX (5.1.10, 556): RFC 7505, RFC 7504 --------------------------------
    # Exchange answers 5.1.10, and 5.4.1 with "Access denied", for a recipient that is not there.
    (r"recipientnotfound|not found by smtp address lookup", _NO_USER),
    (r"^556\b|" + _status(r"5\.1\.(2|10)") + r"|(host|domain)( \S+)? (not found|unknown|does not exist)", _NO_DOMAIN),
    (_status(r"5\.1\.[1346]")
     + r"|(user|mailbox|recipient|address)( \S+)? (unknown|not found|does not exist|doesn't exist|invalid|rejected)"
     r"|(unknown|invalid) (user|mailbox|recipient)|no such (user|mailbox|person|recipient|address)"
     r"|unrouteable address|this user doesn't have|(account|address)[^.]{0,40} does not exist|unknown or illegal alias"
     r"|destinataire invalide", _NO_USER),

    # -- the way there: RFC 3463 3.5 -------------------------------------------------------------------------
    (_status(r"5\.4\.\d+"), _AWAY),
    # A bare 550 or 553 to RCPT means that the mailbox is unavailable, RFC 5321 4.2.3.
    (r"^55[013]\b", Failure(_S, Reason.NOT_DEFINED)),
    # RFC 5321 4.2.4, RFC 3463 3.6: we are not understood.
    (r"^(50[0-4]|555)\b|" + _status(r"5\.5\.[0-6]"), _OURS),
)  # fmt: skip
NOT_DEFINED = Failure(_S, Reason.NOT_DEFINED)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), failure) for pattern, failure in _TABLE)


def one_line(code: int, text: str) -> str:
    """Return what is looked at of an answer."""
    return " ".join((f"{code} {text}" if code else text)[:LONGEST].split())


def deciding(line: str, rules: Sequence[Rule]) -> Rule | None:
    """Return the first rule that fits a line."""
    lowered = line.lower()
    return next((rule for rule in rules if rule.fits(lowered)), None)


def classify(code: int, text: str, rules: Sequence[Rule] = ()) -> Failure:
    """Return what an answer of the receiving side says. `code` is 0 when only the text is known; `rules` go first."""
    line = one_line(code, text)
    if rules and (own := deciding(line, rules)) is not None:
        return own.failure
    return next((failure for pattern, failure in _COMPILED if pattern.search(line)), NOT_DEFINED)
