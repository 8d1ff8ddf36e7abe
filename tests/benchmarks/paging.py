"""Time the pages of a delivery with a long log, in the database that DATABASE_URL names (PostgreSQL).

    python -m tests.benchmarks.paging ROWS REPEAT

The rows are written by the database itself: a fifth of them left out, with the reasons in the proportions of the
benchmark of the analysis, one in ten thousand refused. Nobody of them is in the database, which the pages say.
"""

import json
import sys
from typing import Any

import django

django.setup()

from django.db import connection  # noqa: E402  # after the set-up
from django.utils import timezone  # noqa: E402

from deliveries.models import AnalysisRun, Delivery, Lease, LogStatus, Reason, RunReason, State, Target  # noqa: E402
from profiles.models import Brand, Service  # noqa: E402
from tests.benchmarks.asking import LOG, ask  # noqa: E402

SHARES = {Reason.ADDRESS_MISSING: 20, Reason.ADDRESS_INVALID: 5, Reason.BLACKLISTED: 98, Reason.BLACKLISTED_CHANNEL: 44,
          Reason.QUARANTINED_BOUNCE: 25, Reason.DUPLICATE: 5}  # fmt: skip  # of a thousand
LEASE = 1_000


def measure(rows: int, repeat: int) -> dict[str, Any]:
    delivery = make(rows)
    asked = {
        "waterfall": ("workspace", []),
        "live": ("live", []),
        "people_left_out": ("left_out", [int(Reason.BLACKLISTED)]),
        "people_rare": ("left_out", [int(Reason.ADDRESS_INVALID)]),
        "people_refused": ("by_status", [int(LogStatus.FAILED)]),
        "people_to_send": ("by_status", [int(LogStatus.PENDING)]),
    }
    return {"name": "pages", "log_rows": rows, "repeat": repeat, "pages_ms": ask(delivery, asked, repeat=repeat)}


def make(rows: int) -> Delivery:
    """Make an analysed delivery with so many log rows, and the counters and leases that go with them."""
    brand = Brand.objects.earliest("pk")
    service = Service.objects.create(name="news", label={"en": "News"}, brand=brand)
    delivery = Delivery.objects.create(label="News of May", brand=brand, service=service, target=Target.SERVICE)
    run = AnalysisRun.objects.create(
        delivery=delivery, number=1, delivery_version=1, at=timezone.now(), state="done", targeted=rows,
        last_profile=rows, upto=rows,
    )  # fmt: skip
    above, cases = 0, []
    for reason, share in SHARES.items():
        cases.append(f"WHEN n % 1000 < {above + share} THEN {int(reason)}")
        above += share
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {LOG} (run_id, delivery_id, profile_id, position, status, reason, reasons, address) "
            "SELECT %s, %s, n, 1, CASE WHEN r > 0 THEN 0 WHEN n %% 10000 = 9999 THEN 5 ELSE 1 END, r,"
            " CASE WHEN r > 0 THEN 1 << (r - 1) ELSE 0 END, 'person.number.' || n || '@example.org' "
            f"FROM (SELECT n, CASE {' '.join(cases).replace('%', '%%')} ELSE 0 END AS r"
            " FROM generate_series(1, %s) n) v",
            (run.pk, delivery.pk, rows),
        )
        cursor.execute(
            f"INSERT INTO {Lease._meta.db_table} (run_id, after_profile, upto_profile, size, excluded, pending, failed,"
            " handing_off, retry, sent, suppressed, in_doubt, cancelled, owner, sent_ms, failed_ms, failed_tries) "
            "SELECT run_id, (profile_id - 1) / %s * %s, max(profile_id), count(*), count(*) FILTER (WHERE status = 0),"
            " count(*) FILTER (WHERE status = 1), count(*) FILTER (WHERE status = 5), 0, 0, 0, 0, 0, 0, '', 0, 0, 0 "
            f"FROM {LOG} GROUP BY 1, 2",
            (LEASE, LEASE),
        )
        cursor.execute(
            f"INSERT INTO {RunReason._meta.db_table} (run_id, reason, first, in_all, since) "
            f"SELECT run_id, reason, count(*), count(*), 0 FROM {LOG} WHERE reason > 0 GROUP BY 1, 2"
        )
        cursor.execute("VACUUM ANALYZE")
    Delivery.objects.filter(pk=delivery.pk).update(state=State.ANALYSED, current_run=run)
    return delivery


if __name__ == "__main__":
    json.dump(measure(int(sys.argv[1]), int(sys.argv[2])), sys.stdout)
