"""The part of a delivery's form about its target: what is offered, and what does not go together."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from deliveries.models import Delivery, Target


def prepare(fields: Mapping[str, Any], delivery: Delivery) -> None:
    """Offer what is not archived, and what the delivery uses already."""
    for name in ("audience", "people_list", "typology"):
        if field := fields.get(name):
            chosen = getattr(delivery, f"{name}_id")
            field.queryset = field.queryset.filter(Q(archived_at=None) | Q(pk=chosen)).order_by("name")


def problems(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the field and what is wrong with it, of what somebody chose."""
    if found.get("target") == Target.AUDIENCE and found.get("audience") is None:
        yield "audience", _("Choose the audience that is to get it.")
    if found.get("target") == Target.LIST and found.get("people_list") is None:
        yield "people_list", _("Choose the list of people that are to get it.")
    percent, count = found.get("control_percent"), found.get("control_count")
    if percent is not None and not 0 <= percent <= 100:
        yield "control_percent", _("Write a percentage between 0 and 100.")
    if percent is not None and count is not None:
        yield "control_count", _("Give a percentage or a number of people, not both.")
    if found.get("size_limit") == 0:
        yield "size_limit", _("With 0, nobody would get it. Write 1 or more, or leave it empty.")
