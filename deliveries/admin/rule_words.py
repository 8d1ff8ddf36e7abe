"""Sending rules in words: what each does, and to which deliveries."""

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from deliveries import control, criteria
from deliveries.models import RuleKind, TypologyRule
from profiles.channels import Channel

HOUR, DAY, WEEK = 1, 24, 7 * 24
UNITS = [(HOUR, gettext_lazy("hours")), (DAY, gettext_lazy("days")), (WEEK, gettext_lazy("weeks"))]


def checks() -> list[tuple[str, str]]:
    """Return the checks of messages whose severity a rule can change: code, words."""
    return [(one.code.value, str(one.label)) for one in control.CONTROLS if not one.fixed]


def split(hours: int) -> tuple[int, int]:
    """Return a number of hours as a number of the unit that people would say it in, and that unit in hours."""
    unit = WEEK if hours % WEEK == 0 and hours > WEEK else DAY if hours % DAY == 0 else HOUR
    return hours // unit, unit


def span(hours: int) -> str:
    """Return a number of hours in words."""
    number, unit = split(hours)
    if unit == WEEK:
        return ngettext("%(n)s week", "%(n)s weeks", number) % {"n": number}
    if unit == DAY:
        return ngettext("%(n)s day", "%(n)s days", number) % {"n": number}
    return ngettext("%(n)s hour", "%(n)s hours", number) % {"n": number}


def told(rules: Sequence[TypologyRule]) -> Mapping[int, str]:
    """Return number of the rule → what it does. As many queries as one rule takes."""
    people = criteria.describe_all([rule.criteria for rule in rules])
    return {rule.pk: _tell(rule, meant) for rule, meant in zip(rules, people, strict=True)}


def limits(rule: TypologyRule) -> str:
    """Return to which deliveries a rule applies."""
    only = [str(Channel(rule.only_channel).label)] if rule.only_channel else []
    only += [str(one) for one in (rule.only_service, rule.only_brand) if one]
    return _("Only: %(what)s") % {"what": ", ".join(only)} if only else _("All deliveries")


def _tell(rule: TypologyRule, people: str) -> str:
    if rule.kind == RuleKind.FILTERING:
        return _("Leaves out: %(people)s") % {"people": people}
    if rule.kind == RuleKind.CONTROL:
        label = next((one.label for one in control.CONTROLS if one.code == rule.code), rule.code)
        return _("%(check)s: %(severity)s") % {"check": label, "severity": rule.get_severity_display()}
    return f"{_pressure(rule)} {_counted(rule.channels)}"


def _pressure(rule: TypologyRule) -> str:
    most = rule.most or 0
    words = {"most": most, "span": span(rule.hours or 0), "field": rule.most_field}
    if rule.most_field:
        return (
            _("At most as many messages as “%(field)s” says, else %(most)s, in any %(span)s, sent or to come.") % words
        )
    told = ngettext(
        "At most %(most)s message in any %(span)s, sent or to come.",
        "At most %(most)s messages in any %(span)s, sent or to come.",
        most,
    )
    return told % words


def _counted(channels: Sequence[int]) -> str:
    if not channels:
        return _("Messages of every channel count.")
    names = ", ".join(str(Channel(one).label) for one in channels)
    return _("Counted: %(channels)s.") % {"channels": names}
