"""Who did what in the back-office, where no row of its own tells: exports, configuration, bulk acts.

    audit.record(Action.EXPORTED, user, profile, rows=12, at=now)
    before = audit.values_of(service); ...; audit.difference(before, audit.values_of(service))

Rows are append-only (triggers). They hold names and numbers, never an address: what was done to people is in the
ledger.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models

from .models import AuditEvent

Action = AuditEvent.Action


def record(
    action: AuditEvent.Action,
    user: Any,
    subject: models.Model | type[models.Model],
    *,
    at: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    rows: int | None = None,
    reason: str = "",
    label: str | None = None,
) -> AuditEvent:
    """Note one act: who, on what, what it was before and after, how many rows. `subject` is an object or a model."""
    is_object = isinstance(subject, models.Model)
    return AuditEvent.objects.create(
        at=at, action=action, subject=subject._meta.label, subject_id=str(subject.pk) if is_object else "",
        label=(label if label is not None else str(subject) if is_object else "")[:200],
        actor_id=user.pk, actor_name=user.get_username(), before=dict(before or {}), after=dict(after or {}),
        rows=rows, reason=reason,
    )  # fmt: skip


def values_of(subject: models.Model) -> dict[str, Any]:
    """Return the editable fields of an object as plain values, to compare before and after."""
    fields = (field for field in subject._meta.concrete_fields if field.editable or field.name.endswith("_at"))
    return {field.name: _plain(field.value_from_object(subject)) for field in fields}


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keep what differs, on both sides."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | dict | list | None) else str(value)
