"""Append-only tables: the database itself refuses to change or delete their rows.

`LEDGERS` names each table with the columns that may be blanked (erasure and retention) and nothing else. The
triggers are put back after every migration, because SQLite drops them when it rebuilds a table.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

LEDGERS = (
    "profiles.ConsentEvent", "profiles.ConsentSeal", "profiles.Wording", "profiles.AuditEvent",
    "quarantine.QuarantineEvent",
)  # fmt: skip


def install_ledger_triggers(using: str = "default", **_: Any) -> None:
    """Create the triggers of every ledger table that exists; safe to repeat."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for label in LEDGERS:
            model = apps.get_model(label)
            if model._meta.db_table in tables:
                for statement in _statements(connection, model):
                    cursor.execute(statement)


def missing(using: str = "default") -> list[str]:
    """Return the tables of the ledger whose triggers are not there."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'")
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        found = {row[0] for row in cursor.fetchall()}
    names = (apps.get_model(label)._meta.db_table for label in LEDGERS)
    return [t for t in names if t in tables and not {f"{t}_no_update", f"{t}_no_delete"} <= found]


@contextmanager
def lifted(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Take the triggers away for the length of a block: for test fixtures that empty the tables, only."""
    tables = [apps.get_model(label)._meta.db_table for label in LEDGERS]
    with connection.cursor() as cursor:
        for table in tables:
            for kind in ("no_update", "no_delete", "only_blank", "no_truncate"):
                on = f" ON {table}" if connection.vendor == "postgresql" else ""
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_{kind}{on}")
    try:
        yield
    finally:
        install_ledger_triggers(using=connection.alias)


def _statements(connection: BaseDatabaseWrapper, model: Any) -> Iterator[str]:
    table, personal = model._meta.db_table, tuple(getattr(model, "PERSONAL", ()))
    columns = [f.column for f in model._meta.concrete_fields]
    frozen = ", ".join(f'"{c}"' for c in columns if c not in personal)
    blanked = ", ".join(f'"{c}"' for c in personal)
    not_blank = " OR ".join(f'(NEW."{c}" <> \'\' AND NEW."{c}" <> OLD."{c}")' for c in personal)
    if connection.vendor == "postgresql":
        yield (
            "CREATE OR REPLACE FUNCTION campaign_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
        refuse = "EXECUTE FUNCTION campaign_append_only()"
        each = "FOR EACH ROW"
        yield f"CREATE OR REPLACE TRIGGER {table}_no_update BEFORE UPDATE OF {frozen} ON {table} {each} {refuse}"
        yield f"CREATE OR REPLACE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {each} {refuse}"
        yield f"DROP TRIGGER IF EXISTS {table}_no_truncate ON {table}"
        yield f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} {refuse}"
        if personal:
            yield (
                f"CREATE OR REPLACE TRIGGER {table}_only_blank BEFORE UPDATE OF {blanked} ON {table} {each} "
                f"WHEN ({not_blank}) {refuse}"
            )
        return
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    yield f"CREATE TRIGGER IF NOT EXISTS {table}_no_update BEFORE UPDATE OF {frozen} ON {table} {refuse}"
    yield f"CREATE TRIGGER IF NOT EXISTS {table}_no_delete BEFORE DELETE ON {table} {refuse}"
    if personal:
        yield (
            f"CREATE TRIGGER IF NOT EXISTS {table}_only_blank BEFORE UPDATE OF {blanked} ON {table} "
            f"WHEN {not_blank} {refuse}"
        )
