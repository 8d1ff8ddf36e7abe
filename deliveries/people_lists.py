"""Lists of people: lines that name them are looked up by the batch, and whoever they name is put on the list.

    add(people_list, lines_of(text))      Added: how many lines, how many people, which lines name nobody

A line is an email address, a phone number, or an identifier elsewhere; it names everybody who has it. What names
nobody is told once, and stored nowhere.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.conf import settings
from django.db import transaction

from profiles import addresses
from profiles.channels import Channel
from profiles.digests import digest
from profiles.imports import refusal
from profiles.models import Address, Profile

from .models import ListMember, PeopleList

BATCH = 1_000
UNKNOWN_SHOWN = 50
_NUMBERS = (Channel.SMS, Channel.PHONE)
# How the column that names people is called, in the order in which one is chosen.
COLUMNS = (
    "external_id", "id", "identifier", "identifiant", "email", "e-mail", "mail", "courriel", "address", "adresse",
    "phone", "mobile", "sms", "telephone", "téléphone",
)  # fmt: skip
# "PK": a zip archive, which is what spreadsheets save by default; then gzip, the older Excel, PDF.
_NOT_TEXT = (b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0", b"%PDF")


@dataclass(slots=True)
class Added:
    """What became of some lines. `shared` name two people or more; `unknown` are the first that name nobody."""

    lines: int = 0
    people: int = 0
    shared: int = 0
    unknown_lines: int = 0
    unknown: list[str] = field(default_factory=list)


def decoded(data: bytes) -> str:
    """Return the text of a file, whatever program wrote it. Raise ImportRefused for what is no text."""
    if data.startswith(_NOT_TEXT):
        raise refusal("not_text")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def lines_of(text: str) -> list[str]:
    """Return what names somebody in each line: the column that is called so, else the first. Raise ImportRefused."""
    lines = [line for line in text.replace("\x00", "").splitlines() if line.strip()]
    if not lines:
        return []
    delimiter = max(";\t,", key=lines[0].count)
    rows = _rows(lines, delimiter) if delimiter in lines[0] else [[line] for line in lines]
    titles = [cell.strip().strip('"').casefold() for cell in rows[0]]
    named = next((titles.index(name) for name in COLUMNS if name in titles), None)
    body = rows if named is None else rows[1:]
    column = named or 0
    found = (row[column].strip().strip('"') for row in body if len(row) > column)
    return [cell for cell in found if cell]


def _rows(lines: list[str], delimiter: str) -> list[list[str]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        return [row for row in reader if row]
    except csv.Error:
        too_long = len(lines[reader.line_num - 1]) > csv.field_size_limit()
        # Or a quotation mark swallows the following lines: whom they name cannot be known.
        raise refusal("long_line" if too_long else "open_quote", line=reader.line_num) from None


def add(people_list: PeopleList, lines: Iterable[str], *, replace: bool = False) -> Added:
    """Put whoever the lines name on a list; with `replace`, nobody else stays. A few queries per thousand lines."""
    told, meant = Added(), set[int]()
    for batch in _batches(lines):
        for line, profiles in zip(batch, _named_by(batch), strict=True):
            told.lines += 1
            told.shared += len(profiles) > 1
            meant |= profiles
            if not profiles:
                told.unknown_lines += 1
                told.unknown += [line] if len(told.unknown) < UNKNOWN_SHOWN else []
    told.people = len(meant)
    with transaction.atomic():
        _locked(people_list)
        if replace:
            people_list.members.all().delete()
        members = [ListMember(people_list=people_list, profile_id=profile) for profile in sorted(meant)]
        ListMember.objects.bulk_create(members, batch_size=BATCH, ignore_conflicts=True)
        _counted(people_list, unknown=told.unknown_lines)
    return told


def remove(people_list: PeopleList, profiles: Sequence[int]) -> int:
    """Take people off a list; return how many were on it."""
    with transaction.atomic():
        _locked(people_list)
        gone, _by_model = people_list.members.filter(profile__in=profiles).delete()
        _counted(people_list)
    return gone


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(lines)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _named_by(lines: Sequence[str]) -> list[set[int]]:
    """Return whom each line names. One query per kind of name among them."""
    wanted = [_digests(line) for line in lines]
    by_digest: dict[bytes, set[int]] = {}
    for channel in (Channel.EMAIL, *_NUMBERS):
        digests = {read[channel] for read in wanted if channel in read}
        held = Address.objects.filter(channel=channel, digest__in=digests)
        for profile, found in held.values_list("profile_id", "digest") if digests else ():
            by_digest.setdefault(bytes(found), set()).add(profile)
    by_id = dict(Profile.objects.filter(external_id__in=set(lines)).values_list("external_id", "pk"))
    return [
        set().union(*(by_digest.get(one, set()) for one in read.values()), [by_id[line]] if line in by_id else [])
        for line, read in zip(lines, wanted, strict=True)
    ]


def _digests(line: str) -> dict[Channel, bytes]:
    """Return the digests of the address that a line reads as, per channel; none where it is no address."""
    if "@" in line:
        read = addresses.read(Channel.EMAIL, line)
        return {} if read.flaw else {Channel.EMAIL: digest(Channel.EMAIL, read.key)}
    read = addresses.read(Channel.SMS, line, country=settings.DEFAULT_COUNTRY)
    return {} if read.flaw else {channel: digest(channel, read.key) for channel in _NUMBERS}


def _locked(people_list: PeopleList) -> None:
    """Let one change of a list be made after the other."""
    PeopleList.objects.select_for_update().get(pk=people_list.pk)


def _counted(people_list: PeopleList, *, unknown: int | None = None) -> None:
    people_list.size = people_list.members.count()
    people_list.unknown = people_list.unknown if unknown is None else unknown
    people_list.save(update_fields=["size", "unknown"])
