"""System checks about the ledger, and about who writes."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

from . import brands
from .models import Brand
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


@register(Tags.database)
def check_brands(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Say in production which brands may not be used yet.

    A warning, for `migrate` runs this check too: an error would keep the back-office, where brands are filled in,
    from starting.
    """
    if settings.ENVIRONMENT != "production":
        return []
    return [
        checks.Warning(
            str(brands.incomplete(brand)),
            hint="Until then its pages invite nobody, and none of its marketing deliveries is sent.",
            id="profiles.W001",
        )
        for using in databases or ()
        if Brand._meta.db_table in connections[using].introspection.table_names()
        for brand in Brand.objects.using(using).order_by("pk")
        if brands.missing_fields(brand)
    ]
