"""Which messages of ours reports are about, and for which of their recipients they prove it.

Anybody can write a report. It proves something by what only a message of ours holds: the signed return path that it
was sent with, or the sealed token of its Message-ID. Both are made for one log row, whose address is the only one that
a report may speak of. A recipient whom neither proves is left to a person, with the reason (`Triage`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from profiles import digests
from profiles.addresses import read
from profiles.channels import Channel
from profiles.errors import TokenRefused
from profiles.tokens import Purpose, open_return_path, open_token
from quarantine.inbound.opt_outs import Token
from quarantine.inbound.reports import Finding, Recipient
from quarantine.models import Triage

from .models import DeliveryLog, LogStatus

PATHS, IDENTIFIERS = 10, 20  # of one report, that are tried
_ROW, _TEST = b"row", b"proof"
# A Message-ID of ours: key id, tag, kind and number in base64. Other systems make identifiers of capitals and digits.
_IDENTIFIER_LENGTHS = {38, 40}
# Log rows and tests are numbered from 1 and -1. What a forged return path decodes to lies anywhere in 64 bits.
_HIGHEST_NUMBER = 2**47
# What the sender writes about a message before it leaves, and what becomes of it afterwards. A report can be faster
# than the worker is in writing that it was sent.
_LEFT = {LogStatus.HANDING_OFF, LogStatus.SENT, LogStatus.IN_DOUBT}


@dataclass(frozen=True, slots=True)
class Row:
    """What a report needs of a log row."""

    pk: int
    run: int
    delivery: int
    status: int
    address: str
    digest: bytes

    @property
    def has_left(self) -> bool:
        """Say whether the message may have been handed over."""
        return self.status in _LEFT


@dataclass(frozen=True, slots=True)
class Proven:
    """A recipient whom a report may speak of; `row` is None where its return path alone proves it, the log being gone.

    `number` is that of the log row, which may be gone.
    """

    recipient: Recipient
    digest: bytes
    number: int
    row: Row | None

    @property
    def address(self) -> str:
        """Return the address as the message was sent to it, else as the report has it."""
        return self.row.address if self.row else self.recipient.address

    @property
    def delivery(self) -> int | None:
        return self.row.delivery if self.row else None


@dataclass(frozen=True, slots=True)
class Match:
    """What a report proves: for whom, and why not for the others. `is_test`: it is about a test message."""

    token: Token
    proven: tuple[Proven, ...] = ()
    triage: Triage = Triage.NONE
    is_test: bool = False
    number: int | None = None


@dataclass(slots=True)
class _Tokens:
    """The tokens of a report: those that are made like ours, and of these the ones that open."""

    paths: list[tuple[int, Callable[[bytes], bool]]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    of_test: bool = False
    looks: bool = False

    @property
    def numbers(self) -> set[int]:
        found = {*self.rows, *(number for number, _proves in self.paths)}
        return {number for number in found if 0 < number < _HIGHEST_NUMBER}


def match(reports: Sequence[Finding]) -> list[Match]:
    """Return what each report proves, in their order. One query for all of them; none without a token."""
    tokens = [_open(report) for report in reports]
    rows = _rows({number for found in tokens for number in found.numbers})
    return [_match(report, found, rows) for report, found in zip(reports, tokens, strict=True)]


def digest_of(address: str) -> bytes:
    """Return the digest of an email address, however it is spelt."""
    return digests.digest(Channel.EMAIL, read(Channel.EMAIL, address).key)


def _open(report: Finding) -> _Tokens:
    found = _Tokens()
    for local in report.return_paths[:PATHS]:
        found.looks = True
        try:
            found.paths.append(open_return_path(local))
        except TokenRefused:
            continue
    for identifier in report.message_ids[:IDENTIFIERS]:
        token = identifier.partition("@")[0]
        if len(token) not in _IDENTIFIER_LENGTHS or token.upper() == token or token.lower() == token:
            continue
        found.looks = True
        try:
            payload = open_token(Purpose.MESSAGE_ID, token)
        except TokenRefused:
            continue
        kind, number = payload[:-8], int.from_bytes(payload[-8:], "big")
        found.of_test = found.of_test or kind == _TEST
        if kind == _ROW:
            found.rows.append(number)
    return found


def _rows(numbers: Iterable[int]) -> dict[int, Row]:
    if not (wanted := sorted(numbers)):
        return {}
    found = DeliveryLog.objects.filter(pk__in=wanted, digest__isnull=False).values_list(
        "pk", "run_id", "delivery_id", "status", "address", "digest"
    )
    return {
        pk: Row(pk, run, to, status, address, bytes(digest or b"")) for pk, run, to, status, address, digest in found
    }


def _match(report: Finding, tokens: _Tokens, rows: dict[int, Row]) -> Match:
    if not tokens.looks:
        return Match(Token.ABSENT, triage=Triage.NO_TOKEN)
    verdicts = [_judge(who, tokens, rows) for who in report.recipients] or _judge_row(report, tokens, rows)
    proven = tuple(verdict for verdict in verdicts if isinstance(verdict, Proven))
    refused = [verdict for verdict in verdicts if isinstance(verdict, Triage)]
    if tokens.of_test or (not refused and not proven):
        return Match(Token.VALID, is_test=True)
    return Match(
        Token.VALID if proven else Token.INVALID, proven, refused[0] if refused else Triage.NONE,
        number=min(tokens.numbers & rows.keys(), default=None),
    )  # fmt: skip


def _judge(who: Recipient, tokens: _Tokens, rows: dict[int, Row]) -> Proven | Triage | None:
    """Return for whom a recipient is proven, or why not; None for that of a test."""
    digest = _digest(who.address, tokens, rows)
    for number, proves in tokens.paths:
        if proves(digest):
            return _counts(who, digest, number, rows) if number > 0 else None
    for number in tokens.rows:
        if number in rows and rows[number].digest == digest:
            return _counts(who, digest, number, rows)
    return _why_not(tokens, rows)


def _digest(address: str, tokens: _Tokens, rows: dict[int, Row]) -> bytes:
    """Return the digest of an address; reading one is slow, and nearly all are written as the log row has them."""
    folded = address.casefold()
    known = (rows[number] for number in tokens.numbers if number in rows)
    return next((row.digest for row in known if row.address.casefold() == folded), None) or digest_of(address)


def _counts(who: Recipient, digest: bytes, number: int, rows: dict[int, Row]) -> Proven | Triage:
    row = rows.get(number)
    return Proven(who, digest, number, row) if row is None or row.has_left else Triage.UNKNOWN_MESSAGE


def _judge_row(report: Finding, tokens: _Tokens, rows: dict[int, Row]) -> list[Proven | Triage | None]:
    """Find who a report is about that names nobody, as complaints often do: the address of the row that it proves."""
    for number in _genuine(tokens, rows):
        row = rows[number]
        who = Recipient(row.address, None, None, "", "")
        return [Proven(who, row.digest, number, row) if row.has_left else Triage.UNKNOWN_MESSAGE]
    return [_why_not(tokens, rows)]


def _genuine(tokens: _Tokens, rows: dict[int, Row]) -> list[int]:
    """Return the rows that the tokens were really made for."""
    by_path = [number for number, proves in tokens.paths if number in rows and proves(rows[number].digest)]
    return [*by_path, *(number for number in tokens.rows if number in rows)]


def _why_not(tokens: _Tokens, rows: dict[int, Row]) -> Triage:
    if _genuine(tokens, rows):
        return Triage.OTHER_RECIPIENT
    unproven = [number for number, _proves in tokens.paths if number not in rows]
    if tokens.rows or any(abs(number) < _HIGHEST_NUMBER for number in unproven):
        return Triage.UNKNOWN_MESSAGE
    return Triage.FORGED
