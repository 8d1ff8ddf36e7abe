"""Time the list of addresses left out, and an import of some, in the database that DATABASE_URL names (PostgreSQL).

    python -m tests.benchmarks.listing ROWS LINES REPEAT

The rows are written by the database itself: four in ten of one provider, the others of a thousand; nine in ten left
out, most because messages came back, over a thousand days.
"""

import json
import sys
import time
from datetime import timedelta
from statistics import median
from typing import Any

import django

django.setup()

from django.core.files.base import ContentFile  # noqa: E402  # after the set-up
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402
from django.utils import timezone  # noqa: E402

from profiles import imports  # noqa: E402
from profiles.models import ImportJob  # noqa: E402
from quarantine import figures  # noqa: E402
from quarantine.models import QuarantinedAddress  # noqa: E402
from quarantine.suppressions import KIND  # noqa: E402
from tests.benchmarks.asking import ask_for, visitor  # noqa: E402

TABLE = QuarantinedAddress._meta.db_table
LIST = reverse("admin:quarantine_quarantinedaddress_changelist")
DAYS = 1_000
FILL = f"""
    INSERT INTO {TABLE} (channel, digest, value, key, domain, status, cause, reason, errors, quarantined_at, text,
                         delivery_name, updated_at)
    SELECT CASE WHEN n % 1000 = 0 THEN 5 WHEN n % 250 = 1 THEN 2 ELSE 1 END, decode(md5('left out ' || n), 'hex'),
           local || '@' || domain, local || '@' || domain, domain,
           CASE WHEN n % 100 < 91 THEN 2 WHEN n % 100 < 96 THEN 1 WHEN n % 1000 = 999 THEN 3 ELSE 0 END,
           CASE WHEN n % 101 < 71 THEN 1 WHEN n % 101 < 91 THEN 6 WHEN n % 101 < 96 THEN 2 WHEN n % 101 < 99 THEN 4
                WHEN n % 101 < 100 THEN 5 ELSE 3 END,
           CASE WHEN n % 103 < 60 THEN 1 WHEN n % 103 < 80 THEN 5 WHEN n % 103 < 90 THEN 4 WHEN n % 103 < 99 THEN 2
                WHEN n % 103 < 102 THEN 3 ELSE 20 END,
           0, now() - interval '1 day' * (%s::float * (%s - n) / %s + random()), '550 5.1.1 no such user', '', now()
    FROM (SELECT n, 'person.' || n AS local,
                 CASE WHEN n %% 10 < 4 THEN 'mail.example' ELSE 'd' || n %% 1009 || '.example' END AS domain
          FROM generate_series(1, %s) n) v
""".replace("n % ", "n %% ")


def measure(rows: int, lines: int, repeat: int) -> dict[str, Any]:
    speed = import_speed(lines)
    fill(rows)
    client = visitor()
    asked = addresses(client, rows)
    pages = ask_for(client, asked, table=TABLE, repeat=repeat)
    times = range(max(repeat, 3))
    database = {name: median(in_database(client, address) for _n in times) for name, address in asked.items()}
    start = time.perf_counter()
    figures.count(timezone.now())
    counted = time.perf_counter() - start
    more = {"figures": reverse("admin:quarantine_figures"), "outage": reverse("admin:quarantine_outage_add")}
    for name, address in more.items():
        start = time.perf_counter()
        assert client.get(address).status_code == 200
        pages[name] = 1_000 * (time.perf_counter() - start)
    return {
        "name": "addresses", "rows": rows, "repeat": repeat, "pages_ms": pages,
        "of_which_database_ms": database, "counted_in_background_s": counted,
        "imported_lines": lines, "imported_lines_per_s": speed,
    }  # fmt: skip


def in_database(client: Client, address: str) -> float:
    """Return how many milliseconds of a page its queries take."""
    spent = 0.0

    def timed(execute: Any, *arguments: Any) -> Any:
        nonlocal spent
        start = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            spent += 1_000 * (time.perf_counter() - start)

    with connection.execute_wrapper(timed):
        client.get(address)
    return spent


def import_speed(lines: int) -> float:
    """Import a list; return how many lines a second, the writing of the report included."""
    content = "address,cause,date,note\n" + "".join(
        f"imported.{n}@d{n % 1009}.example,bounce,2026-01-{1 + n % 28:02},From the old system {n % 7}\n"
        for n in range(lines)
    )
    options = imports.Options(kind=KIND, provenance="Benchmark")
    file = ContentFile(content.encode())
    job = imports.receive(
        file, name="list.csv", options=options, state=ImportJob.State.RUNNING, at=timezone.now()
    )  # fmt: skip
    start = time.perf_counter()
    imports.run(job.pk, clock=timezone.now)
    spent = time.perf_counter() - start
    assert QuarantinedAddress.objects.count() == lines
    return lines / spent


def fill(rows: int) -> None:
    """Write rows, and their indexes after them: both at once take much longer."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexdef NOT LIKE '%%UNIQUE%%'",
            [TABLE],
        )
        indexes = cursor.fetchall()
        for name, _definition in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        cursor.execute(FILL, [DAYS, rows, rows, rows])
        for _name, definition in indexes:
            cursor.execute(definition)
        cursor.execute(f"VACUUM ANALYZE {TABLE}")


def addresses(client: Client, rows: int) -> dict[str, str]:
    """Return name → address of the list, narrowed in every way."""
    today = timezone.localdate()
    old, older = today - timedelta(days=600), today - timedelta(days=610)
    asked = {
        "all": "", "in_the_middle": f"?before={rows // 2}",
        "left_out": "?status__exact=2", "always": "?status__exact=3",
        "complaints": "?cause__exact=2", "stop": "?cause__exact=3", "refused": "?reason__exact=20",
        "by_phone": "?channel__exact=5", "errors_of_complaints": "?status__exact=1&cause__exact=2",
        "three_filters": "?status__exact=0&cause__exact=5&reason__exact=3",
        "today": f"?since={today}", "an_old_week": f"?since={older}&until={old}",
        "an_old_week_next": f"?since={older}&until={old}&before={rows * 39 // 100}",
        "an_old_week_of_complaints": f"?since={older}&until={old}&cause__exact=2&status__exact=2",
        "until_long_ago": f"?until={today - timedelta(days=990)}",
    }  # fmt: skip
    found = {name: LIST + query for name, query in asked.items()}
    searched = {
        "domain": "@mail.example", "small_domain": "@d7.example", "address": f"person.{rows}@mail.example",
        "beginning": "person.77", "domain_and_below": "*.d7.example",
    }  # fmt: skip
    for name, text in searched.items():
        found[name] = client.post(LIST, {"_search": "1", "q": text})["Location"]
    found["small_domain_of_complaints"] = found["small_domain"] + "&cause__exact=2"
    found["small_domain_an_old_week"] = found["small_domain"] + f"&since={older}&until={old}"
    return found


if __name__ == "__main__":
    json.dump(measure(*map(int, sys.argv[1:4])), sys.stdout)
