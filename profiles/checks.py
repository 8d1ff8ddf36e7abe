"""System checks about the ledger."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register

from .triggers import missing


@register(Tags.database)
def check_ledger_triggers(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Fail when a ledger table could be edited."""
    return [
        Error(
            f"The table {table} can be edited: its append-only triggers are missing.",
            hint="Run manage.py migrate: it puts them back.",
            id="profiles.E001",
        )
        for using in databases or ()
        for table in missing(using)
    ]
