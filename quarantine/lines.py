"""Turn the lines of a file into addresses to leave out.

An address to leave out must not get lost over a detail: a cause or a date that cannot be read is remarked, and its
address left out all the same. Refused is only what might leave out an address that nobody meant.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time

from django.conf import settings
from django.utils import timezone

from profiles.addresses import read
from profiles.channels import Channel
from profiles.digests import digest
from profiles.imports.columns import Columns, Table, aliased, plain
from profiles.imports.files import Record
from profiles.imports.lines import ERROR, REMARK, Line, read_country, text_of
from profiles.imports.opt_out_lines import BY_WORD

from .columns import (
    ADDRESS,
    ANSWER,
    CAUSE,
    CAUSES,
    CHANNEL,
    DATE,
    DELIVERY,
    DIGEST,
    REASON,
    REASONS,
    STATUS,
    STATUSES,
    UNTIL,
)
from .entries import Target
from .models import Cause, Reason, Status

EMAIL, MOBILE, PHONE, POSTAL, NOTE, COUNTRY = "email", "mobile_phone", "phone", "postal_address", "note", "country"
NUMBERS = (Channel.SMS, Channel.PHONE)
LONGEST: Mapping[str, int] = {NOTE: 1_000, REASON: 1_000, ANSWER: 500, DELIVERY: 200}
OLDEST = 1970
_DIGEST = re.compile(r"[0-9a-f]{32}")
_ALIASES = {
    ADDRESS: ("adresse", "contact", "email_ou_mobile", "email_or_mobile"),
    EMAIL: ("e_mail", "mail", "email_address", "courriel", "adresse_e_mail", "adresse_email", "adresse_mail"),
    MOBILE: ("mobile", "mobile_number", "sms", "portable", "telephone_portable", "telephone_mobile"),
    PHONE: ("telephone", "phone_number", "numero"),
    POSTAL: ("adresse_postale",),
    CHANNEL: ("canal",),
    STATUS: ("statut", "etat"),
    CAUSE: ("type", "origine"),
    REASON: ("raison", "motif", "bounce_reason"),
    DATE: ("since", "depuis", "created", "created_at", "bounced_at", "suppressed_at", "timestamp", "date_de_rejet"),
    UNTIL: ("release", "release_date", "jusqu_au"),
    ANSWER: ("text", "error", "diagnostic", "reponse", "message", "description"),
    NOTE: ("comment", "commentaire", "remarque"),
    DELIVERY: ("campaign", "campagne", "diffusion"),
    DIGEST: (),
    COUNTRY: ("pays",),
}  # fmt: skip
TABLE = Table(
    aliased(_ALIASES), tuple(_ALIASES), (ADDRESS, EMAIL, MOBILE, PHONE, POSTAL, DIGEST), "no_address_column",
    "no_opt_out_column", attributes=False,
)  # fmt: skip


@dataclass(slots=True)
class LeftOutLine(Line):
    """What one line says; without `targets` it asks for nothing, or cannot be read (`notes` then holds errors)."""

    targets: list[Target] = field(default_factory=list)
    cause: Cause = Cause.IMPORT
    reason: Reason = Reason.NOT_DEFINED
    date: datetime | None = None
    until: datetime | None = None
    words: str = ""  # why, as a person wrote it
    answer: str = ""  # what the receiving side wrote
    delivery: str = ""


def read_lines(records: Iterable[Record], columns: Columns, *, at: datetime) -> list[LeftOutLine]:
    """Read lines as of a moment."""
    return [_read(record, columns, at) for record in records]


def _read(record: Record, columns: Columns, at: datetime) -> LeftOutLine:
    line = LeftOutLine(record.line)
    if record.flaw:
        line.note(ERROR, record.flaw)
        return line
    cells = {column: text for column, cell in zip(columns, record.cells, strict=True) if (text := text_of(cell))}
    status = _status(line, cells)
    _take_addresses(line, cells)
    _take_why(line, cells)
    _take_dates(line, cells, at)
    if status not in (None, Status.QUARANTINED):
        line.note(REMARK, "not_left_out", STATUS, cells[STATUS])
        line.targets.clear()
    elif line.until and line.until <= at:
        line.note(REMARK, "released_by_then", UNTIL, cells[UNTIL])
        line.targets.clear()
    return line


def _status(line: LeftOutLine, cells: Mapping[str, str]) -> Status | None:
    if not (text := cells.get(STATUS)):
        return None
    found = STATUSES.get(plain(text))
    if found is None:
        line.note(ERROR, "bad_status", STATUS, text)
    return found


def _take_addresses(line: LeftOutLine, cells: Mapping[str, str]) -> None:
    country = read_country(cells.get(COUNTRY, "")) or settings.DEFAULT_COUNTRY
    asked = plain(cells.get(CHANNEL, ""))
    if asked and asked not in BY_WORD:
        line.note(ERROR, "bad_channel", CHANNEL, cells[CHANNEL])
    chosen = BY_WORD.get(asked)
    for column in (ADDRESS, EMAIL, MOBILE, PHONE, POSTAL):
        if text := cells.get(column):
            _take_address(line, column, text, _channels(column, text, chosen), country)
    if text := cells.get(DIGEST):
        if _DIGEST.fullmatch(text) and chosen:
            line.targets.append(Target(chosen, bytes.fromhex(text)))
        else:
            line.note(ERROR, "bad_digest", DIGEST, text)
    if not (line.targets or line.is_refused()):
        line.note(ERROR, "no_address")


def _channels(column: str, text: str, chosen: Channel | None) -> tuple[Channel, ...]:
    """Return what an address is for: what the line says, else its column, else how it is written."""
    if column == EMAIL:
        return (Channel.EMAIL,)
    if column == POSTAL:
        return (Channel.DIRECT_MAIL,)
    if chosen and (column == ADDRESS or chosen in NUMBERS):
        return (chosen,)
    return (Channel.EMAIL,) if column == ADDRESS and "@" in text else NUMBERS


def _take_address(line: LeftOutLine, column: str, text: str, channels: Iterable[Channel], country: str) -> None:
    for channel in channels:
        found = read(channel, text, country=country)
        if found.flaw:
            line.note(ERROR, found.flaw.value, column, text)
            return
        line.targets.append(Target(channel, digest(channel, found.key), found.value, found.key))


def _take_why(line: LeftOutLine, cells: Mapping[str, str]) -> None:
    if text := cells.get(CAUSE):
        line.cause = CAUSES.get(plain(text), Cause.IMPORT)
        if plain(text) not in CAUSES:
            line.note(REMARK, "bad_cause", CAUSE, text)
    words = [cells[NOTE]] if cells.get(NOTE) else []
    if text := cells.get(REASON):
        # Other systems write a sentence here: it is kept as one.
        if plain(text) in REASONS:
            line.reason = REASONS[plain(text)]
        else:
            words.append(text)
    line.words = " – ".join(words)[: LONGEST[NOTE]]
    line.answer = cells.get(ANSWER, "")[: LONGEST[ANSWER]]
    line.delivery = cells.get(DELIVERY, "")[: LONGEST[DELIVERY]]
    for column, limit in LONGEST.items():
        if len(cells.get(column, "")) > limit:
            line.note(REMARK, "cut_reason", column, cells[column])


def _take_dates(line: LeftOutLine, cells: Mapping[str, str], at: datetime) -> None:
    if text := cells.get(DATE):
        line.date = _moment(text)
        if line.date is None or line.date > at or line.date.year < OLDEST:
            line.note(REMARK, "bad_left_out_date", DATE, text)
            line.date = None
    if text := cells.get(UNTIL):
        line.until = _moment(text)
        if line.until is None:
            line.note(REMARK, "bad_until", UNTIL, text)


def _moment(text: str) -> datetime | None:
    """Read a day or a moment; without a time zone it is that of the installation."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        midnight = found if found.time() != time.min else datetime.combine(found.date(), time.min)
        found = midnight.replace(tzinfo=timezone.get_default_timezone())
    return found
