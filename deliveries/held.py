"""Why a delivery did not start or paused by itself, kept in its `error` as a code with numbers, told when shown.

People who look at it may read different languages, and the worker that finds it knows none of them:

    delivery.error = held(Held.GREW, before=1000, after=1100)      '{"held": "grew", "before": 1000, "after": 1100}'
    in_words(delivery.error)                        "The target has grown from 1,000 to 1,100 since it was scheduled…"

Other errors (what a receiving side answered, why an analysis failed) are kept, and shown, as they are.
"""

import json
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _


class Held(StrEnum):
    GREW = "grew"
    LATE = "late"
    CHECKS = "checks"
    CHANGED = "changed"
    CHANNEL = "channel"
    CRITERIA = "criteria"
    # A delivery that was being sent, and paused by itself (see `watch`).
    HARD = "hard"
    COMPLAINTS = "complaints"
    BLOCKED = "blocked"


def held(why: Held, **about: int | datetime) -> str:
    """Return what to keep."""
    plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in about.items()}
    return json.dumps({"held": why.value, **plain})


def is_held(error: str) -> bool:
    """Say whether a scheduled delivery waits for a human."""
    return "held" in _read(error)


def why(error: str) -> Held | None:
    """Return why a delivery waits for a human, where that is kept as a code."""
    code = str(_read(error).get("held"))
    return Held(code) if code in set(Held) else None


def in_words(error: str) -> str:
    """Return what is kept in the reader's language and time zone."""
    kept = _read(error)
    words = _numbers(kept)
    match kept.get("held"):
        case Held.GREW:
            text = _(
                "The target has grown from %(before)s to %(after)s since it was scheduled: look at it, then send or "
                "schedule it again."
            )
        case Held.LATE:
            text = _(
                "It was to be sent on %(at)s, and nothing could send it then. So long after, it does not start by "
                "itself: look at it, then send or schedule it again."
            )
        case Held.CHECKS:
            text = _(
                "It was not sent on %(at)s: by then the checks had found an error. Put it right, then send or schedule "
                "it again."
            )
        case Held.CHANGED:
            text = _(
                "It was not sent on %(at)s: it was changed while it was being analysed. Analyse it, then send or "
                "schedule it again."
            )
        case Held.CRITERIA:
            text = _(
                "It was not sent on %(at)s: its audience or one of its sending rules names something that is gone. Put "
                "that right, then analyse and schedule it again."
            )
        case Held.CHANNEL:
            return _("Messages of this channel can be prepared and analysed, but not sent yet.")
        case Held.HARD:
            text = _(
                "Paused by itself: %(number)s of %(of)s addresses do not exist. The list may be old. Find out where "
                "they come from before you go on."
            )
        case Held.COMPLAINTS:
            text = _(
                "Paused by itself: %(number)s of %(of)s people reported the message as spam. Look at whom it is for "
                "and what it says before you go on."
            )
        case Held.BLOCKED:
            text = _(
                "Paused by itself: %(number)s times, a receiving side refused us, and not an address. See what they "
                "answer, and put that right before you go on."
            )
        case _other:
            return error
    return text % words


def _numbers(kept: dict[str, Any]) -> dict[str, str]:
    words = {name: number_format(value, force_grouping=True) for name, value in kept.items() if isinstance(value, int)}
    if "at" in kept:
        words["at"] = date_format(localtime(datetime.fromisoformat(kept["at"])), "DATETIME_FORMAT")
    return words


def _read(error: str) -> dict[str, Any]:
    if not error.startswith('{"held"'):
        return {}
    try:
        kept: dict[str, Any] = json.loads(error)
    except ValueError:
        return {}
    return kept
