"""The table of answers: what each means. The first row that fits decides; see `failures`.

Codes: RFC 5321 section 4.2.3, RFC 3463 section 3, RFC 7372, and the help pages named at the rows. A row fits an answer
that has one of its codes, one of its phrases, or its pattern; with `also`, one of those phrases must be there too.
"""

import re
from dataclasses import dataclass

from . import phrases
from .kinds import Failure, Fault, Kind
from .models import Reason
from .phrases import holds


@dataclass(frozen=True, slots=True)
class Row:
    failure: Failure
    codes: re.Pattern[str] | None = None  # of a whole enhanced status code
    phrases: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    also: tuple[str, ...] = ()
    later: bool = False  # fits temporary answers only; without it, permanent ones only
    always: bool = False  # fits all

    def fits(self, line: str, codes: tuple[str, ...]) -> bool:
        """Say whether an answer is meant, given folded (`phrases.fold`) and with its enhanced codes."""
        if self.also and not holds(line, self.also):
            return False
        return (
            (self.codes is not None and any(map(self.codes.fullmatch, codes)))
            or holds(line, self.phrases)
            or (self.pattern is not None and self.pattern.search(line) is not None)
        )


def _row(
    failure: Failure,
    *,
    codes: str = "",
    phrases: tuple[str, ...] = (),
    pattern: str = "",
    also: tuple[str, ...] = (),
    later: bool = False,
    always: bool = False,
) -> Row:
    return Row(
        failure, re.compile(codes) if codes else None, phrases, re.compile(pattern) if pattern else None, also, later,
        always,
    )  # fmt: skip


_H, _S, _I = Kind.HARD, Kind.SOFT, Kind.IGNORED
NOT_DEFINED = Failure(_S, Reason.NOT_DEFINED)
_OURS = Failure(_I, Reason.REFUSED, Fault.SENDER)
_WAIT = Failure(_I, Reason.REFUSED, Fault.DOMAIN)
_NOT_HERE = Failure(_I, Reason.REFUSED, Fault.ADDRESS)
_FULL = Failure(_S, Reason.MAILBOX_FULL)
_AWAY = Failure(_S, Reason.UNREACHABLE)
_CLOSED = Failure(_H, Reason.ACCOUNT_DISABLED)
_NO_DOMAIN = Failure(_H, Reason.INVALID_DOMAIN)
_NO_USER = Failure(_H, Reason.USER_UNKNOWN)

TABLE: tuple[Row, ...] = (
    # Gmail 450 4.2.1 and 550 5.2.1: one person gets more than they may for now. A rate, not a closed account.
    _row(_NOT_HERE, always=True, pattern=r"receiving (mail|email|messages) (too quickly|at a rate)"),

    # -- temporary: the second digit of RFC 3463 says what, and nothing of it is hard ------------------------
    _row(_FULL, later=True, codes=r"4\.2\.2", phrases=phrases.FULL),
    _row(_OURS, later=True, codes=r"4\.1\.[78]",
         pattern=r"sender (address )?(rejected|verify)|relay(ing)? (access )?(denied|not permitted)"),
    _row(_AWAY, later=True, pattern=r"connection (timed out|refused|reset)|no route to|lost connection|name lookup"
         r"|network (is )?unreachable|operation timed out"),
    # Greylisting: RFC 6647. Gmail 4.7.28 and the like, Microsoft 4.7.500 and 4.7.650, Yahoo TSS04, Orange OFR004.
    _row(_WAIT, later=True, codes=r"4\.7\.(0|2\d|3\d|5\d\d|6\d\d)", phrases=phrases.LATER_BLOCKS),
    _row(_NOT_HERE, later=True, codes=r"4\.[67]\.\d+"),
    _row(Failure(_S, Reason.INVALID_DOMAIN), later=True, codes=r"4\.1\.2|4\.1\.10"),
    _row(_AWAY, later=True, pattern="^"),

    # -- who we are: RFC 4954 section 6, RFC 7372; support.google.com/a/answer/3726730; Microsoft 5.7.x ------
    _row(_OURS, codes=r"5\.7\.(8|9|1[1-4]|2[0-7]|29|3[0-2]|57|60|64|515|70[1-35])",
         pattern=r"^5(23|25|3[0-58])\b|authentication (is )?(required|failed|unsuccessful)|not (been )?authenticated"
         r"|unauthenticated|starttls"),
    _row(_OURS, pattern=r"\b(dmarc|spf|dkim|domainkeys|ptr)\b|reverse dns|rdns|message-id|reverse lookup"),
    # Exim asks the other server about both sides, and tells of both alike but for this.
    _row(_NO_USER, phrases=("recipient verify failed",)),
    _row(_OURS, codes=r"5\.1\.[78]",
         pattern=r"sender('s)? ?(e-?mail )?(address )?:?(is )?(not )?(rejected|denied|invalid|unknown|verif|domain"
         r"|blocked|refused|exist|accepted|found)"
         r"|(bad|invalid|unknown) (outbound )?(sender|mail from|return path|envelope from)"
         r"|verification failed for|domain of sender|sender domain|could not verify sender|cannot verify sender"
         r"|absender|expediteur|remitente|mittente|remetente|nadawc|отправител|发件人|寄件|送信者|差出人"),
    _row(_OURS, pattern=r"relay(ing)? (access )?(is )?(denied|not permitted|not allowed|prohibited)"
         r"|permitted to relay|unable to relay|not relay|don't relay|relaying|allowed rcpthosts|open relay|no relay"
         r"|relay not"),
    # Gmail 550 5.4.5: how much our own account may send.
    _row(_OURS, codes=r"5\.4\.5", pattern=r"(sending|daily) (\w+ )?(quota|limit)"),
    # The mailbox is full: RFC 3463 3.3. Its size may be named, so that this comes before what is too big.
    _row(_FULL, codes=r"5\.2\.2", phrases=phrases.FULL),
    # RFC 3463 3.4 (5.3.4): bigger than the system takes; 3.3 (5.2.3): than this mailbox takes.
    _row(_NOT_HERE, codes=r"5\.2\.3"),
    _row(_OURS, codes=r"5\.3\.4", phrases=phrases.TOO_BIG),

    # -- what no filter says --------------------------------------------------------------------------------
    _row(_NO_USER, codes=r"5\.1\.(1|10)|5\.0\.0|5\.2\.0", also=phrases.UNKNOWN),
    # Exchange answers 5.1.10, and 5.4.1 with "Access denied", for a recipient that is not there.
    _row(_NO_USER, phrases=("recipientnotfound", "recipnotfound", "not found by smtp address lookup")),
    _row(_NO_USER, codes=r"5\.4\.1", also=("access denied",)),

    # -- what we say -----------------------------------------------------------------------------------------
    _row(_OURS, phrases=phrases.CONTENT),
    # Microsoft 5.7.124 to 5.7.136: a group or mailbox that takes mail from its own people only.
    _row(_NOT_HERE, codes=r"5\.7\.(2|12|12\d|13\d)"),
    # RFC 3463 3.5 (5.4.6): its forwarding goes round in circles.
    _row(_NOT_HERE, codes=r"5\.4\.6|5\.4\.14", pattern=r"too many hops|hop count|(mail|message|routing) loop|looping"
         r"|loops back|delivered-to line|maximum hop|hops exceeded"),
    # Free, GMX: a mailbox that nobody opens any more is no refusal of ours, whatever its words.
    _row(_CLOSED, pattern=r"(blocked|disabled|suspended|closed|locked) (due to|for|because of) (\w+ )?inactivity"
         r"|(mailbox|account|email address)[^.]{0,40} inactive|inatividade|inactivite"),

    # -- for now: Microsoft S3140 and 5.7.511, 5.7.606 and on; Yahoo BL; Gmail 5.7.28; QQ; Spamhaus ----------
    _row(_WAIT, codes=r"5\.7\.(28|511|6\d\d|708|750)", phrases=phrases.BLOCKS,
         pattern=r"\bs31[45]0\b|\b(dns?bl|rbl)\b"),
    _row(_OURS, phrases=phrases.SPAM),

    # -- the mailbox: RFC 3463 3.3 ---------------------------------------------------------------------------
    _row(_AWAY, pattern=r"temporar(y|ily) (disabled|suspended|locked|inactive|unavailable|limited|failure|problem"
         r"|error)"),
    _row(_CLOSED, phrases=phrases.CLOSED,
         pattern=r"(account|mailbox|user|recipient) (\S+ )?(is |has been )?"
         r"(disabled|inactive|suspended|closed|deactivated)"),

    # -- the address: RFC 3463 3.2. Null MX (5.1.10, 556): RFC 7505, RFC 7504 --------------------------------
    _row(_AWAY, also=phrases.NO_ANSWER_OF_DNS,
         pattern=r"host not found|name service error|dns|domain|lookup|name server|cname"),
    _row(_NO_DOMAIN, codes=r"5\.1\.(2|10)", phrases=phrases.NO_DOMAIN,
         pattern=r"^5[25][16] .*(not accept|no mail|takes no)|^556\b|(host|domain)( \S+){1,2} (not found|unknown"
         r"|does not exist|doesn't exist|isn't valid|not exist|couldn't be found|could not be found)"),
    _row(_NO_USER, phrases=phrases.UNKNOWN),
    # Postfix begins all refusals of recipients alike, also those that a policy made.
    _row(_OURS, codes=r"5\.7\.\d+", also=("address rejected", "access denied", "recipient rejected")),
    _row(_NO_USER, phrases=phrases.NO_USER,
         pattern=r"(user|mailbox|recipient|address|account)( \S+)?:? (is )?(unknown|not found|does not exist"
         r"|doesn't exist|invalid|rejected)"
         r"|(unknown|invalid|illegal|no such) (\S+ )?(user|mailbox|recipient|address|account|alias)"
         r"|this user doesn't have|(account|address|user|mailbox)[^.]{0,40} (does not|doesn't) exist"
         r"|not (a )?known (\w+ )?(user|recipient|address)"),

    # -- the way there: RFC 3463 3.5 -------------------------------------------------------------------------
    _row(_AWAY, phrases=phrases.AWAY),
    _row(_CLOSED, codes=r"5\.2\.1"),
    _row(_NO_USER, codes=r"5\.1\.[01346]"),
    # RFC 3463 3.8: security or policy status; 3.7: media. The sender's message or standing, not the mailbox.
    _row(_OURS, codes=r"5\.[67]\.\d+"),
    _row(_AWAY, codes=r"5\.4\.\d+"),
    # A bare 550 or 553 to RCPT means that the mailbox is unavailable, RFC 5321 4.2.3.
    _row(Failure(_S, Reason.NOT_DEFINED), pattern=r"^55[013]\b"),
    # RFC 5321 4.2.4, RFC 3463 3.6: we are not understood.
    _row(_OURS, codes=r"5\.5\.[0-6]", pattern=r"^(50[0-4]|555)\b"),
)  # fmt: skip
