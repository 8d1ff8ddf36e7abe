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

SEALED = "profiles.ConsentEvent"  # its new rows wait in profiles_unsealedevent until a seal covers them
QUEUE = "profiles_unsealedevent"
KINDS = ("no_update", "no_delete", "only_blank", "no_truncate", "unsealed")


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
                if label == SEALED and QUEUE in tables:
                    for statement in _queue(connection, model._meta.db_table):
                        cursor.execute(statement)


def names_of(connection: BaseDatabaseWrapper, model: Any) -> set[str]:
    """Return the names of the triggers that a ledger table must have."""
    kinds = ["no_update", "no_delete"]
    kinds += ["only_blank"] if getattr(model, "PERSONAL", ()) else []
    kinds += ["no_truncate"] if connection.vendor == "postgresql" else []
    kinds += ["unsealed"] if model._meta.label == SEALED else []
    return {f"{model._meta.db_table}_{kind}" for kind in kinds}


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
    models = [apps.get_model(label) for label in LEDGERS]
    return [
        model._meta.db_table
        for model in models
        if model._meta.db_table in tables and not names_of(connection, model) <= found
    ]


@contextmanager
def lifted(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Take the triggers away for the length of a block: for test fixtures that empty the tables, only."""
    tables = [apps.get_model(label)._meta.db_table for label in LEDGERS]
    with connection.cursor() as cursor:
        for table in tables:
            for kind in KINDS:
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
    # Made anew: one that is there may not know the columns that a migration has added.
    yield f"DROP TRIGGER IF EXISTS {table}_no_update"
    yield f"CREATE TRIGGER {table}_no_update BEFORE UPDATE OF {frozen} ON {table} {refuse}"
    yield f"CREATE TRIGGER IF NOT EXISTS {table}_no_delete BEFORE DELETE ON {table} {refuse}"
    if personal:
        yield f"DROP TRIGGER IF EXISTS {table}_only_blank"
        yield (f"CREATE TRIGGER {table}_only_blank BEFORE UPDATE OF {blanked} ON {table} WHEN {not_blank} {refuse}")


def _queue(connection: BaseDatabaseWrapper, table: str) -> Iterator[str]:
    """Have each new event wait for its seal: a row of the same transaction, so that none is forgotten or invented."""
    if connection.vendor == "postgresql":
        yield (
            "CREATE OR REPLACE FUNCTION campaign_unsealed() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN INSERT INTO {QUEUE} (event_id) SELECT id FROM fresh; RETURN NULL; END $$"
        )
        yield (
            f"CREATE OR REPLACE TRIGGER {table}_unsealed AFTER INSERT ON {table} REFERENCING NEW TABLE AS fresh "
            "FOR EACH STATEMENT EXECUTE FUNCTION campaign_unsealed()"
        )
        return
    yield (
        f"CREATE TRIGGER IF NOT EXISTS {table}_unsealed AFTER INSERT ON {table} "
        f"BEGIN INSERT INTO {QUEUE} (event_id) VALUES (NEW.id); END"
    )
