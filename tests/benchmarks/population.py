"""A made-up population in the database that DATABASE_URL names, drawn from a fixed seed: the same on every engine.

Of the people, 2 % have no address, 0.5 % an invalid one, 10 % are opted out of everything and 5 % of email, 3 % have
an address in quarantine, 1 % share theirs with an earlier person, and 80 % subscribe to the service of the delivery.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

from django.db import connection
from django.utils import timezone

from deliveries.models import Delivery, Target
from profiles.addresses import Validity
from profiles.channels import Channel
from profiles.digests import digest
from profiles.models import Address, Brand, Profile, Service, Source, Subscription
from quarantine.models import Cause, QuarantinedAddress, Status

BATCH = 50_000
NAMES = ("Ada", "Zoé", "Ibrahim", "Marie-Louise", "Søren", "Lê", "Élise", "Tom")
PEOPLE = ("id", "first_name", "last_name", "language", "country", "attributes", "blacklisted", "blacklisted_email",
          "search", "created_at", "updated_at")  # fmt: skip
ADDRESSES = ("profile_id", "channel", "position", "value", "key", "digest", "validity")
SUBSCRIPTIONS = ("service_id", "profile_id", "source", "created_at")
ENTRIES = ("channel", "digest", "value", "key", "status", "cause", "reason", "errors", "quarantined_at", "text",
           "delivery_name", "updated_at")  # fmt: skip


def make(people: int) -> Delivery:
    """Add so many people, and a delivery to the subscribers among them."""
    brand = Brand.objects.earliest("pk")
    service = Service.objects.create(name="news", label={"en": "News"}, brand=brand)
    rows = _drawn(people, service.pk)
    while batch := list(islice(rows, BATCH)):
        for model, columns, part in zip(
            (Profile, Address, Subscription, QuarantinedAddress),
            (PEOPLE, ADDRESSES, SUBSCRIPTIONS, ENTRIES),
            zip(*batch, strict=True),
            strict=True,
        ):
            _insert(model, columns, [row for row in part if row])
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    return Delivery.objects.create(label="News of May", brand=brand, service=service, target=Target.SERVICE)


def _drawn(people: int, service: int) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Yield for each person the rows of the four tables; None where there is none."""
    draw, now = Random(20261127), timezone.now()
    for pk in range(1, people + 1):
        name, other = draw.choice(NAMES), f"Person{pk}"
        blacklisted, by_email = draw.random() < 0.10, draw.random() < 0.05
        person = (pk, name, other, "fr", "FR", '{"city": "Lyon", "segment": "reader", "note": "made up"}', blacklisted,
                  by_email, f"{name} {other}".casefold(), now, now)  # fmt: skip
        # Somebody before them, at the same address in other letters.
        twin = draw.randint(1, pk - 1) if pk > 1 and draw.random() < 0.01 else pk
        typed = f"{'P' if twin != pk else 'p'}erson.number.{twin}@mail{twin % 97}.example.org"
        key = typed.casefold()
        address = entry = None
        if draw.random() >= 0.02:
            validity = Validity.INVALID if draw.random() < 0.005 else Validity.VALID
            address = (pk, Channel.EMAIL, 1, typed, key, digest(Channel.EMAIL, key), validity)
        if draw.random() < 0.03 and twin == pk:
            cause = draw.choice([Cause.BOUNCE, Cause.BOUNCE, Cause.COMPLAINT, Cause.OPERATOR])
            entry = (Channel.EMAIL, digest(Channel.EMAIL, key), typed, key, Status.QUARANTINED, cause, 0, 0, now,
                     "550 5.1.1 No such user", "News of April", now)  # fmt: skip
        subscription = (service, pk, Source.IMPORT, now) if draw.random() < 0.80 else None
        yield person, address, subscription, entry


def _insert(model: Any, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table, names = model._meta.db_table, ", ".join(columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row([value.value if hasattr(value, "value") else value for value in row])
            return
        places = ", ".join(["%s"] * len(columns))
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", rows)
