"""Ask for pages of the back-office as a browser does, and look at what they ask of the database."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.urls import reverse

from deliveries.models import Delivery, DeliveryLog

LOG = DeliveryLog._meta.db_table


def ask(delivery: Delivery, pages: Mapping[str, tuple[str, Sequence[int]]], *, repeat: int) -> dict[str, float]:
    """Return name → milliseconds of a whole answer, the median, for pages of a delivery as (URL name, arguments)."""
    addresses = {
        name: reverse(f"admin:deliveries_delivery_{page}", args=[delivery.pk, *arguments])
        for name, (page, arguments) in pages.items()
    }
    return ask_for(visitor(), addresses, table=LOG, repeat=repeat)


def visitor() -> Client:
    """Return somebody who may see everything."""
    settings.ALLOWED_HOSTS = ["testserver"]
    client = Client()
    client.force_login(get_user_model().objects.create(username="bench", is_staff=True, is_superuser=True))
    return client


def ask_for(client: Client, addresses: Mapping[str, str], *, table: str, repeat: int) -> dict[str, float]:
    """Return name → milliseconds of a whole answer, the median, for pages by their addresses.

    Raise AssertionError for a page that fails, counts the rows of a long table, or (PostgreSQL) reads all of it.
    """
    found = {}
    for name, address in addresses.items():
        with _noted() as statements:
            assert client.get(address).status_code == 200
        _look_at(statements, table)
        times = []
        for _number in range(max(repeat, 3)):
            start = time.perf_counter()
            client.get(address)
            times.append(1_000 * (time.perf_counter() - start))
        found[name] = median(times)
    return found


@contextmanager
def _noted() -> Iterator[list[tuple[str, Any]]]:
    statements: list[tuple[str, Any]] = []

    def note(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        statements.append((str(sql), params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield statements


def _look_at(statements: Sequence[tuple[str, Any]], table: str) -> None:
    """Raise for a statement that counts a table or reads all of it."""
    about = [(sql, params) for sql, params in statements if f'"{table}"' in sql and sql.startswith("SELECT")]
    for sql, params in about:
        assert "COUNT(" not in sql.upper(), sql
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}", params)
                plan = "\n".join(row[0] for row in cursor.fetchall())
            assert f"Seq Scan on {table}" not in plan, plan
