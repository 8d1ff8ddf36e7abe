"""The measured parts of `sending`, each in a process of its own: `python -m tests.benchmarks.sending_parts NAME N`."""

import json
import os
import smtplib
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402 (after the set-up)
from django.core.mail import EmailMultiAlternatives  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.db.models import F  # noqa: E402
from django.template import Context, Template  # noqa: E402
from django.utils import timezone  # noqa: E402

from deliveries import analysis, sending  # noqa: E402
from deliveries.exclusions import Judging  # noqa: E402
from deliveries.models import Delivery, DeliveryContent, DeliveryLog, Lease, LogStatus, State, Target  # noqa: E402
from deliveries.sending.prepared import PreparedClaims  # noqa: E402
from deliveries.sending.results import Result  # noqa: E402
from profiles import consent  # noqa: E402
from profiles.channels import Channel  # noqa: E402
from profiles.consent import Evidence  # noqa: E402
from profiles.models import Address, Brand, Profile, Service, Source  # noqa: E402

S = LogStatus
PARAGRAPH = "<p>{{ profile.first_name }}, what is new in the library this month: readings, films and a workshop.</p>\n"
WAY_OUT = '<p><a href="{{ opt_out_url }}">Unsubscribe</a> · {{ brand.postal_address }}</p>'
HTML = f"<h1>Hello {{{{ profile.first_name }}}}</h1>\n{PARAGRAPH * 45}{WAY_OUT}"  # some 5 kB
TEXT = (
    "Hello {{ profile.first_name }},\n"
    + "What is new in the library this month.\n" * 45
    + "{{ opt_out_url }} {{ brand.postal_address }}"
)
FAILING = 20  # one address in so many, when some are to fail
BATCH = 500


def make(people: int) -> dict[str, Any]:
    """Make subscribers, one in twenty at an address that may be refused, and a delivery that is being sent."""
    brand, now = Brand.objects.earliest("pk"), timezone.now()
    brand.postal_address = "1 rue de la Paix, 75002 Paris"
    brand.save()
    service = Service.objects.create(name="news", label={"en": "News"}, brand=brand)
    made = Profile.objects.bulk_create(
        [Profile(first_name="Zoé", last_name=f"P{n}", language="en") for n in range(people)], batch_size=2_000
    )
    addresses = [
        Address.make(
            Channel.EMAIL, f"{'maybe' if n % FAILING == 0 else 'p'}{person.pk}@d{n % 50}.example.org", profile=person,
            position=1,
        )
        for n, person in enumerate(made)
    ]  # fmt: skip
    Address.objects.bulk_create(addresses, batch_size=2_000)
    for start in range(0, people, 2_000):
        ids = [person.pk for person in made[start : start + 2_000]]
        consent.subscribe(ids, service, evidence=Evidence(source=Source.IMPORT), at=now)
    delivery = Delivery.objects.create(label="News", brand=brand, service=service, target=Target.SERVICE)
    DeliveryContent.objects.create(
        delivery=delivery, language="en", subject="News for {{ profile.first_name }}", html=HTML, text=TEXT
    )
    analysis.start(delivery, at=timezone.now())
    while analysis.work(delivery.pk):
        pass
    delivery.refresh_from_db()
    sending.start(delivery, at=timezone.now())
    return {}


def again(*, failing: bool = False) -> Delivery:
    """Put everything back to where nothing has been sent."""
    local = "'refused'" if failing else "'maybe'"
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM quarantine_quarantinedaddress")
        cursor.execute(
            f"UPDATE deliveries_deliverylog SET status = {S.PENDING}, attempts = 0, address ="
            f" regexp_replace(address, '^(maybe|refused)', {local}), finished_at = NULL WHERE status <> {S.EXCLUDED}"
        )
        cursor.execute(
            "UPDATE deliveries_lease SET pending = size - excluded, handing_off = 0, retry = 0, sent = 0, failed = 0,"
            " suppressed = 0, in_doubt = 0, cancelled = 0, hard = 0, owner = '', expires_at = NULL, not_before = NULL"
        )
        cursor.execute("VACUUM FULL deliveries_deliverylog")
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    Delivery.objects.update(state=State.SENDING, tolerated={})
    return Delivery.objects.select_related("brand", "current_run").get()


def engine(connections: int, *, group: int, failing: bool = False) -> dict[str, Any]:
    delivery = again(failing=failing)
    settings.HAND_OFF_GROUP = group
    began = time.perf_counter()
    while sending.work(delivery.pk, connections=connections):
        pass
    seconds = time.perf_counter() - began
    sent, failed = (DeliveryLog.objects.filter(status=status).count() for status in (S.SENT, S.FAILED))
    assert sent + failed == DeliveryLog.objects.exclude(status=S.EXCLUDED).count()
    assert bool(failed) is failing
    return {"seconds": seconds, "number": sent + failed, "left": sent}


def baseline(connections: int) -> dict[str, Any]:
    """Send with what everybody has: no check, no record, no link to leave by but one for all."""
    delivery = again()
    subject, html, text = (Template(source) for source in ("News for {{ profile.first_name }}", HTML, TEXT))
    number = DeliveryLog.objects.filter(status=S.PENDING).count()
    pages = list(DeliveryLog.objects.order_by("pk").values_list("pk", flat=True)[::BATCH])

    def send(pages: list[int]) -> int:
        done = 0
        with smtplib.SMTP(settings.EMAIL_HOST, settings.EMAIL_PORT) as server:
            for first in pages:
                rows = list(DeliveryLog.objects.filter(pk__gte=first).order_by("pk")[:BATCH])
                people = Profile.objects.in_bulk([row.profile_id for row in rows])
                for row in rows:
                    context = Context({
                        "profile": {"first_name": people[row.profile_id].first_name}, "brand": delivery.brand,
                        "opt_out_url": "https://example.org/leave",
                    })  # fmt: skip
                    message = EmailMultiAlternatives(
                        subject.render(context), text.render(context), delivery.brand.sender_email, [row.address]
                    )
                    message.attach_alternative(html.render(context), "text/html")
                    server.sendmail(message.from_email, message.to, message.message().as_bytes())
                    done += 1
        connection.close()
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(connections) as threads:
        done = sum(threads.map(send, [pages[n::connections] for n in range(connections)]))
    assert done == number
    return {"seconds": time.perf_counter() - began, "number": number, "left": number}


def claims(group: int) -> dict[str, Any]:
    """Claim and record without sending anything: one connection."""
    delivery = again()
    run = delivery.current_run
    assert run
    engine, number = PreparedClaims(delivery, run, Judging.now(Channel.EMAIL)), 0
    began = time.perf_counter()
    while (lease := sending.take_lease(run, at=timezone.now())) is not None:
        rows = list(
            DeliveryLog.objects.filter(
                run=run, status=S.PENDING, profile__gt=lease.after_profile, profile__lte=lease.upto_profile
            ).order_by("profile")
        )
        results: list[Result] = []
        for start in range(0, len(rows), group):
            part = rows[start : start + group]
            answer = engine.ask(lease, part, results, at=timezone.now())
            assert len(answer.claimed) == len(part)
            results = []
            for row in part:
                row.attempts += 1
                results.append(Result(row, S.SENT, timezone.now(), "250 OK"))
        engine.ask(lease, [], results, at=timezone.now())
        Lease.objects.filter(pk=lease.pk).update(owner="", expires_at=None)
        number += len(rows)
    seconds = time.perf_counter() - began
    assert number == DeliveryLog.objects.filter(status=S.SENT).count()
    return {"seconds": seconds, "number": number, "left": 0}


def bulk_update(_number: int) -> dict[str, Any]:
    """Claim and record by the ORM: lock a batch of rows, mark them, mark them again. Nothing is checked."""
    again()
    number, began = 0, time.perf_counter()
    while True:
        with transaction.atomic():
            rows = list(
                DeliveryLog.objects.select_for_update(skip_locked=True).filter(status=S.PENDING).order_by("pk")[:BATCH]
            )
            for row in rows:
                row.status, row.claimed_at, row.attempts = S.HANDING_OFF, timezone.now(), 1
            DeliveryLog.objects.bulk_update(rows, ["status", "claimed_at", "attempts"])
        if not rows:
            break
        for row in rows:
            row.status, row.finished_at, row.answer = S.SENT, timezone.now(), "250 OK"
        DeliveryLog.objects.bulk_update(rows, ["status", "finished_at", "answer"])
        number += len(rows)
    seconds = time.perf_counter() - began
    Lease.objects.update(sent=F("pending"), pending=0)
    return {"seconds": seconds, "number": number, "left": 0}


def send(connections: int) -> dict[str, Any]:
    """Send what is to be sent, as it stands, and as a worker does: people go first."""
    os.nice(settings.WORKER_NICE)
    delivery = Delivery.objects.get()
    while sending.work(delivery.pk, connections=connections):
        pass
    return {}


PARTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "make": make,
    "send": send,
    "baseline": baseline,
    "group_1": lambda number: engine(number, group=1),
    "group_20": lambda number: engine(number, group=20),
    "failing_0": lambda number: engine(number, group=1),
    "failing_5": lambda number: engine(number, group=1, failing=True),
    "claims_20": lambda _number: claims(20),
    "claims_500": lambda _number: claims(500),
    "bulk_update": bulk_update,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(PARTS[sys.argv[1]](int(sys.argv[2]))) + "\n")
