"""What an SMTP answer means for the message: one table of where it came and of which kind it is.

Where: while the server judges us (up to MAIL), while it judges the recipient and the message (RCPT, DATA), or after
the final dot. Before the dot the message was not accepted and may be tried again; after it, without a clear answer,
nobody knows (RFC 5321 section 6.1, RFC 1047). What the words of a refusal say is looked up in `quarantine.failures`.
"""

from collections.abc import Mapping
from enum import Enum

from quarantine.answer_rules import last_read
from quarantine.failures import Fault, classify

from ..models import LogStatus
from .base import Blame, Outcome, Verb

S = LogStatus
# RFC 5321 section 4.3.2, RFC 3207 section 4, RFC 4954 section 4. Whatever else comes is no consent.
EXPECTED: Mapping[Verb, tuple[int, ...]] = {
    Verb.CONNECT: (220,),
    Verb.EHLO: (250,),
    Verb.STARTTLS: (220,),
    Verb.AUTH: (235,),
    Verb.MAIL: (250,),
    Verb.RCPT: (250, 251, 252),
    Verb.DATA: (354,),
    Verb.END: (250,),
}


class Stage(Enum):
    """What the server has been asked to accept."""

    US = "us"
    RECIPIENT = "recipient"
    MESSAGE = "message"


class Sort(Enum):
    """The kinds of answers."""

    EXPECTED = "expected"
    CLOSING = "421"
    LATER = "4xx"
    NEVER = "5xx"
    STRANGE = "anything else, and no answer at all"


Cell = Mapping[Fault, tuple[LogStatus, Blame]]


def _always(status: LogStatus, blame: Blame) -> Cell:
    return dict.fromkeys(Fault, (status, blame))


_AGAIN, _US = _always(S.RETRY, Blame.CONNECTION), _always(S.RETRY, Blame.SENDER)
_CLOSING: Cell = {**_AGAIN, Fault.DOMAIN: (S.RETRY, Blame.DOMAIN)}
# Whoever is at fault, a temporary refusal passes with time; only a domain that asks for it is given a rest.
_LATER: Cell = {**_always(S.RETRY, Blame.ADDRESS), Fault.DOMAIN: (S.RETRY, Blame.DOMAIN)}
# Only what is about the mailbox is final: the rest of the list must not be burnt for what is about us.
_NEVER: Cell = {
    Fault.ADDRESS: (S.FAILED, Blame.ADDRESS),
    Fault.DOMAIN: (S.RETRY, Blame.DOMAIN),
    Fault.SENDER: (S.RETRY, Blame.SENDER),
}
TABLE: Mapping[tuple[Stage, Sort], Cell] = {
    (Stage.US, Sort.CLOSING): _AGAIN,
    (Stage.US, Sort.LATER): _AGAIN,
    (Stage.US, Sort.NEVER): _US,
    (Stage.US, Sort.STRANGE): _AGAIN,
    (Stage.RECIPIENT, Sort.CLOSING): _CLOSING,
    (Stage.RECIPIENT, Sort.LATER): _LATER,
    (Stage.RECIPIENT, Sort.NEVER): _NEVER,
    (Stage.RECIPIENT, Sort.STRANGE): _AGAIN,
    (Stage.MESSAGE, Sort.EXPECTED): _always(S.SENT, Blame.ADDRESS),
    (Stage.MESSAGE, Sort.CLOSING): _CLOSING,
    (Stage.MESSAGE, Sort.LATER): _LATER,
    (Stage.MESSAGE, Sort.NEVER): _NEVER,
    (Stage.MESSAGE, Sort.STRANGE): _always(S.IN_DOUBT, Blame.CONNECTION),
}


def goes_on(verb: Verb, code: int) -> bool:
    """Say whether an answer is the one that lets the dialogue go on, or ends it well."""
    return code in EXPECTED[verb]


def outcome(verb: Verb, code: int, text: str) -> Outcome:
    """Return what became of a message whose dialogue ended with this answer; `code` is 0 when there was none.

    Not for an expected answer before the final dot: there the dialogue goes on.
    """
    if code == 250 and verb == Verb.END:  # nearly all of them; the table says the same
        return Outcome(S.SENT, code, text, Blame.ADDRESS, verb)
    status, blame = TABLE[_stage(verb), _sort(verb, code)][classify(code, text, last_read()).fault]
    return Outcome(status, code, text, blame, verb)


def _stage(verb: Verb) -> Stage:
    if verb == Verb.END:
        return Stage.MESSAGE
    return Stage.RECIPIENT if verb in (Verb.RCPT, Verb.DATA) else Stage.US


def _sort(verb: Verb, code: int) -> Sort:
    if goes_on(verb, code):
        return Sort.EXPECTED
    if code == 421:
        return Sort.CLOSING
    if 400 <= code <= 499:
        return Sort.LATER
    return Sort.NEVER if 500 <= code <= 599 else Sort.STRANGE
