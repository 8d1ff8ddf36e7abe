"""Find what may prove which message a report is about: signed return paths and identifiers. Nothing is verified here.

See profiles.tokens: a return path is 40 letters and digits before an @, whose case mail servers may change.
"""

import re
from collections.abc import Iterable, Mapping

MOST = 20  # of each that are kept
_RETURN_PATH = re.compile(r"(?<![A-Za-z0-9._+-])([A-Za-z2-7]{40})@")
_IDENTIFIER = re.compile(r"<([^<>\s@]{1,250}@[^<>\s@]{1,250})>")
# Where a report was addressed to, and what the returned message says that it comes back to.
_ADDRESSED = ("to", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-rcpt-to", "apparently-to",
              "x-forwarded-to", "x-delivered-to", "cc", "resent-to", "original-recipient")  # fmt: skip
_RETURNED = ("return-path", "x-return-path", "errors-to", "x-envelope-from", "x-envelope-sender", "x-original-from",
             "original-mail-from", "x-mail-from", "sender", "received-spf", "authentication-results",
             "from")  # fmt: skip


def return_paths(report: Mapping[str, str], returned: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the local parts that look like signed return paths, those that the report was addressed to first."""
    values = [report[name] for name in _ADDRESSED if name in report]
    values += [headers[name] for headers in returned for name in _RETURNED if name in headers]
    found = [match.lower() for value in values if "@" in value for match in _RETURN_PATH.findall(value)]
    return tuple(dict.fromkeys(found))[:MOST]


def message_ids(report: Mapping[str, str], returned: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Return identifiers of the message that a report is about: of what it returns, then of what it answers."""
    values = [
        headers[name]
        for name in ("message-id", "original-message-id", "x-original-message-id")
        for headers in returned
        if name in headers
    ]
    values += [report[name] for name in ("x-original-message-id", "in-reply-to", "references") if name in report]
    found = [identifier for value in values for identifier in _identifiers(value)]
    return tuple(dict.fromkeys(found))[:MOST]


def _identifiers(value: str) -> list[str]:
    if "<" in value:
        return _IDENTIFIER.findall(value)
    return [value.strip()] if value.count("@") == 1 and " " not in value.strip() else []
