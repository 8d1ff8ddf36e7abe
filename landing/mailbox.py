"""What comes into the mailboxes of Campaign: unsubscribe messages, and reports about messages that were sent.

    receive([raw, ...], at=...)     read messages and act on them
    look(raw)                       say what a message is, and change nothing

No message is answered, and none is trusted: what it says counts for whom its token proves, and for nobody else. One
that cannot be dealt with is kept aside, and the others go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import Error, InterfaceError, OperationalError, transaction

from deliveries import reported
from deliveries.models import Delivery
from deliveries.reported import Incoming, Outcome
from profiles.consent import Evidence
from profiles.models import Profile, Source
from profiles.texts import supported
from profiles.tokens import OptOutLink
from quarantine import failures
from quarantine.failures import Rule
from quarantine.inbound import reports
from quarantine.inbound.opt_outs import Token
from quarantine.inbound.reports import Finding, Recipient
from quarantine.models import ReportKind

from . import stopping

MAIL, IMAP = "mail", "imap"  # which way a message came in
BATCH, BATCH_OCTETS = 300, 8_000_000  # messages that are received together


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a message is, whom it is about, whether its token is good, and what became of it.

    `profiles` says how many were opted out by it; `error` is the kind of error where it could not be dealt with.
    """

    kind: ReportKind
    token: Token
    outcome: Outcome
    recipients: tuple[Recipient, ...] = ()
    profiles: int = 0
    error: str = ""


def receive(messages: Sequence[bytes], *, at: datetime, source: str = MAIL) -> list[Receipt]:
    """Act on messages; return a receipt for each, in their order. Idempotent: a message again changes nothing more.

    Raises an Error of the database when that cannot be written: then the same messages can be received again later.
    """
    rules = failures.own_rules()
    found: dict[int, Receipt] = {}
    pending: dict[int, Incoming] = {}
    for number, raw in enumerate(messages):
        understood = _understand(raw, rules)
        if isinstance(understood, Receipt):
            reported.keep_aside(raw, source=source, at=at)
            found[number] = understood
        elif link := _link(understood):
            found[number] = _leave(Incoming(understood, raw, source), link, at=at)
        else:
            pending[number] = Incoming(understood, raw, source)
    found.update(zip(pending, _act(list(pending.values()), at=at), strict=True))
    return [found[number] for number in range(len(messages))]


def look(raw: bytes) -> Receipt:
    """Say what would become of a message that has not come in before. Nothing is written.

    Without a database its answers are read by the built-in rules alone; only a token needs more.
    """
    understood = _understand(raw, failures.own_rules())
    if isinstance(understood, Receipt):
        return understood
    if _link(understood):
        return Receipt(understood.kind, Token.VALID, Outcome.LEFT)
    (result,) = reported.look([Incoming(understood, raw)])
    return Receipt(understood.kind, result.token, result.outcome, result.recipients)


def _understand(raw: bytes, rules: Sequence[Rule]) -> Finding | Receipt:
    """Read a message; one that the reader fails on is told by a receipt."""
    try:
        return reports.understand(raw, rules)
    except Exception as error:  # noqa: BLE001 (what a stranger wrote must not stop what others wrote)
        return Receipt(ReportKind.OTHER, Token.ABSENT, Outcome.BROKEN, error=type(error).__name__)


def _link(found: Finding) -> OptOutLink | None:
    """Return the link by which somebody leaves, if that is what a message is for."""
    return found.opt_out.link if found.kind == ReportKind.UNSUBSCRIBE else None


def _act(pending: Sequence[Incoming], *, at: datetime) -> list[Receipt]:
    """Act on reports together; where that fails, on each by itself."""
    if not pending:
        return []
    try:
        results = reported.receive(pending, at=at)
    except Error as error:
        if len(pending) > 1:
            return [receipt for one in pending for receipt in _act([one], at=at)]
        return [_put_aside(pending[0], error, at=at)]
    return [
        Receipt(one.finding.kind, result.token, result.outcome, result.recipients)
        for one, result in zip(pending, results, strict=True)
    ]


def _leave(one: Incoming, link: OptOutLink, *, at: datetime) -> Receipt:
    """Opt out whoever a link is for."""
    try:
        with transaction.atomic():
            profiles = len(stopping.leave(link, evidence=_evidence(link), at=at))
    except Error as error:
        return _put_aside(one, error, at=at)
    return Receipt(one.finding.kind, Token.VALID, Outcome.LEFT, profiles=profiles)


def _put_aside(one: Incoming, error: Error, *, at: datetime) -> Receipt:
    """Keep a message that the database refuses; raise when the database itself is in trouble."""
    if isinstance(error, OperationalError | InterfaceError):
        raise error
    reported.keep_aside(one.raw, source=one.source, at=at)  # raises when nothing can be written at all
    return Receipt(one.finding.kind, Token.ABSENT, Outcome.BROKEN, error=type(error).__name__)


def _evidence(link: OptOutLink) -> Evidence:
    """Return who did it, in the language of the person: a message says nothing sure about its own."""
    delivery = Delivery.objects.filter(pk=link.delivery).first() if link.delivery else None
    held = stopping.holder(link)
    person = Profile.objects.filter(pk=held.profile_id).first() if held else None
    return Evidence(
        source=Source.MAILTO, language=supported(person.language if person else ""),
        delivery_id=link.delivery or None, delivery_name=delivery.label if delivery else "",
    )  # fmt: skip
