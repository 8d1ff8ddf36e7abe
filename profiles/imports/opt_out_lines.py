"""Turn the cells of one line into the opt-outs that it asks for. Nothing in such a file can lift anything.

An opt-out must not get lost over a detail: a date that cannot be read is kept as it is written, and of two addresses
the one that can be read is opted out. Both are remarked.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from django.conf import settings

from profiles.addresses import ReadAddress, read
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.digests import digest
from profiles.models import Service
from profiles.opt_outs import AddressOptOut

from .columns import ADDRESS, ADDRESSES, CHANNEL, DATE, FLAG_COLUMNS, REASON, SERVICE, Columns, plain
from .files import Record
from .lines import ERROR, REMARK, Line, printable, read_country, read_flag, text_of

MAX_REASON = 1_000
MAX_DATE = 40  # of a date that is kept as it is written
_CHANNELS: Mapping[Channel | None, tuple[str, ...]] = {
    None: ("all", "any", "every", "everything", "every_channel", "all_channels", "tous", "tout", "tous_les_canaux"),
    Channel.EMAIL: ("email", "e_mail", "mail", "courriel", "courrier_electronique"),
    Channel.SMS: ("sms", "text", "texto", "mobile"),
    Channel.PUSH: ("push", "push_notification", "notification", "notification_push"),
    Channel.DIRECT_MAIL: ("direct_mail", "post", "postal", "courrier", "courrier_postal"),
    Channel.PHONE: ("phone", "telephone", "call", "appel"),
}
BY_WORD = {word: channel for channel, words in _CHANNELS.items() for word in (*words, FLAGS[channel])}


@dataclass(slots=True)
class OptOutLine(Line):
    """What one line asks for, or why it cannot be read (`notes` then holds errors)."""

    addresses: dict[str, tuple[Channel, ReadAddress]] = field(default_factory=dict)  # by column
    country: str = ""
    channels: list[Channel | None] = field(default_factory=list)
    lifts: list[Channel | None] = field(default_factory=list)  # a "no": asked for, and not done
    service: Service | None = None
    date: str = ""
    reason: str = ""

    def names_scope(self) -> bool:
        return bool(self.channels or self.lifts or self.service)

    def entries(self, *, service: Service | None, file_name: str) -> Iterator[AddressOptOut]:
        """Yield what the line asks for; where it names no scope, from the service, else on the address's channel."""
        reason = " – ".join(part for part in (f"opted out elsewhere{self.date}", self.reason, file_name) if part)
        left = self.service or (None if self.names_scope() else service)
        for channel, found in self.addresses.values():
            wanted = self.channels if left or self.names_scope() else [channel]
            if left:
                yield AddressOptOut(digest(channel, found.key), service=left, reason=reason)
            for scope in wanted:
                for value in _digests(channel, found.key, scope):
                    yield AddressOptOut(value, channel=scope, reason=reason)
            for scope in self.lifts:
                for value in _digests(channel, found.key, scope):
                    yield AddressOptOut(value, channel=scope, lift=True)


def services_by_name() -> dict[str, Service]:
    """Return all services, archived ones too: somebody may have left them elsewhere."""
    return {service.name.casefold(): service for service in Service.objects.all()}


def read_opt_outs(
    records: Iterable[Record], columns: Columns, *, services: Mapping[str, Service], today: date
) -> list[OptOutLine]:
    """Read lines; `services` are all there are, by their names."""
    return [_read(record, columns, services, today) for record in records]


def _digests(channel: Channel, key: str, scope: Channel | None) -> Iterator[bytes]:
    """Yield the digests of an address: a number may be stored to be written to, or to be called."""
    yield digest(channel, key)
    if channel == Channel.SMS and scope in (None, Channel.PHONE):
        yield digest(Channel.PHONE, key)


def _read(record: Record, columns: Columns, services: Mapping[str, Service], today: date) -> OptOutLine:
    line = OptOutLine(record.line)
    if record.flaw:
        line.note(ERROR, record.flaw)
        return line
    cells = {column: text for column, cell in zip(columns, record.cells, strict=True) if (text := text_of(cell))}
    line.country = read_country(cells.get("country", "")) or settings.DEFAULT_COUNTRY
    _take_addresses(line, cells)
    _take_scope(line, cells, services)
    if cells.get(DATE):
        line.date = f" on {_date(line, cells[DATE], today)}"
    line.reason = cells.get(REASON, "")[:MAX_REASON]
    if len(cells.get(REASON, "")) > MAX_REASON:
        line.note(REMARK, "cut_reason", REASON, cells[REASON])
    return line


def _take_addresses(line: OptOutLine, cells: Mapping[str, str]) -> None:
    bad = []
    is_email = BY_WORD.get(plain(cells.get(CHANNEL, ""))) == Channel.EMAIL
    for column in (*ADDRESSES, ADDRESS):
        if text := cells.get(column):
            channel = ADDRESSES.get(column) or (Channel.EMAIL if "@" in text or is_email else Channel.SMS)
            found = read(channel, text, country=line.country)
            if found.flaw:
                bad.append((column, found.flaw.value, text))
            else:
                line.addresses[column] = channel, found
    level = REMARK if line.addresses else ERROR
    for column, flaw, text in bad:
        line.note(level, flaw, column, text)
    if not (bad or line.addresses):
        line.note(ERROR, "no_address")


def _take_scope(line: OptOutLine, cells: Mapping[str, str], services: Mapping[str, Service]) -> None:
    if text := cells.get(CHANNEL):
        if (word := plain(text)) in BY_WORD:
            line.channels.append(BY_WORD[word])
        else:
            line.note(ERROR, "bad_channel", CHANNEL, text)
    for column, channel in FLAG_COLUMNS.items():
        if column in cells and (yes := read_flag(line, column, cells[column])) is not None:
            scopes = line.channels if yes else line.lifts
            if channel not in scopes:
                scopes.append(channel)
    if text := cells.get(SERVICE):
        line.service = services.get(text.casefold())
        if line.service is None:
            line.note(ERROR, "unknown_service", SERVICE, text)


def _date(line: OptOutLine, text: str, today: date) -> str:
    """Return a date as year, month and day; as it is written, with a remark, if it cannot be one of an opt-out."""
    try:
        found = datetime.fromisoformat(text).date()
    except ValueError:
        found = None
    if found and found.year >= 1970 and found <= today:
        return found.isoformat()
    line.note(REMARK, "bad_opt_out_date", DATE, text)
    return printable(text)[:MAX_DATE]
