"""The processes of the race: those that send, and those that suppress the people who are about to be written to.

    python -m tests.faults.racing make PEOPLE            people, a delivery analysed and started, and the witnesses
    python -m tests.faults.racing send CONNECTIONS       a sender; RACE_MUTATION breaks its claims on purpose
    python -m tests.faults.racing suppress SEED          a client that opts people out and quarantines addresses

The witnesses are tables that triggers only insert into, so that PostgreSQL keeps when each row was committed: a claim
is a row that begins to leave, a suppression a flag that is set, a subscription that ends, an address not to be used.
"""

import os
import random
import sys
import time
from collections import Counter
from typing import Any

import django

django.setup()

from django.db import DatabaseError, connection, transaction  # noqa: E402 (after the set-up)
from django.db.models import Sum  # noqa: E402
from django.utils import timezone  # noqa: E402

from deliveries import analysis, gate, inbound, sending, sql  # noqa: E402
from deliveries.models import Delivery, DeliveryContent, DeliveryLog, Lease, LogStatus, State, Target  # noqa: E402
from deliveries.sending import prepared  # noqa: E402
from profiles import consent  # noqa: E402
from profiles.channels import Channel  # noqa: E402
from profiles.consent import Evidence  # noqa: E402
from profiles.models import Address, Brand, Profile, Service, Source  # noqa: E402
from profiles.tokens import OptOutLink  # noqa: E402
from quarantine import escalation  # noqa: E402
from quarantine.models import Cause  # noqa: E402

# A client suppresses so many of the people whose turn has come, so that messages go on leaving meanwhile.
SHARE = 0.06
WITNESSES = f"""
CREATE TABLE race_claim (log bigint, profile bigint, digest bytea);
CREATE TABLE race_suppression (kind text, profile bigint, digest bytea);
CREATE FUNCTION race_claimed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO race_claim VALUES (NEW.id, NEW.profile_id, NEW.digest); RETURN NULL; END $$;
CREATE TRIGGER race_claimed AFTER UPDATE ON deliveries_deliverylog FOR EACH ROW
  WHEN (NEW.status = {LogStatus.HANDING_OFF} AND OLD.status <> {LogStatus.HANDING_OFF})
  EXECUTE FUNCTION race_claimed();
CREATE FUNCTION race_opted_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO race_suppression VALUES ('opt-out', NEW.id, NULL); RETURN NULL; END $$;
CREATE TRIGGER race_opted_out AFTER UPDATE ON profiles_profile FOR EACH ROW
  WHEN (NEW.blacklisted AND NOT OLD.blacklisted OR NEW.blacklisted_email AND NOT OLD.blacklisted_email)
  EXECUTE FUNCTION race_opted_out();
CREATE FUNCTION race_left() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO race_suppression VALUES ('unsubscribe', OLD.profile_id, NULL); RETURN NULL; END $$;
CREATE TRIGGER race_left AFTER DELETE ON profiles_subscription FOR EACH ROW EXECUTE FUNCTION race_left();
CREATE FUNCTION race_quarantined() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO race_suppression VALUES ('quarantine', NULL, NEW.digest); RETURN NULL; END $$;
CREATE TRIGGER race_quarantined AFTER INSERT OR UPDATE ON quarantine_quarantinedaddress FOR EACH ROW
  WHEN (NEW.status = 2 AND NEW.release_at IS NULL) EXECUTE FUNCTION race_quarantined();
"""
LOCKS_IN_THE_CHECK = """
(SELECT count(*) FROM (SELECT 1 FROM profiles_profile WHERE id = r.profile FOR SHARE) p) >= 0
AND (SELECT pg_advisory_xact_lock_shared(('x' || left(encode(r.digest, 'hex'), 16))::bit(64)::bigint)) IS NOT NULL
AND
"""


def make(people: int) -> None:
    brand, now = Brand.objects.earliest("pk"), timezone.now()
    brand.postal_address = brand.postal_address or "1 rue de la Paix, 75002 Paris"
    brand.save()
    service = Service.objects.create(name="race", label={"en": "Race"}, brand=brand)
    made = Profile.objects.bulk_create([Profile(last_name=f"P{n}") for n in range(people)], batch_size=2_000)
    addresses = [
        Address.make(Channel.EMAIL, f"p{person.pk}@d{person.pk % 50}.example.org", profile=person, position=1)
        for person in made
    ]
    Address.objects.bulk_create(addresses, batch_size=2_000)
    for start in range(0, people, 2_000):
        ids = [person.pk for person in made[start : start + 2_000]]
        consent.subscribe(ids, service, evidence=Evidence(source=Source.IMPORT), at=now)
    delivery = Delivery.objects.create(label="Race", brand=brand, service=service, target=Target.SERVICE)
    html = '<p>Hello</p><p><a href="{{ opt_out_url }}">Unsubscribe</a>, {{ brand.postal_address }}</p>'
    text = "Hello. Unsubscribe: {{ opt_out_url }} {{ brand.postal_address }}"
    DeliveryContent.objects.create(delivery=delivery, language="en", subject="Race", html=html, text=text)
    analysis.start(delivery, at=timezone.now())
    while analysis.work(delivery.pk):
        pass
    delivery.refresh_from_db()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute(WITNESSES)
    sending.start(delivery, at=timezone.now())


def send(connections: int) -> None:
    """Send until the delivery ends, as tasks that ring again would."""
    mutate(os.environ.get("RACE_MUTATION", ""))
    delivery = Delivery.objects.get()
    while delivery.state == State.SENDING:
        if not sending.work(delivery.pk, connections=connections):
            time.sleep(0.2)
        delivery.refresh_from_db()


def mutate(what: str) -> None:
    """Break the claims of this process on purpose; fail loudly where what is to be broken is not there."""
    if not what:
        return
    assert "FOR SHARE" in prepared._LOCK
    assert "WHERE ({stays})" in prepared._MARK
    assert "FROM counted)" in prepared._MARK
    slow: Any = sql
    slow.lock_for_hand_off = lambda *args: None
    loose: Any = gate
    loose.lock_digests = lambda *args, **kwargs: None
    prepared._LOCK = "SELECT $1, $2, $3, $4"
    if what == "without-locks":
        # Between the check and the commit, so that few messages are enough.
        prepared._MARK = prepared._MARK.replace("FROM counted)", "FROM counted, pg_sleep(0.003))")
    elif what == "one-statement":
        prepared._MARK = prepared._MARK.replace("WHERE ({stays})", f"WHERE {LOCKS_IN_THE_CHECK} ({{stays}})")
    else:
        raise ValueError(f"No such mutation: {what}")


def suppress(seed: str) -> None:
    """Suppress people whose message is about to leave, until the delivery ends; print how often, as a table."""
    chance, done = random.Random(seed), Counter[str]()
    delivery = Delivery.objects.select_related("service").get()
    while True:
        target = _about_to_leave(delivery, chance) if sum(done.values()) <= SHARE * _through(delivery) + 2 else None
        if target is None:
            delivery.refresh_from_db(fields=["state"])
            if delivery.state != State.SENDING:
                break
            time.sleep(0.1)
            continue
        name = chance.choice(["channel", "everything", "service", "one-click", "quarantine"])
        try:
            with transaction.atomic():
                _act(name, target, delivery)
                if chance.random() < 0.5:  # somebody's transaction that takes its time
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT pg_sleep(%s)", [chance.uniform(0, 0.02)])
            done[name] += 1
        except DatabaseError as error:
            done[f"failed: {error}".splitlines()[0][:80]] += 1
        time.sleep(chance.uniform(0, 0.02))
    sys.stdout.write(" ".join(f"{name.replace(' ', '_')}={number}" for name, number in sorted(done.items())) + "\n")


def _through(delivery: Delivery) -> int:
    """Return how many messages have left or been left out so far."""
    sums = Lease.objects.filter(run=delivery.current_run_id).aggregate(sent=Sum("sent"), out=Sum("suppressed"))
    return (sums["sent"] or 0) + (sums["out"] or 0)


def _about_to_leave(delivery: Delivery, chance: random.Random) -> DeliveryLog | None:
    leases = list(Lease.objects.filter(run=delivery.current_run_id, pending__gt=0).exclude(owner=""))
    if not leases:
        return None
    lease = chance.choice(leases)
    rows = DeliveryLog.objects.filter(
        run=delivery.current_run_id, profile__gt=lease.after_profile, profile__lte=lease.upto_profile,
        status=LogStatus.PENDING,
    ).order_by("profile")[:3]  # fmt: skip
    return chance.choice(list(rows) or [None])


def _act(name: str, row: DeliveryLog, delivery: Delivery) -> None:
    at, by = timezone.now(), Evidence(source=Source.LANDING_PAGE)
    digest = bytes(row.digest or b"")
    assert delivery.service
    match name:
        case "channel":
            consent.opt_out([row.profile_id], channel=Channel.EMAIL, evidence=by, at=at)
        case "everything":
            consent.opt_out([row.profile_id], channel=None, evidence=by, at=at)
        case "service":
            consent.unsubscribe([row.profile_id], delivery.service, evidence=by, at=at)
        case "one-click":
            link = OptOutLink(channel=1, digest=digest, log=row.pk, delivery=delivery.pk, service=delivery.service.pk)
            inbound.unsubscribe(link, delivery.service, evidence=Evidence(source=Source.ONE_CLICK), at=at)
        case _quarantine:
            target = escalation.Target(Channel.EMAIL, digest, row.address, row.address)
            escalation.quarantine([target], cause=Cause.COMPLAINT, evidence=by, at=at)


if __name__ == "__main__":
    {"make": lambda text: make(int(text)), "send": lambda text: send(int(text)), "suppress": suppress}[sys.argv[1]](
        sys.argv[2]
    )
