"""Contact pressure: who already gets as many messages, around the contact date, as a sending rule allows.

Counted are the messages of the runs that a plan names: sent, leaving, or still to send. The runs are few and people
are many, so a range reads the rows of those runs once, in profile order, rather than look for each person's.
"""

from typing import Any

from django.db.models import FloatField, QuerySet, Value
from django.db.models.functions import Coalesce

from . import sql
from .criteria.own import number_of
from .models import AnalysisRun, DeliveryLog, LogStatus
from .plan import Fatigue, Plan

COUNTED = (LogStatus.PENDING, LogStatus.HANDING_OFF, LogStatus.RETRY, LogStatus.SENT, LogStatus.IN_DOUBT)


def insert_exceptions(run: AnalysisRun, plan: Plan, people: QuerySet[Any, Any], after: int, upto: int) -> None:
    """Store who is under pressure in a range of profiles; where several rules apply, the first. A query per rule."""
    for rule in plan.fatigue:
        rows = with_most(people, rule).values("id", "most")
        sql.insert_pressed(run.pk, rule.rule, rows, rule.runs, COUNTED, after, upto)


def first_rule(plan: Plan, people: QuerySet[Any, Any], profile: int) -> int:
    """Return the first rule under which one person already gets enough, or 0. At most two queries a rule."""
    for rule in plan.fatigue:
        most = with_most(people.filter(pk=profile), rule).values_list("most", flat=True).first()
        if most is not None and got(profile, rule) >= most:
            return rule.rule
    return 0


def got(profile: int, rule: Fatigue) -> int:
    """Return how many messages a rule counts for one person. One query."""
    return DeliveryLog.objects.filter(profile=profile, run__in=rule.runs, status__in=COUNTED).count()


def with_most(people: QuerySet[Any, Any], rule: Fatigue) -> QuerySet[Any, Any]:
    """Annotate how many messages each person may get: what their own field says, else what the rule says."""
    constant = Value(float(rule.most), output_field=FloatField())
    own = Coalesce(number_of(rule.field), constant) if rule.field else constant
    found: QuerySet[Any, Any] = people.annotate(most=own)
    return found
