"""Import people into the database that DATABASE_URL names, with the importer or line by line.

    python -m tests.benchmarks.importing make PEOPLE FILE PART LINES    the file, its first lines, the people there
    python -m tests.benchmarks.importing importer|rows FILE             prints seconds, lines, memory
    python -m tests.benchmarks.importing dump                           prints what is there, without ids and times

`tests.benchmarks.imports` starts it. The memory is the most that the process ever held, in MB.
"""

import csv
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import django

django.setup()

from django.core.files import File  # noqa: E402  # after the set-up
from django.db import connection, transaction  # noqa: E402
from django.db.models import F, Value  # noqa: E402
from django.utils import timezone  # noqa: E402

from profiles import addresses, consent, imports  # noqa: E402
from profiles.channels import Channel  # noqa: E402
from profiles.consent import Evidence  # noqa: E402
from profiles.digests import digest  # noqa: E402
from profiles.models import (  # noqa: E402
    Act,
    Address,
    Brand,
    ConsentEvent,
    ImportJob,
    Profile,
    Service,
    Source,
    Subscription,
)

COLUMNS = ("first_name", "last_name", "email", "mobile_phone", "country", "language", "attributes.city",
           "attributes.segment")  # fmt: skip
NAMES = ("Ada", "Zoé", "Ibrahim", "Marie-Louise", "Søren", "Lê", "Élise", "Tom")
CITIES = ("Lyon", "Liège", "Nantes", "Genève")
CHANNELS = {"email": Channel.EMAIL, "mobile_phone": Channel.SMS}
PROVENANCE, BASIS = "Fair of May", "consent"
BATCH = 2_000


def make(people: int, whole: Path, part: Path, lines: int) -> None:
    """Write the file and its first lines, and add three tenths of its people, half of them subscribed."""
    service = Service.objects.create(name="news", label={"en": "News"}, brand=Brand.objects.earliest("pk"))
    known: list[dict[str, str]] = []
    with whole.open("w", newline="") as one, part.open("w", newline="") as other:
        outs = [csv.DictWriter(stream, COLUMNS) for stream in (one, other)]
        for out in outs:
            out.writeheader()
        for number, (line, before) in enumerate(_drawn(people)):
            for out in outs if number < lines else outs[:1]:
                out.writerow(line)
            if before:
                known.append(before)
            if len(known) == BATCH:
                _add(known, service)
                known = []
        _add(known, service)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _drawn(people: int) -> Iterator[tuple[dict[str, str], dict[str, str] | None]]:
    """Yield each line and, for three in ten, the person as known before. One line in a hundred is of somebody again.

    Of the people known before, a third are in the file as they are; the others have another name or number in it.
    """
    draw = Random(20261127)
    for number in range(1, people + 1):
        who = draw.randint(1, number) if draw.random() < 0.01 else number
        line = {
            "first_name": draw.choice(NAMES), "last_name": f"Person{who}",
            "email": f"P.{who}@mail{who % 97}.example.org",
            "mobile_phone": f"06 {10_000_000 + who:08d}", "country": "FR", "language": "fr",
            "attributes.city": draw.choice(CITIES), "attributes.segment": "reader",
        }  # fmt: skip
        before = None
        if who == number and draw.random() < 0.30:
            before = dict(line)
            if (change := draw.random()) < 0.33:
                before |= {"first_name": "Before", "attributes.city": "Paris"}
            elif change < 0.66:
                before["mobile_phone"] = f"07 {10_000_000 + who:08d}"
        yield line, before


def _add(known: list[dict[str, str]], service: Service) -> None:
    people = Profile.objects.bulk_create([_profile(line) for line in known])
    rows = [
        Address.make(channel, line[column], country="FR", profile=person, position=1)
        for person, line in zip(people, known, strict=True)
        for column, channel in CHANNELS.items()
    ]
    Address.objects.bulk_create(rows)
    for person, line in zip(people, known, strict=True):
        person.search = _search(person, [addresses.read(c, line[n], country="FR").key for n, c in CHANNELS.items()])
    Profile.objects.bulk_update(people, ["search"], batch_size=500)
    evidence, at = Evidence(source=Source.IMPORT), timezone.now()
    consent.subscribe([person.pk for person in people if person.pk % 2], service, evidence=evidence, at=at)
    consent.unsubscribe([person.pk for person in people if person.pk % 20 == 1], service, evidence=evidence, at=at)


def _profile(line: dict[str, str]) -> Profile:
    values = {name: line[name] for name in ("first_name", "last_name", "country", "language")}
    return Profile(attributes=_attributes(line), **values)


def _attributes(line: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("attributes."): line[name] for name in COLUMNS if name.startswith("attributes.")}


def _search(person: Profile, keys: list[str]) -> str:
    return addresses.search_text(person.full_name, person.external_id or "", *keys)


def importer(path: Path) -> int:
    """Import the file; return how many lines were applied."""
    asked = imports.Options(provenance=PROVENANCE, basis=BASIS, service=Service.objects.get(name="news"))
    with path.open("rb") as stream:
        job = imports.receive(
            File(stream), name=path.name, options=asked, state=ImportJob.State.RUNNING, owner="bench",
            at=timezone.now(),
        )  # fmt: skip
    imports.run(job.pk, clock=timezone.now, owner="bench")
    job.refresh_from_db()
    assert (job.state, job.errors) == (ImportJob.State.DONE, 0), (job.state, job.message, job.errors)
    return job.upto


@transaction.atomic
def rows(path: Path) -> int:
    """Do the same line by line; return how many there were."""
    service, at = Service.objects.get(name="news"), timezone.now()
    evidence, count = Evidence(source=Source.IMPORT, reason=path.name), 0
    about = {"service_id": service.pk, "service_name": service.name, "channel": service.channel}
    evidence.event(Act.PROVENANCE, at, **{**about, "reason": f"{PROVENANCE} – {BASIS}"}).save()
    with path.open(newline="") as stream:
        for line in csv.DictReader(stream):
            person = _write(line)
            _subscribe(person, service, evidence.event(Act.SUBSCRIBE, at, profile_id=person.pk, **about))
            count += 1
    return count


def _write(line: dict[str, str]) -> Profile:
    """Create or change one person; return them."""
    found = {
        channel: addresses.read(channel, line[name], country=line["country"]) for name, channel in CHANNELS.items()
    }
    key = digest(Channel.EMAIL, found[Channel.EMAIL].key)
    owner = Address.objects.filter(channel=Channel.EMAIL, digest=key).order_by("profile_id").first()
    wanted = _profile(line)
    person = Profile.objects.select_for_update().get(pk=owner.profile_id) if owner else wanted
    before = (person.first_name, person.last_name, person.country, person.language, dict(person.attributes))
    person.first_name, person.last_name = wanted.first_name, wanted.last_name
    person.country, person.language = wanted.country, wanted.language
    person.attributes = {**person.attributes, **wanted.attributes}
    changed = before != (person.first_name, person.last_name, person.country, person.language, person.attributes)
    if owner is None:
        person.save()
    for channel, address in found.items():
        changed |= _make_primary(person, channel, address)
    if changed or owner is None:
        keys = person.addresses.order_by("channel", "position").values_list("key", flat=True)
        person.search = _search(person, list(keys))
        person.save()
    return person


def _make_primary(person: Profile, channel: Channel, found: addresses.ReadAddress) -> bool:
    """Put an address first of its channel; return whether it was not."""
    value = digest(channel, found.key)
    held = person.addresses.filter(channel=channel)
    known = held.filter(digest=value).first()
    if known and known.position == 1:
        return False
    upto = known.position if known else 10_000
    if known:
        held.filter(pk=known.pk).update(position=20_000)
    for other in held.filter(position__lt=upto).order_by("-position"):
        held.filter(pk=other.pk).update(position=F("position") + Value(1))
    if known:
        held.filter(pk=known.pk).update(position=1)
    else:
        Address.objects.create(
            profile=person, channel=channel, position=1, value=found.value, key=found.key, digest=value,
            validity=found.validity,
        )  # fmt: skip
    return True


def _subscribe(person: Profile, service: Service, event: ConsentEvent) -> None:
    """Subscribe a person who is not subscribed and has not left the service."""
    if Subscription.objects.active(event.at).filter(service=service, profile=person).exists():
        return
    last = ConsentEvent.objects.filter(profile_id=person.pk, service_id=service.pk).order_by("pk").last()
    if last is None or last.act != Act.UNSUBSCRIBE:
        Subscription.objects.create(service=service, profile=person, created_at=event.at, source=Source.IMPORT)
        event.save()


def dump() -> dict[str, list[Any]]:
    """Return what the tables hold, each row as a list with the person's email key for the id, sorted."""
    primary = Address.objects.primary(Channel.EMAIL).values_list("profile_id", "key")
    name_of: dict[int | None, str] = {None: "", **dict(primary)}
    people = [
        [name_of[pk], *rest, json.dumps(attributes, sort_keys=True)]
        for pk, attributes, *rest in Profile.objects.values_list(
            "pk", "attributes", "external_id", "first_name", "last_name", "language", "country", "time_zone",
            "birth_date", "search", "blacklisted", "blacklisted_email", "blacklisted_sms",
        )
    ]  # fmt: skip
    held = Address.objects.values_list("profile_id", "digest", "channel", "position", "value", "key", "validity")
    events = ConsentEvent.objects.values_list(
        "profile_id", "digest", "act", "channel", "service_name", "source", "reason", "actor_name", "expires_at"
    )
    subscribed = Subscription.objects.values_list("profile_id", "service__name", "source", "expires_at")
    found: dict[str, list[Any]] = {
        "people": people,
        "addresses": [[name_of[pk], bytes(value).hex(), *rest] for pk, value, *rest in held],
        "subscriptions": [[name_of[pk], *rest] for pk, *rest in subscribed],
        "events": [[name_of[pk], bytes(value or b"").hex(), *rest] for pk, value, *rest in events],
    }
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def main() -> None:
    kind, *arguments = sys.argv[1:]
    if kind == "make":
        make(int(arguments[0]), Path(arguments[1]), Path(arguments[2]), int(arguments[3]))
    elif kind == "dump":
        json.dump(dump(), sys.stdout)
    else:
        began = time.perf_counter()
        lines = {"importer": importer, "rows": rows}[kind](Path(arguments[0]))
        seconds = time.perf_counter() - began
        json.dump({"seconds": seconds, "lines": lines, "memory_mb": _peak_memory()}, sys.stdout)


def _peak_memory() -> float:
    """Return the most that this process ever held, in MB.

    Not by getrusage: on Linux its ru_maxrss counts what the parent held when it started this program.
    """
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    main()
