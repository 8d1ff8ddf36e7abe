"""The list of addresses left out: narrowed by anything, read by an index, and given up rather than slow."""

import re
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from profiles.admin_base import BaseAdmin
from profiles.channels import Channel
from profiles.digests import digest
from quarantine import listing
from quarantine.admin import listing as shown
from quarantine.models import Cause, QuarantinedAddress, Reason, Status
from tests.factories import QuarantinedAddressFactory, UserFactory

pytestmark = pytest.mark.django_db
URL = reverse("admin:quarantine_quarantinedaddress_changelist")
DAY = timedelta(days=1)


@pytest.fixture
def client(client: Client) -> Client:
    client.force_login(UserFactory(admin=True))
    return client


def searched(client: Client, text: str, narrowed: str = "") -> str:
    """Search by posting the words, as the page does; return where it leads."""
    response = client.post(URL + narrowed, {"_search": "1", "q": text})
    assert response.status_code == 302
    assert text not in response["Location"]
    return str(response["Location"])


def found(client: Client, url: str) -> list[str]:
    return [entry.value for entry in client.get(url).context["cl"].result_list]


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 5, day, hour, tzinfo=timezone.get_current_timezone())


def test_each_filter_keeps_what_it_names(client: Client) -> None:
    make = QuarantinedAddressFactory
    make(value="full@a.example", reason=Reason.MAILBOX_FULL, quarantined_at=at(3))
    make(value="spam@b.example", cause=Cause.COMPLAINT, quarantined_at=at(9))
    make(value="fine@b.example", status=Status.VALID, cause=None, quarantined_at=None)
    make(value="+33639980001", channel=Channel.SMS, cause=Cause.STOP, quarantined_at=at(20))
    asked = {
        "?reason__exact=5": ["full@a.example"],
        "?cause__exact=2": ["spam@b.example"],
        "?status__exact=0": ["fine@b.example"],
        "?channel__exact=2": ["+33639980001"],
        "?since=2026-05-09": ["+33639980001", "spam@b.example"],
        "?until=2026-05-09": ["spam@b.example", "full@a.example"],
        "?since=2026-05-04&until=2026-05-19": ["spam@b.example"],
        "?since=2026-05-04&cause__exact=3": ["+33639980001"],
    }
    assert {url: found(client, URL + url) for url in asked} == asked


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("@b.example", ["two@b.example"]),
        ("@B.Example", ["two@b.example"]),
        ("*.b.example", ["three@mail.b.example", "two@b.example"]),
        ("@bücher.example", ["four@bücher.example"]),
        ("TWO@b.example", ["two@b.example"]),
        ("thr", ["three@mail.b.example"]),
        ("06 39 98 00 01", ["+33639980001"]),
        ("@ü..", []),
        ("@", []),
    ],
)
def test_a_search_reads_addresses_beginnings_and_domains(client: Client, text: str, values: list[str]) -> None:
    for value in ("one@a.example", "two@b.example", "three@mail.b.example"):
        QuarantinedAddressFactory(value=value)
    QuarantinedAddressFactory(value="four@bücher.example", key="four@xn--bcher-kva.example")
    QuarantinedAddressFactory(value="+33639980001", channel=Channel.SMS)
    assert found(client, searched(client, text)) == values


def test_a_search_and_filters_narrow_together(client: Client) -> None:
    QuarantinedAddressFactory(value="old@b.example", quarantined_at=at(1))
    QuarantinedAddressFactory(value="new@b.example", quarantined_at=at(9))
    QuarantinedAddressFactory(value="new@c.example", quarantined_at=at(9))
    assert found(client, searched(client, "@b.example", "?since=2026-05-05")) == ["new@b.example"]
    text = client.get(searched(client, "@b.example")).content.decode()
    assert re.search(r'type="hidden" name="q" value="~', text), "the days keep the search"


def test_a_day_that_is_none_is_refused(client: Client) -> None:
    assert client.get(URL + "?since=yesterday").status_code == 302


def test_pages_by_date_lead_through_all_entries_and_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseAdmin, "list_per_page", 3)
    # Numbers and dates in another order, and many of one moment, as after an import.
    days = [5, 2, 9, 2, 2, 2, 7, 2]
    rows = [QuarantinedAddressFactory(value=f"{n}@a.example", quarantined_at=at(day)) for n, day in enumerate(days)]
    order = [row.value for row in sorted(rows, key=lambda row: (row.quarantined_at, row.pk), reverse=True)]
    url, seen, newer = URL + "?since=2026-05-01", [], ""
    while True:
        changes = client.get(url).context["cl"]
        seen.append([entry.value for entry in changes.result_list])
        newer = changes.newer_url
        if not changes.older_url:
            break
        url = URL + changes.older_url
    assert seen == [order[:3], order[3:6], order[6:]]
    assert found(client, URL + newer) == order[3:6]


def test_a_page_takes_the_same_few_queries_whatever_is_asked(client: Client) -> None:
    for number in range(60):
        QuarantinedAddressFactory(value=f"{number}@a.example")
    searched_url = searched(client, "@a.example", "?status__exact=2&cause__exact=1&since=2020-01-01&channel__exact=1")
    for url in (URL, URL + "?status__exact=2", searched_url):
        with CaptureQueriesContext(connection) as asked:
            client.get(url)
        own = [one["sql"] for one in asked if "quarantine_quarantinedaddress" in one["sql"]]
        assert len(own) == 1, own


def plan(rows: Any, *, without: tuple[str, ...] = ("seqscan",)) -> str:
    """Return how PostgreSQL would go about a table that is too long to read, or (sort, bitmapscan) to sort."""
    with connection.cursor() as cursor:
        for way in without:
            cursor.execute(f"SET LOCAL enable_{way} = off")
        sql, params = rows.query.sql_with_params()
        cursor.execute(f"EXPLAIN {sql}", params)
        return "\n".join(row[0] for row in cursor.fetchall())


def many() -> None:
    """Make a base in which the planner has a choice: forty domains, all statuses, causes and reasons."""
    causes, reasons, statuses = list(Cause), list(Reason), list(Status)
    start = timezone.now() - 400 * DAY
    QuarantinedAddress.objects.bulk_create(
        QuarantinedAddress(
            channel=Channel.EMAIL, value=f"p{n}@d{n % 40}.example", key=f"p{n}@d{n % 40}.example",
            digest=digest(Channel.EMAIL, f"p{n}@d{n % 40}.example"), domain=f"d{n % 40}.example",
            status=statuses[n % len(statuses)], cause=causes[n % len(causes)], reason=reasons[n % len(reasons)],
            quarantined_at=start + (n % 397) * DAY,
        )
        for n in range(4_000)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE quarantine_quarantinedaddress")


NARROWED: dict[str, Any] = {
    "status": {"status": Status.ERRONEOUS},
    "cause": {"cause": Cause.COMPLAINT},
    "reason": {"reason": Reason.MAILBOX_FULL},
    "domain": {"domain": "d7.example"},
}


@pytest.mark.postgres
def test_a_page_of_one_filter_reads_only_what_it_shows() -> None:
    many()
    everything = QuarantinedAddress.objects.all()
    first, last = timezone.localdate() - 60 * DAY, timezone.localdate() - 50 * DAY
    place = listing.Place(timezone.now() - 55 * DAY, 2_000)
    pages = {
        "all": everything.order_by("-pk")[:51],
        "next page": everything.filter(pk__lt=2_000).order_by("-pk")[:51],
        "page before": everything.filter(pk__gt=2_000).order_by("pk")[:51],
        "days": everything.filter(listing.days_q(first, last)).order_by(*listing.BY_DATE)[:51],
        "days, next page": listing.older(everything.filter(listing.days_q(first, last)), place)[:51],
        "days, page before": listing.newer(everything.filter(listing.days_q(first, last)), place)[:51],
        **{name: everything.filter(**asked).order_by("-pk")[:51] for name, asked in NARROWED.items()},
    }
    for name, rows in pages.items():
        told = plan(rows, without=("seqscan", "sort", "bitmapscan"))
        assert "Index Scan" in told, (name, told)
        assert "Sort" not in told.replace("Incremental Sort", ""), (name, told)


@pytest.mark.postgres
def test_every_combination_of_filters_has_an_index() -> None:
    many()
    everything = QuarantinedAddress.objects.filter(listing.days_q(timezone.localdate() - 60 * DAY, None))
    for chosen in product((False, True), repeat=len(NARROWED) + 1):
        rows = everything if chosen[-1] else QuarantinedAddress.objects.all()
        for (_name, asked), wanted in zip(NARROWED.items(), chosen, strict=False):
            rows = rows.filter(**asked) if wanted else rows
        order = listing.BY_DATE if chosen[-1] else listing.BY_NUMBER
        told = plan(rows.filter(channel=Channel.EMAIL).order_by(*order)[:51])
        assert "Index" in told, (chosen, told)
        assert "Seq Scan" not in told, (chosen, told)


def test_a_search_that_takes_too_long_is_given_up_with_a_word(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    many()
    monkeypatch.setattr(shown, "PATIENCE", timedelta(0))
    if connection.vendor == "postgresql":  # a millisecond is enough for so few rows
        monkeypatch.setattr(shown.KeysetChangeList, "get_results", slow(shown.KeysetChangeList.get_results))
    response = client.get(searched(client, "*.nowhere.example"))
    assert response.status_code == 200
    assert response.context["cl"].result_list == []
    assert "The search was given up" in response.content.decode()


def slow(get_results: Any) -> Any:
    """Have the database sleep before a page of anything."""

    def results(self: Any, request: Any) -> None:
        if not self.queryset.query.is_empty():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(1)")
        get_results(self, request)

    return results
