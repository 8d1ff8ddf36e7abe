"""Apply lines to people in memory, in the order of the file.

Who a line is about
    The profile that has its external_id; else the oldest profile that has its email address; else a new one.
    A profile found by its address, without an identifier so far, is given that of the line.

What is refused (with the line, the column and a remedy)
    email_of_another    the identifier is that of one profile, the address that of another one
    known_as_another    the identifier is new, but the address is that of a person with another identifier
    Both would make a second profile with the address of a person whose opt-out it would not know.

The work is done in two passes over a batch, so that all that is looked up in between is looked up once: `apply_data`
finds people and changes their fields and addresses, `apply_consent` opts out, subscribes and remarks. Each line sees
what those before it did, whatever the size of a batch. Nothing here reads or writes the database.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from profiles.addresses import ReadAddress, read
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.custom_fields import Value
from profiles.digests import digest
from profiles.models import ErasedOptOut

from .columns import ADDRESSES, EMAIL, EXTERNAL_ID
from .lines import ERROR, REMARK, Line, PersonLine, check_address


@dataclass(slots=True)
class Held:
    """An address of a person; its position is its place in the list of its channel."""

    value: str
    key: str
    digest: bytes
    validity: int
    pk: int | None = None
    position: int = 0  # the stored one


@dataclass(slots=True)
class Person:
    """What is known of one profile and, below, what a batch changes about it."""

    pk: int | None = None
    values: dict[str, Any] = field(default_factory=dict)  # external_id, names, language, ...
    attributes: dict[str, Any] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    held: dict[int, list[Held]] = field(default_factory=dict)  # by channel, in the order of their positions
    subscribed: bool = False
    was_subscribed: bool = False
    unsubscribed: bool = False  # the last thing they did about the service was to leave it

    touched: bool = False  # a line was applied
    changed: bool = False  # the row of the profile, its search text included
    moved: set[int] = field(default_factory=set)  # channels whose positions changed
    gained: list[bytes] = field(default_factory=list)  # digests of new addresses
    to_come: set[bytes] = field(default_factory=set)  # of these, those of lines whose consent is still to apply
    raised: set[str] = field(default_factory=set)  # flags that the file sets

    def has(self, channel: Channel, value: bytes) -> bool:
        return any(held.digest == value for held in self.held.get(channel, ()))

    def digests(self) -> Iterable[bytes]:
        return (held.digest for many in self.held.values() for held in many)


@dataclass(slots=True)
class People:
    """The people a batch is about, found by identifier and by email address (the oldest one that has it)."""

    by_external_id: dict[str, Person] = field(default_factory=dict)
    by_email: dict[bytes, Person] = field(default_factory=dict)
    new: list[Person] = field(default_factory=list)
    known: list[Person] = field(default_factory=list)

    def touched(self) -> list[Person]:
        return [person for person in (*self.known, *self.new) if person.touched]

    def digests(self) -> set[bytes]:
        return {value for person in self.touched() for value in person.digests()}


@dataclass(slots=True)
class Step:
    """One applied line: whose it is and what it did."""

    line: PersonLine
    person: Person
    created: bool = False
    changed: bool = False
    named: dict[bytes, tuple[str, str]] = field(default_factory=dict)  # digest: column, value
    gained: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Facts:
    """What was looked up about the addresses of a batch."""

    # Digest: the (channel, service id) opt-outs it left behind; 0 stands for every one.
    erased: Mapping[bytes, Collection[tuple[int, int]]]
    left_out: Mapping[bytes, str]  # digest: why


@dataclass(slots=True)
class Counts:
    """What became of the lines. The names are those of ImportJob."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: int = 0
    warnings: int = 0
    opted_out: int = 0
    subscribed: int = 0
    lifts_ignored: int = 0

    @property
    def lines(self) -> int:
        return self.created + self.updated + self.unchanged + self.errors


def apply_data(lines: Iterable[PersonLine], people: People, *, keep_invalid: bool) -> list[Step]:
    """Find who each line is about, and change their fields and addresses. Return the lines that were applied."""
    steps = []
    for line in lines:
        if line.is_refused():
            continue
        person = _find(line, people)
        addresses = _read_addresses(line, person, keep_invalid)
        if line.is_refused():
            continue
        step = Step(line, person or Person(), created=person is None)
        if person is None:
            people.new.append(step.person)
        step.person.touched = True
        _set_values(step)
        for column, found in addresses.items():
            _set_address(step, column, found)
        step.person.changed |= step.changed
        if line.external_id:
            people.by_external_id[line.external_id] = step.person
        if line.email:
            people.by_email.setdefault(line.email_digest, step.person)
        steps.append(step)
    return steps


def apply_consent(steps: Iterable[Step], facts: Facts, *, service: int | None, counts: Counts) -> None:
    """Opt out and subscribe people, remark on their lines, and count. Opting out is monotone: nothing is lifted."""
    for step in steps:
        opted_out = _apply_erased(step, facts, service) | _raise_flags(step)
        lift_ignored = _ignore_lifts(step)
        subscribed = False
        if service and not step.person.subscribed:
            subscribed = _may_subscribe(step, facts, service)
            lift_ignored |= not subscribed
            step.person.subscribed = subscribed
        for value, (column, text) in step.named.items():
            if cause := facts.left_out.get(value):
                step.line.note(REMARK, f"left_out_{cause}", column, text)
        step.changed |= opted_out or subscribed
        counts.opted_out += opted_out
        counts.subscribed += subscribed
        counts.lifts_ignored += lift_ignored
        counts.created += step.created
        counts.updated += step.changed and not step.created
        counts.unchanged += not step.changed and not step.created


def count_notes(lines: Iterable[Line], counts: Counts) -> None:
    """Count refused lines and remarks. A refused line has no remarks: it was not applied."""
    for line in lines:
        if line.is_refused():
            line.notes = [note for note in line.notes if note.level == ERROR]
            counts.errors += 1
        counts.warnings += sum(note.level == REMARK for note in line.notes)


def _find(line: PersonLine, people: People) -> Person | None:
    known = people.by_external_id.get(line.external_id) if line.external_id else None
    owner = people.by_email.get(line.email_digest) if line.email else None
    if known is None:
        if owner is not None and line.external_id and owner.values.get(EXTERNAL_ID):
            line.note(ERROR, "known_as_another", EMAIL, line.email.value if line.email else "")
        return owner
    if owner is not None and owner is not known and not known.has(Channel.EMAIL, line.email_digest):
        line.note(ERROR, "email_of_another", EMAIL, line.email.value if line.email else "")
    return known


def _read_addresses(line: PersonLine, person: Person | None, keep_invalid: bool) -> dict[str, ReadAddress]:
    found = {EMAIL: line.email} if line.email else {}
    country = line.values.get("country") or (person and person.values.get("country")) or settings.DEFAULT_COUNTRY
    for column, text in line.addresses.items():
        address = read(ADDRESSES[column], text, country=str(country))
        if address.value and check_address(line, column, address, keep_invalid=keep_invalid):
            found[column] = address
    return found


def _set_values(step: Step) -> None:
    person, line = step.person, step.line
    wanted: dict[str, Any] = dict(line.values)
    if line.external_id:
        wanted[EXTERNAL_ID] = line.external_id
    for name, value in wanted.items():
        if person.values.get(name) != value:
            person.values[name] = value
            step.changed = True
    for name, value in line.attributes.items():
        if name not in person.attributes or not _says_same(person.attributes[name], value):
            person.attributes[name] = value
            step.changed = True


def _says_same(known: Any, value: Value) -> bool:
    """Compare a stored attribute with that of a file: where a text says the same, a number or truth value stays."""
    if isinstance(value, str):
        return str(known) == value
    return isinstance(known, bool) == isinstance(value, bool) and bool(known == value)


def _set_address(step: Step, column: str, found: ReadAddress) -> None:
    """Make an address the primary one of its channel; those before it move to the next position."""
    channel, person = ADDRESSES[column], step.person
    value = step.line.email_digest if column == EMAIL else digest(channel, found.key)
    step.named[value] = (column, found.value)
    held = person.held.setdefault(channel, [])
    place = next((place for place, one in enumerate(held) if one.digest == value), None)
    if place == 0:
        return
    if place is None:
        held.insert(0, Held(found.value, found.key, value, found.validity))
        person.gained.append(value)
        person.to_come.add(value)
        step.gained.append(value)
    else:
        held.insert(0, held.pop(place))
    person.moved.add(channel)
    step.changed = True


def _apply_erased(step: Step, facts: Facts, service: int | None) -> bool:
    """Opt out a person who is given an address that opted out while nobody had it."""
    person, opted_out = step.person, False
    person.to_come.difference_update(step.gained)
    for value in step.gained:
        for channel, service_id in facts.erased.get(value, ()):
            if service_id == ErasedOptOut.EVERY:
                flag = FLAGS[Channel(channel) if channel else None]
                if flag not in person.flags:
                    person.flags.add(flag)
                    step.line.note(REMARK, "erased_opt_out", *step.named[value])
                    opted_out = True
            elif service_id == service and person.subscribed:
                person.subscribed, person.unsubscribed = False, True
                step.changed = True
    return opted_out


def _raise_flags(step: Step) -> bool:
    person = step.person
    raised = {name for name, wanted in step.line.flags.items() if wanted} - person.flags
    person.flags |= raised
    person.raised |= raised
    return bool(raised)


def _ignore_lifts(step: Step) -> bool:
    ignored = [name for name, wanted in step.line.flags.items() if not wanted and name in step.person.flags]
    for name in ignored:
        step.line.note(REMARK, "lift_ignored", name)
    return bool(ignored)


def _may_subscribe(step: Step, facts: Facts, service: int) -> bool:
    """Say whether a person may be subscribed: not one who left the service, in this life or before being erased."""
    person = step.person
    left = person.unsubscribed or any(
        (ErasedOptOut.EVERY, service) in facts.erased.get(value, ())
        for value in person.digests()
        if value not in person.to_come
    )
    if left:
        step.line.note(REMARK, "unsubscribed_before")
    return not left
