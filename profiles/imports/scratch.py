"""What the earlier batches of a dry run would have changed.

A dry run applies each batch in memory and writes nothing, so a person met in an earlier batch must be remembered as
that batch would have left them. They are kept in a private SQLite file that has no name and is gone with the
process: a few hundred bytes of disk per person of the file, hardly any memory, and nobody's writes are held up.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import Any, Self

from profiles.models import Service
from profiles.opt_outs import Mark

from . import store
from .columns import EXTERNAL_ID
from .lines import PersonLine
from .people import Held, People, Person

# People that would be created are numbered above all those that exist: the oldest owner of an address stays first.
FIRST_NEW = 1 << 62
_TABLES = """
    CREATE TABLE person (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
    CREATE TABLE by_external_id (external_id TEXT PRIMARY KEY, person INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE by_email (digest TEXT PRIMARY KEY, person INTEGER NOT NULL) WITHOUT ROWID;
"""


class Memory:
    """A private SQLite file. Use it in a `with` block."""

    def __init__(self, tables: str) -> None:
        self.base = sqlite3.connect("", isolation_level=None)
        self.base.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + tables)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.base.close()


class MarkScratch(Memory):
    """The memory of a dry run of opt-outs: those that the earlier batches would have written."""

    def __init__(self) -> None:
        super().__init__("CREATE TABLE mark (body TEXT PRIMARY KEY) WITHOUT ROWID;")

    def among(self, marks: Iterable[Mark]) -> list[Mark]:
        """Return those of the opt-outs that would be there by now."""
        wanted = {_mark_text(mark): mark for mark in marks}
        rows = self.base.execute(
            "SELECT body FROM mark WHERE body IN (SELECT value FROM json_each(?))", [json.dumps([*wanted])]
        )
        return [wanted[body] for (body,) in rows]

    def add(self, marks: Iterable[Mark]) -> None:
        """Remember the opt-outs that a batch would have written."""
        self.base.execute("BEGIN")
        self.base.executemany("INSERT OR IGNORE INTO mark VALUES (?)", [(_mark_text(mark),) for mark in marks])
        self.base.execute("COMMIT")


class Scratch(Memory):
    """The memory of one dry run of people."""

    def __init__(self) -> None:
        super().__init__(_TABLES)
        self._next = FIRST_NEW

    def load(self, lines: Collection[PersonLine], *, service: Service | None, at: datetime) -> People:
        """Return what `store.load` would, had the earlier batches been written."""
        people = store.load(lines, service=service, at=at, lock=False)
        by_pk = {person.pk: person for person in people.known if person.pk}
        identifiers = self._find("by_external_id", "external_id", [line.external_id for line in lines])
        emails = self._find("by_email", "digest", [line.email_digest.hex() for line in lines if line.email])
        wanted = [*by_pk, *identifiers.values(), *emails.values()]
        rows = self.base.execute(
            "SELECT id, body FROM person WHERE id IN (SELECT value FROM json_each(?))", [json.dumps(wanted)]
        )
        by_pk.update({pk: _unpacked(pk, body) for pk, body in rows})
        owners = {value: person.pk for value, person in people.by_email.items()}
        for text, pk in emails.items():
            value = bytes.fromhex(text)
            owners[value] = min(pk, owners.get(value) or pk)
        people.by_email = {value: by_pk[pk] for value, pk in owners.items() if pk}
        people.by_external_id = {
            person.values[EXTERNAL_ID]: person for person in by_pk.values() if person.values.get(EXTERNAL_ID)
        }
        people.known = list(by_pk.values())
        return people

    def save(self, people: People) -> None:
        """Remember the people that a batch would have changed."""
        touched = people.touched()
        for person in touched:
            if person.pk is None:
                person.pk, self._next = self._next, self._next + 1
        self.base.execute("BEGIN")
        self._put("person", [(person.pk, _packed(person)) for person in touched])
        named = [(person.values[EXTERNAL_ID], person.pk) for person in touched if person.values.get(EXTERNAL_ID)]
        self._put("by_external_id", named)
        self._put("by_email", [(value.hex(), person.pk) for person in touched for value in person.gained])
        self.base.execute("COMMIT")

    def _find(self, table: str, column: str, keys: list[str]) -> dict[str, int]:
        found = self.base.execute(
            f"SELECT {column}, person FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",  # noqa: S608
            [json.dumps(keys)],
        )
        return dict(found.fetchall())

    def _put(self, table: str, rows: Iterable[tuple[Any, Any]]) -> None:
        self.base.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", rows)  # noqa: S608


def _mark_text(mark: Mark) -> str:
    return f"{mark.profile}:{mark.digest.hex()}:{mark.channel}:{mark.service}"


def _packed(person: Person) -> str:
    return json.dumps(
        {
            "values": {
                name: value.isoformat() if isinstance(value, date) else value for name, value in person.values.items()
            },
            "attributes": person.attributes,
            "flags": sorted(person.flags),
            "held": [
                (channel, held.value, held.key, held.digest.hex(), held.validity)
                for channel, many in person.held.items()
                for held in many
            ],
            "subscribed": person.subscribed,
            "unsubscribed": person.unsubscribed,
        }
    )


def _unpacked(pk: int, body: str) -> Person:
    found = json.loads(body)
    values = found["values"]
    if values.get("birth_date"):
        values["birth_date"] = date.fromisoformat(values["birth_date"])
    person = Person(
        pk=pk,
        values=values,
        attributes=found["attributes"],
        flags=set(found["flags"]),
        subscribed=found["subscribed"],
        unsubscribed=found["unsubscribed"],
    )
    for channel, value, key, digest, validity in found["held"]:
        person.held.setdefault(channel, []).append(Held(value, key, bytes.fromhex(digest), validity))
    return person
