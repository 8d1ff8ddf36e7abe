"""Make the people of the demonstration: some three thousand of them, the same at every run.

They are shipped as the CSV files of `data/`, made once by `manage.py create_demo_data`; a test makes them again and
compares. They have what real files have: accents, mailboxes and domains with letters beyond ASCII, phone numbers as
people write them in their country, addresses that were mistyped, households that share one, people listed twice.

Nothing can reach anybody: domains are reserved for examples (RFC 2606), French and British numbers are those kept
for fiction (ARCEP decision 2018-0881, Ofcom), Belgian and Swiss ones begin with prefixes given to no operator.
"""

import csv
import random
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

from . import words

SEED = 20_240_320  # the first day of spring
PEOPLE = 3_000
DATA = Path(__file__).parent / "data"
PREFIX = "JE"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One line of people.csv; the fields are its columns, `attributes_x` standing for `attributes.x`."""

    external_id: str
    first_name: str
    last_name: str
    email: str = ""
    mobile_phone: str = ""
    postal_address: str = ""
    language: str = ""
    country: str = ""
    birth_date: str = ""
    time_zone: str = ""
    blacklisted: str = ""
    blacklisted_email: str = ""
    blacklisted_sms: str = ""
    attributes_garden: str = ""


class Maker:
    """Draws people. Only `random.random` is used: the other draws may change from one Python to the next."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (made-up people are no secret)
        self._mailboxes: set[str] = set()

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def number(self, below: int) -> int:
        return int(self._random.random() * below)

    def one(self, of: Sequence[T]) -> T:
        return of[self.number(len(of))]

    def person(self, number: int) -> Person:
        """Return one person as a file of a shop would have them."""
        country = self._country()
        english = country == "GB"
        first = self.one(words.ENGLISH_FIRST if english else words.FRENCH_FIRST)
        last = self.one(words.ENGLISH_LAST if english else words.FRENCH_LAST)
        return Person(
            external_id=f"{PREFIX}-{number:05}",
            first_name=first,
            last_name=last,
            email=self._email(first, last),
            mobile_phone=self._phone(country) if self.chance(0.6) else "",
            postal_address=self._postal_address(country) if self.chance(0.5) else "",
            language="" if self.chance(0.02) else "en" if english or self.chance(0.03) else "fr",
            country=country,
            birth_date=self._birth_date() if self.chance(0.8) else "",
            time_zone=words.TIME_ZONES[country],
            attributes_garden=self.one(words.GARDENS),
        )

    def _country(self) -> str:
        drawn = self._random.random()
        return "FR" if drawn < 0.76 else "BE" if drawn < 0.84 else "CH" if drawn < 0.91 else "GB"

    def _email(self, first: str, last: str) -> str:
        """Return an address that nobody else has, written as its owner would."""
        accents = self.chance(0.04)
        first, last = (name.lower() if accents else _plain(name) for name in (first, last))
        shapes = (
            f"{first}.{last}",
            f"{first[0]}.{last}",
            f"{last}.{first}",
            f"{first}{last}",
            f"{first}.{last}+jardin",
        )
        domain = self.one(words.IDN_DOMAINS) if self.chance(0.04) else self.one(words.DOMAINS)
        local = shapes[0] if accents else self.one(shapes)
        while (mailbox := f"{local}@{domain}") in self._mailboxes:
            local += str(self.number(10))
        self._mailboxes.add(mailbox)
        if self.chance(0.08):
            return mailbox.title() if self.chance(0.7) else mailbox.upper()
        return mailbox

    def _phone(self, country: str) -> str:
        """Return a mobile number as people of that country write it, most often without the country code."""
        last = f"{self.number(10_000):04}"
        if country == "GB":
            national, abroad = f"07700 900{last[:3]}", f"+44 7700 900{last[:3]}"
        elif country == "BE":
            national, abroad = f"0450 00 {last[:2]} {last[2:]}", f"+32 450 00 {last[:2]} {last[2:]}"
        elif country == "CH":
            national, abroad = f"073 000 {last[:2]} {last[2:]}", f"+41 73 000 {last[:2]} {last[2:]}"
        else:
            national, abroad = f"06 39 98 {last[:2]} {last[2:]}", f"+33 6 39 98 {last[:2]} {last[2:]}"
        if self.chance(0.2):
            return abroad
        return national.replace(" ", ".") if self.chance(0.2) else national

    def _postal_address(self, country: str) -> str:
        postcode, town = self.one(words.TOWNS[country])
        house = 1 + self.number(120)
        if country == "GB":
            return f"{house} {self.one(words.ENGLISH_STREETS)}, {town} {postcode}"
        return f"{house} {self.one(words.STREETS)}, {postcode} {town}"

    def _birth_date(self) -> str:
        return (date(1936, 1, 1) + timedelta(days=self.number(365 * 70))).isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comer:
    """One line of workshops.csv: somebody who also comes to the workshops, as another till knows them."""

    external_id: str
    first_name: str
    last_name: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One line of left_out.csv: an address that must not be written to, and why."""

    email: str
    cause: str
    answer: str
    days_ago: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondProfile:
    """One line of second_profiles.csv: somebody given an address that another person of the file has."""

    external_id: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """One line of opted_out_by_hand.csv: somebody whom an operator opted out, and what was written down."""

    external_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Everything:
    """The files of the demonstration."""

    people: list[Person]
    workshops: list[Comer]
    left_out: list[LeftOut]
    second_profiles: list[SecondProfile]
    by_hand: list[ByHand]


# The people whom the demonstration suggests to look at. Zoé is there twice, and shares an address with Marc.
ZOE = Person(
    external_id=f"{PREFIX}-00001", first_name="Zoé", last_name="Lefèvre", email="Zoe.Lefevre@Example.org",
    mobile_phone="06 39 98 00 01", postal_address="12 rue des Lilas, 69003 Lyon", language="fr", country="FR",
    birth_date="1984-04-12", time_zone="Europe/Paris", attributes_garden="kitchen garden",
)  # fmt: skip
ZOE_AGAIN = replace(
    ZOE, external_id=f"{PREFIX}-00002", email="zoe@forêt.example", mobile_phone="", attributes_garden=""
)
MARC = replace(
    ZOE, external_id=f"{PREFIX}-00003", first_name="Marc", email="", mobile_phone="06 39 98 00 02",
    birth_date="1982-11-30",
)  # fmt: skip
KNOWN = (ZOE, ZOE_AGAIN, MARC)

BOUNCES = (
    "550 5.1.1 No such mailbox here",
    "550 5.1.1 <{email}>: Recipient address rejected: User unknown",
    "550 5.1.2 The domain of the recipient does not exist",
    "554 5.2.1 This mailbox has been closed by its owner",
)
MISTYPED = ("{local}.example.org", "{local}@@example.org", "{local}@example,org", "{local}@", "{local}@exa mple.org")
REASONS = (
    "Asked on the phone not to be written to.",
    "Letter of the person, filed at the shop.",
    "Asked at the counter, on the day of the plant fair.",
)


def everything(seed: int = SEED) -> Everything:
    """Make all files. The same seed makes the same files."""
    maker = Maker(seed)
    people = [*KNOWN, *(maker.person(number) for number in range(len(KNOWN) + 1, PEOPLE + 1))]
    order = _shuffled(maker, range(len(KNOWN), PEOPLE))
    people = _with_flaws(maker, people, order)
    people += _listed_twice(maker, people, order, start=PEOPLE + 1)
    return Everything(
        people=people,
        workshops=_workshops(maker, people),
        left_out=_left_out(maker, people, order),
        second_profiles=_second_profiles(people, order),
        by_hand=[ByHand(external_id=people[i].external_id, reason=maker.one(REASONS)) for i in _take(order, 24)],
    )


def write(folder: Path = DATA) -> list[Path]:
    """Write the files and return their paths."""
    made = everything()
    return [
        _write(folder / "people.csv", Person, made.people),
        _write(folder / "workshops.csv", Comer, made.workshops),
        _write(folder / "left_out.csv", LeftOut, made.left_out),
        _write(folder / "second_profiles.csv", SecondProfile, made.second_profiles),
        _write(folder / "opted_out_by_hand.csv", ByHand, made.by_hand),
        _write_with_errors(folder / "people_with_errors.csv", made),
    ]


def read(kind: type[T], name: str) -> list[T]:
    """Return the lines of a shipped file."""
    with (DATA / name).open(encoding="utf-8", newline="") as stream:
        return [kind(**{key.replace(".", "_"): value for key, value in row.items()}) for row in csv.DictReader(stream)]


def _with_flaws(maker: Maker, people: list[Person], order: list[int]) -> list[Person]:
    """Give some of them what real files have: no address, a mistyped one, opt-outs of the former system."""
    changed = list(people)
    for i in _take(order, 96):
        changed[i] = replace(changed[i], email="")
    for i in _take(order, 27):
        local = changed[i].email.partition("@")[0]
        changed[i] = replace(changed[i], email=maker.one(MISTYPED).format(local=local))
    for column, share in (("blacklisted", 74), ("blacklisted_email", 112), ("blacklisted_sms", 58)):
        for i in _take(order, share):
            changed[i] = replace(changed[i], **{column: "yes"})
    return changed


def _listed_twice(maker: Maker, people: list[Person], order: list[int], start: int) -> list[Person]:
    """Return people who are in the file twice, under two numbers and two addresses: same name, same birth date."""
    chosen = [people[i] for i in _take(order, 40) if people[i].birth_date]
    return [
        replace(
            person,
            external_id=f"{PREFIX}-{number:05}",
            email=f"{_plain(person.first_name)}.{number}@{maker.one(words.DOMAINS)}",
            mobile_phone="",
        )
        for number, person in enumerate(chosen, start)
    ]


def _workshops(maker: Maker, people: list[Person]) -> list[Comer]:
    comers = [person for person in people if person.email and maker.chance(0.16)]
    return [
        Comer(external_id=p.external_id, first_name=p.first_name, last_name=p.last_name, email=p.email) for p in comers
    ]


def _left_out(maker: Maker, people: list[Person], order: list[int]) -> list[LeftOut]:
    """Return addresses that came back, complained, or are known as dead elsewhere; some belong to nobody here."""
    rows = []
    for cause, count in (("BOUNCE", 58), ("COMPLAINT", 11), ("PERSON", 9), ("OPERATOR", 6), ("IMPORT", 21)):
        for i in _take(order, count):
            email = people[i].email
            answer = maker.one(BOUNCES).format(email=email) if cause == "BOUNCE" else ""
            rows.append(LeftOut(email=email, cause=cause, answer=answer, days_ago=str(1 + maker.number(300))))
    strangers = ("press@example.net", "old-shop@example.com", "no-reply@courriel.example", "spamtrap@post.example")
    rows += [LeftOut(email=email, cause="IMPORT", answer="", days_ago="400") for email in strangers]
    return rows


def _second_profiles(people: list[Person], order: list[int]) -> list[SecondProfile]:
    """Return those of the people without address who share somebody else's: a couple, a mother and her son."""
    without = [person for person in people if not person.email][:34]
    owners = [ZOE, *(people[i] for i in _take(order, len(without) - 1))]
    pairs = zip(without, owners, strict=True)
    return [SecondProfile(external_id=person.external_id, email=owner.email) for person, owner in pairs]


def _shuffled(maker: Maker, numbers: Iterable[int]) -> list[int]:
    keyed = [(maker.number(1 << 50), number) for number in numbers]
    return [number for _key, number in sorted(keyed)]


def _take(order: list[int], count: int) -> Iterator[int]:
    """Remove and yield the next people of the drawn order: nobody gets two flaws."""
    for _ in range(count):
        yield order.pop()


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFD", name.lower())
    return "".join(char for char in decomposed if char.isalnum() and not unicodedata.combining(char)).replace("ı", "i")


def _write_with_errors(path: Path, made: Everything) -> Path:
    """Write the small file that an import mostly refuses, each line for another reason."""
    opted_out = next(person for person in made.people if person.blacklisted)
    other = made.people[9]
    lines = (
        "external_id,first_name,last_name,email,mobile_phone,language,country,birth_date,blacklisted",
        "JE-90001,Irène,Castel,irene.castel@example.org,06 39 98 77 01,fr,FR,1979-02-11,",
        "JE-90002,Paul,Étienne,paul.etienne.example.org,,fr,FR,,",  # no @
        "JE-90003,Lucie,Marchetti,Lucie <lucie.marchetti@example.org>,,fr,FR,,",
        "JE-90004,Hugo,Prat,hugo.prat@example.org,call me after six,fr,FR,,",
        "JE-90005,Anaïs,Colin,anais.colin@example.org,,fr,FR,31/02/1980,",
        "JE-90006,Owen,Marsh,owen.marsh@example.org,,en,United Kingdom,,",
        "JE-90007,Rémi,Aubry,remi.aubry@example.org,,fr,FR,,perhaps",
        ",Nobody,Known,,06 39 98 77 08,fr,FR,,",
        "JE-90009,Élodie,Brun,elodie.brun@example.org,,fr",
        f"JE-90010,{other.first_name},{other.last_name},{other.email},,fr,FR,,",  # known under another number
        f"{opted_out.external_id},{opted_out.first_name},{opted_out.last_name},,,fr,,,no",  # would lift an opt-out
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _write(path: Path, kind: type, rows: Sequence[Any]) -> Path:
    columns = [field.name.replace("attributes_", "attributes.") for field in fields(kind)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(asdict(row).values() for row in rows)
    return path
