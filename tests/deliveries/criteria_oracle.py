"""Criteria again, in plain Python over one person at a time: slow, obvious, and compared with the SQL."""

from datetime import date, datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_date

from deliveries.models import Delivery, DeliveryLog, LogStatus
from profiles.addresses import search_text
from profiles.channels import Channel
from profiles.models import CustomField, Profile


def meets(stored: dict[str, Any], person: Profile, at: datetime) -> bool:
    """Say whether a person meets stored criteria."""
    if not stored:
        return True
    if "all" in stored:
        return all(meets(one, person, at) for one in stored["all"])
    if "any" in stored:
        return any(meets(one, person, at) for one in stored["any"])
    if "not" in stored:
        return not meets(stored["not"], person, at)
    return _compare(stored["field"], stored["op"], stored["value"], person, at)


def constant(stored: dict[str, Any]) -> bool | None:
    """Say what stored criteria say of everybody alike: true or false; None when it depends on the person."""
    if not stored:
        return True
    if "not" in stored:
        return {True: False, False: True, None: None}[constant(stored["not"])]
    if "all" in stored:
        parts = [constant(one) for one in stored["all"]]
        return False if False in parts else None if None in parts else True
    if "any" in stored:
        parts = [constant(one) for one in stored["any"]]
        return True if True in parts else None if None in parts else False
    return None


def _compare(field: str, op: str, value: Any, person: Profile, at: datetime) -> bool:
    if op in ("not_in", "not_set", "not_last_days"):
        opposite = {"not_in": "in", "not_set": "is_set", "not_last_days": "last_days"}[op]
        return not _compare(field, opposite, value, person, at)
    match field:
        case "search":
            return all(word in person.search for word in search_text(value).split()) and bool(search_text(value))
        case "age":
            return person.birth_date is not None and _holds(op, value, _age(person.birth_date, at.date()))
        case "birth_month":
            return person.birth_date is not None and person.birth_date.month in value
        case "channel":
            return any(one.channel in value for one in person.addresses.all())
        case "email_domain":
            first = person.addresses.filter(channel=Channel.EMAIL, position=1).first()
            return first is not None and first.key.rpartition("@")[2] in [domain.casefold() for domain in value]
        case "created":
            return _when(op, value, person.created_at, at)
        case "subscription" | "subscribed":
            running = [s for s in person.subscriptions.all() if s.expires_at is None or s.expires_at > at]
            if field == "subscription":
                return any(s.service_id in value for s in running)
            return any(_when(op, value, s.created_at, at) for s in running)
        case "received":
            rows = DeliveryLog.objects.filter(profile=person, status=LogStatus.SENT)
            return any(row.finished_at and _when("last_days", value, row.finished_at, at) for row in rows)
        case "sent" | "left_out" | "targeted":
            runs = [d.current_run_id for d in Delivery.objects.filter(pk__in=value) if d.current_run_id]
            statuses = {
                "sent": [LogStatus.SENT],
                "left_out": [LogStatus.EXCLUDED, LogStatus.SUPPRESSED],
                "targeted": list(LogStatus),
            }[field]
            return any(row.status in statuses for row in DeliveryLog.objects.filter(profile=person, run__in=runs))
    if field.startswith("attributes."):
        return _own(field.removeprefix("attributes."), op, value, person, at)
    return _holds(op, value, getattr(person, field))


def _own(name: str, op: str, value: Any, person: Profile, at: datetime) -> bool:
    kind, found = CustomField.objects.get(name=name).kind, person.attributes.get(name)
    fits = {
        "text": isinstance(found, str) and found != "",
        "number": isinstance(found, int | float) and not isinstance(found, bool),
        "date": isinstance(found, str),
        "yes_no": isinstance(found, bool),
    }[kind]
    if not fits:
        return False
    if op == "last_days":
        day = parse_date(str(found))
        return day is not None and at.date() - timedelta(days=value) < day <= at.date()
    return _holds(op, value, found if kind != "date" else parse_date(str(found)))


def _holds(op: str, value: Any, found: Any) -> bool:
    if op == "is_set":
        return found not in (None, "")
    if op in ("yes", "no"):
        return found is (op == "yes")
    if found is None:
        return False
    if isinstance(found, date):
        value = [parse_date(one) for one in value] if isinstance(value, list) else parse_date(value)
    match op:
        case "in":
            return found in value
        case "is" | "eq":
            return bool(found == value)
        case "starts":
            return str(found).startswith(value)
        case "lte":
            return bool(found <= value)
        case "gte" | "since":
            return bool(found >= value)
        case "before":
            return bool(found < value)
        case "between":
            return bool(value[0] <= found <= value[1])
    raise AssertionError(op)


def _when(op: str, value: Any, found: datetime, at: datetime) -> bool:
    if op == "last_days":
        return at - timedelta(days=value) < found <= at
    return _holds(op, value, found.date())


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
