"""The measured parts of `inbound`, each in a process of its own: `python -m tests.benchmarks.inbound_parts NAME ...`.

Of twenty messages that come in, nine say that the address does not exist, five that something else is wrong, one is a
complaint, three are automatic replies, and two are other mail. Half of the reports return the whole message.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402 (after the set-up)
from django.db import connection  # noqa: E402
from django.db.models import Sum  # noqa: E402
from django.utils import timezone  # noqa: E402

from deliveries.models import AnalysisRun, Delivery, DeliveryLog, LogStatus, Reported, Target  # noqa: E402
from landing import mail_files  # noqa: E402
from profiles import sql  # noqa: E402
from profiles.channels import Channel  # noqa: E402
from profiles.digests import digest  # noqa: E402
from profiles.models import Act, Brand, ConsentEvent  # noqa: E402
from quarantine.inbound.reports import understand  # noqa: E402
from quarantine.models import Cause, QuarantinedAddress, QuarantineEvent, Report, Status  # noqa: E402
from tests.deliveries.reporting import FULL, SPAM, UNKNOWN, arf, away, dsn, proof_of, text  # noqa: E402

BODY = "Content-Type: text/plain\r\n\r\n" + "What is new in the library this month.\r\n" * 100
SOFT = (FULL, ("4.4.1", "451 4.4.1 Connection timed out"), ("4.4.7", "Delivery time expired"))
HARD, SOFT_UPTO, COMPLAINT = range(9), 14, 14  # places among twenty
EACH_FOLDER = 1_000


def make(messages: int) -> dict[str, Any]:
    """Make a delivery whose messages have been sent."""
    brand = Brand.objects.earliest("pk")
    delivery = Delivery.objects.create(label="News", brand=brand, target=Target.EVERYBODY)
    run = AnalysisRun.objects.create(
        delivery=delivery, number=1, state="done", delivery_version=1, at=timezone.now(), targeted=messages
    )
    now = timezone.now()
    for start in range(0, messages, 10_000):
        addresses = [f"p{n}@d{n % 50}.example.org" for n in range(start, min(start + 10_000, messages))]
        sql.bulk_create([
            DeliveryLog(
                run=run, delivery=delivery, profile_id=start + n + 1, position=1, status=LogStatus.SENT, reason=0,
                reasons=0, address=address, digest=digest(Channel.EMAIL, address), attempts=1, claimed_at=now,
                finished_at=now, answer="", reported=0,
            )
            for n, address in enumerate(addresses)
        ])  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return {}


def write(folder: str, turn: str, number: str) -> dict[str, Any]:
    """Write what comes in about the messages of a turn: one file each, a thousand a folder."""
    count = int(number)
    first = int(turn) * count
    rows = DeliveryLog.objects.select_related("delivery__brand").order_by("pk")[first : first + count]
    for place, row in enumerate(rows.iterator()):
        path = Path(folder, turn, f"{place // EACH_FOLDER:05}", f"{place:08}.eml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_message(place, row))
    return {}


def _message(place: int, row: DeliveryLog) -> bytes:
    proof, body = proof_of(row), BODY if place % 2 else ""
    kind = place % 20
    if kind in HARD:
        return text(row.address, proof=proof) if kind == 8 else dsn(row.address, proof=proof, says=UNKNOWN, body=body)
    if kind < SOFT_UPTO:
        return dsn(row.address, proof=proof, says=SOFT[place % 3], body=body)
    if kind == COMPLAINT:
        return arf(row.address, proof=proof)
    if kind < 18:
        return away(proof)
    return f"From: {row.address}\r\nSubject: Hello {place}\r\n\r\nThank you for {SPAM[0]}!\r\n".encode()


def receive(folder: str, turn: str) -> dict[str, Any]:
    """Receive a folder as the command does."""
    number = sum(1 for _path in Path(folder, turn).rglob("*.eml"))
    with Path("/dev/null").open("w") as nowhere:
        began = time.perf_counter()
        call_command("receive_mail", str(Path(folder, turn)), "--json", stdout=nowhere)
        seconds = time.perf_counter() - began
    return {"per_second": number / seconds, "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def understanding(folder: str, turn: str) -> dict[str, Any]:
    """Read the same files and understand them, and do nothing about it."""
    number = 0
    began = time.perf_counter()
    for message in mail_files.read(str(Path(folder, turn))):
        assert isinstance(message, mail_files.Message)
        understand(message.raw)
        number += 1
    return {"per_second": number / (time.perf_counter() - began)}


def check() -> dict[str, Any]:
    """Compare what the database holds with what was written; every report was received twice."""
    of_twenty = DeliveryLog.objects.count() // 20
    by_cause = dict.fromkeys((Cause.BOUNCE, Cause.COMPLAINT), 0)
    for cause in QuarantinedAddress.objects.filter(status=Status.QUARANTINED).values_list("cause", flat=True):
        by_cause[Cause(cause or 0)] += 1
    erroneous = QuarantinedAddress.objects.filter(status=Status.ERRONEOUS, errors=1).count()
    marks = {bit: DeliveryLog.objects.filter(reported=bit).count() for bit in Reported}
    run = AnalysisRun.objects.aggregate(bounces=Sum("bounces"), complaints=Sum("complaints"))
    assert by_cause == {Cause.BOUNCE: 9 * of_twenty, Cause.COMPLAINT: of_twenty}, by_cause
    assert erroneous == 5 * of_twenty, erroneous
    assert marks == {Reported.HARD: 9 * of_twenty, Reported.SOFT: 5 * of_twenty, Reported.COMPLAINT: of_twenty}, marks
    assert run == {"bounces": 14 * of_twenty, "complaints": of_twenty}, run
    assert QuarantineEvent.objects.count() == 15 * of_twenty
    assert ConsentEvent.objects.filter(act=Act.QUARANTINE).count() == 10 * of_twenty
    assert not Report.objects.exists()
    return {"left_out": 10 * of_twenty, "errors_counted": erroneous}


PARTS = {
    "make": lambda number: make(int(number)), "write": write, "receive": receive, "understand": understanding,
    "check": check,
}  # fmt: skip

if __name__ == "__main__":
    json.dump(PARTS[sys.argv[1]](*sys.argv[2:]), sys.stdout)
