"""Which sending rules a delivery obeys.

A delivery obeys the rules of its own set, or of the default one: those that are active and meant for deliveries like
it, in their order. No rule is about opt-outs or about addresses that are not in use: these always hold.
"""

from typing import Any

from django.apps import apps
from django.db.models import Q
from django.utils.translation import gettext_noop

from .models import Delivery, RuleKind, Typology, TypologyRule

# Kept in the database as they are here, and translated where they are shown.
DEFAULT_NAME = gettext_noop("Usual rules")
PRESSURE = gettext_noop("At most three messages a week")


def rules_of(delivery: Delivery, kind: RuleKind) -> list[TypologyRule]:
    """Return the rules of a kind that a delivery obeys, in their order. One query."""
    rules = TypologyRule.objects.filter(kind=kind, active=True).select_related("most_field")
    own = Q(typology=delivery.typology_id) if delivery.typology_id else Q(typology__is_default=True)
    return [rule for rule in rules.filter(own).order_by("place", "pk") if _is_meant(rule, delivery)]


def default() -> Typology | None:
    """Return the set that deliveries without one of their own obey."""
    return Typology.objects.filter(is_default=True).first()


def install_default(using: str = "default", **_: Any) -> None:
    """Make the default set of rules (post_migrate). Idempotent; it leaves what people have made of it."""
    sets = apps.get_model("deliveries.Typology").objects.using(using)
    if sets.filter(is_default=True).exists() or sets.filter(name=DEFAULT_NAME).exists():
        return
    made = sets.create(name=DEFAULT_NAME, is_default=True)
    rules = apps.get_model("deliveries.TypologyRule").objects.using(using)
    rules.create(typology=made, kind=RuleKind.FATIGUE, label=PRESSURE, most=3, hours=7 * 24, active=False)


def _is_meant(rule: TypologyRule, delivery: Delivery) -> bool:
    wanted = (rule.only_channel, rule.only_service_id, rule.only_brand_id)
    actual = (delivery.channel, delivery.service_id, delivery.brand_id)
    return all(one is None or one == other for one, other in zip(wanted, actual, strict=True))
