"""What is said of the next release of an address."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import translation

from quarantine import words
from quarantine.models import Cause, QuarantinedAddress, Reason, Status

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def told(**fields: Any) -> str:
    known = {"channel": 1, "status": Status.QUARANTINED, "cause": Cause.BOUNCE, "quarantined_at": NOW - DAY}
    return words.next_release(QuarantinedAddress(**(known | fields)), at=NOW)


@pytest.mark.parametrize(
    ("fields", "english", "french"),
    [
        ({"status": Status.VALID}, "", ""),
        ({"status": Status.ALLOWLISTED}, "", ""),
        ({"status": Status.ERRONEOUS, "last_error_at": NOW - DAY}, "6 Dec 2026: its errors are forgotten",
         "6 décembre 2026 : ses erreurs seront oubliées"),
        ({"status": Status.ERRONEOUS, "last_error_at": NOW - 10 * DAY}, "27 Nov 2026: its errors were forgotten",
         "27 novembre 2026 : ses erreurs ont été oubliées"),
        ({"release_at": NOW + DAY, "reason": Reason.MAILBOX_FULL}, "28 Nov 2026: its mailbox was full",
         "28 novembre 2026 : sa boîte était pleine"),
        ({"release_at": NOW + DAY}, "28 Nov 2026: it was left out until then", "28 novembre 2026 : elle"),
        ({"release_at": NOW + DAY, "reason": Reason.MAILBOX_FULL, "cause": Cause.OPERATOR},
         "28 Nov 2026: it was left out until then", "28 novembre 2026 : elle"),
        ({"release_at": NOW}, "27 Nov 2026: it has been released then", "27 novembre 2026 : elle"),
        ({}, "Not by itself: messages came back", "Pas d’elle-même : des messages"),
        ({"cause": Cause.PERSON}, "Not by itself: the person asked", "Pas d’elle-même : la personne"),
    ],
)  # fmt: skip
def test_the_next_release_is_told_with_its_why(fields: dict[str, Any], english: str, french: str) -> None:
    with translation.override("en"):
        assert told(**fields).startswith(english)
    with translation.override("fr"):
        assert told(**fields).replace("\u00a0", " ").startswith(french)


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_its_own_words(cause: Cause) -> None:
    others = {told(cause=other) for other in Cause if other != cause}
    assert told(cause=cause) not in others
    assert told(cause=cause).startswith("Not by itself: ")
