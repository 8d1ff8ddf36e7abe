"""The people of one run of a fault, those of them who opt out meanwhile, and the verdict over what became of each."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import F
from django.utils import timezone

from deliveries import analysis
from deliveries.models import Delivery, DeliveryContent, DeliveryLog, Lease, LogStatus, State, Target
from profiles import consent
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.models import Address, Brand, Profile, Service, Source
from quarantine import escalation
from quarantine.models import Cause
from tests.faults.verdict import VERDICT
from tests.mailsink import MailSink

S = LogStatus
OVER = (State.FINISHED, State.STOPPED)
OPTING_OUT = 0.08
HTML = '<p>Hello</p><p><a href="{{ opt_out_url }}">Unsubscribe</a>, {{ brand.postal_address }}</p>'
TEXT = "Hello. Unsubscribe: {{ opt_out_url }} {{ brand.postal_address }}"


@dataclass
class Verdict:
    """What one run shows."""

    people: int = 0
    violations: int = 0  # claims after a suppression that forbids them
    met: int = 0  # claims of somebody who was suppressed before or after
    lost: int = 0  # said to be sent and never arrived, or still open
    doubled: int = 0
    mistaken: int = 0  # arrived, and neither sent nor in doubt
    refused: int = 0
    suppressed: int = 0
    in_doubt: int = 0
    balanced: bool = True
    ended: bool = True


def make(people: int) -> Delivery:
    """Make people, and an analysed delivery to them."""
    brand, now = Brand.objects.earliest("pk"), timezone.now()
    if not brand.postal_address:
        brand.postal_address = "1 rue de la Paix, 75002 Paris"
        brand.save()
    number = Delivery.objects.count() + 1
    service = Service.objects.create(name=f"run-{number}", label={"en": f"Run {number}"}, brand=brand)
    made = Profile.objects.bulk_create([Profile(last_name=f"P{n}") for n in range(people)])
    Address.objects.bulk_create([
        Address.make(Channel.EMAIL, f"p{person.pk}@d{person.pk % 7}.example.org", profile=person, position=1)
        for person in made
    ])  # fmt: skip
    consent.subscribe([person.pk for person in made], service, evidence=Evidence(source=Source.IMPORT), at=now)
    delivery = Delivery.objects.create(label=f"Run {number}", brand=brand, service=service, target=Target.SERVICE)
    DeliveryContent.objects.create(delivery=delivery, language="en", subject="Hello", html=HTML, text=TEXT)
    analysis.start(delivery, at=timezone.now())
    while analysis.work(delivery.pk):
        pass
    delivery.refresh_from_db()
    return delivery


@contextmanager
def opting_out(delivery: Delivery, chance: random.Random) -> Iterator[None]:
    """Have some of the people opt out, and some addresses quarantined, while the block runs."""
    over = threading.Event()
    number = random.Random(chance.random())
    thread = threading.Thread(target=_opt_out, args=(delivery, number, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _opt_out(delivery: Delivery, chance: random.Random, over: threading.Event) -> None:
    assert delivery.current_run
    left = round(OPTING_OUT * delivery.current_run.targeted)
    try:
        while left and not over.wait(chance.uniform(0.05, 0.5)):
            try:
                rows = DeliveryLog.objects.filter(run=delivery.current_run_id, status=S.PENDING).order_by("?")
                row = rows.first()
                if row is None:
                    return
                _suppress(row, delivery, chance)
                left -= 1
            except (DatabaseError, InterfaceError):  # the fault
                connection.close()
    finally:
        connection.close()


def _suppress(row: DeliveryLog, delivery: Delivery, chance: random.Random) -> None:
    at, by = timezone.now(), Evidence(source=Source.LANDING_PAGE)
    assert delivery.service
    match chance.choice(("service", "channel", "everything", "quarantine")):
        case "service":
            consent.unsubscribe([row.profile_id], delivery.service, evidence=by, at=at)
        case "channel":
            consent.opt_out([row.profile_id], channel=Channel.EMAIL, evidence=by, at=at)
        case "everything":
            consent.opt_out([row.profile_id], channel=None, evidence=by, at=at)
        case _quarantine:
            target = escalation.Target(Channel.EMAIL, bytes(row.digest or b""), row.address, row.address)
            escalation.quarantine([target], cause=Cause.COMPLAINT, evidence=by, at=at)


def state_of(delivery: Delivery) -> State | None:
    """Return the delivery's state, or None while the database does not answer."""
    try:
        return State(Delivery.objects.values_list("state", flat=True).get(pk=delivery.pk))
    except (DatabaseError, InterfaceError):
        connection.close()
        time.sleep(0.1)
        return None


def judge(delivery: Delivery, sink: MailSink) -> Verdict:
    """Compare what the database says of each person with what arrived."""
    rows = list(DeliveryLog.objects.filter(run=delivery.current_run_id).exclude(status=S.EXCLUDED))
    arrived = Counter(sink.recipients)
    found = Verdict(people=len(rows), ended=state_of(delivery) == State.FINISHED)
    for row in rows:
        times, status = arrived[row.address], S(row.status)
        found.doubled += times > 1
        found.lost += status in (S.PENDING, S.RETRY, S.HANDING_OFF, S.CANCELLED) or (status == S.SENT and not times)
        found.mistaken += times > 0 and status not in (S.SENT, S.IN_DOUBT)
        found.refused += status == S.FAILED
        found.suppressed += status == S.SUPPRESSED
        found.in_doubt += status == S.IN_DOUBT
    found.balanced = _balances(delivery)
    numbers = {row.pk for row in rows}
    with connection.cursor() as cursor:
        cursor.execute(VERDICT)
        for _kind, log, _address, suppressed_at, claimed_at in cursor.fetchall():
            if log in numbers:
                found.met += 1
                found.violations += suppressed_at <= claimed_at
    return found


def _balances(delivery: Delivery) -> bool:
    """Say whether the counts of each lease are those of its rows."""
    for lease in Lease.objects.filter(run=delivery.current_run_id):
        rows = DeliveryLog.objects.filter(
            run=lease.run_id, profile__gt=lease.after_profile, profile__lte=lease.upto_profile
        )
        counted = Counter(rows.values_list("status", flat=True))
        if any(getattr(lease, status.counter) != counted[status] for status in S if status != S.EXCLUDED):
            return False
    return True


def give_up(delivery: Delivery) -> None:
    """End a delivery that does not end, so that the next one has the place for itself."""
    Delivery.objects.filter(pk=delivery.pk).update(state=State.STOPPED, version=F("version") + 1)
