"""A new draft like a former delivery: same content, target, rules and settings, nothing of what became of it."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from .models import Delivery


def duplicate(delivery: Delivery, *, by: Any) -> Delivery:
    """Return a new draft like a delivery. What was made by itself (state, runs, schedule, draws) is made anew."""
    chosen = {
        field.attname: getattr(delivery, field.attname)
        for field in Delivery._meta.concrete_fields
        if field.editable and not field.primary_key
    }
    longest = Delivery._meta.get_field("label").max_length
    label = (_("Copy of %(delivery)s") % {"delivery": delivery.label})[:longest]
    with transaction.atomic():
        copy = Delivery.objects.create(**{**chosen, "label": label}, created_by_id=by.pk if by else None)
        for content in delivery.contents.order_by("pk"):
            content.pk, content.delivery = None, copy
            content._state.adding = True
            content.save()
    return copy
