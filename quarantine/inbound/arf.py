"""Read complaints: feedback reports (RFC 5965), and those that providers send in a form of their own.

What is no complaint about a message of ours: that a message was *not* spam, that it failed DMARC (RFC 6591), or
statistics of it. A recipient that was blotted out is found again by the signed return path (RFC 6590).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from . import addresses, parts, returned
from .decoding import decode_words
from .parts import Part, parameter

_KINDS = ("message/feedback-report", "text/feedback-report")
_SIZE = 20_000  # octets of a report that are read
MOST = 50  # recipients

# What is said about a message that a person did not ask to be rid of.
_NO_COMPLAINTS = {"not-spam", "auth-failure", "dkim", "dmarc"}
_BLOTTED = re.compile(r"redact|removed|hidden|suppressed|undisclosed|x{4,}|\*{3,}|anonymous|private")
_RECIPIENTS = ("original-rcpt-to", "original-recipient", "x-hmxmroriginalrecipient", "removal-recipient",
               "x-original-rcpt-to", "redacted-recipient")  # fmt: skip
# Hotmail's Junk Mail Reporting Program before it used RFC 5965, AOL's before that, SpamCop.
_SUBJECT = re.compile(
    r"^(complaint about message from|email feedback report for ip|abuse report (for|about)|spam report (for|about)"
    r"|\[spamcop \(|feedback loop (report|notification)|(client )?tos notification)", re.IGNORECASE
)  # fmt: skip
_SENDER = re.compile(
    r"staff@hotmail\.com|(scomp|fbl|feedback)\S*@|@(reports\.)?spamcop\.net|@fbl\.|postmaster@|abuse\S*@|jmrp",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Whether somebody complains; about whom, as far as it was not blotted out; and all headers that were found."""

    counts: bool
    recipients: tuple[str, ...]
    copies: tuple[Mapping[str, str], ...]


def find(root: Part) -> Complaint | None:
    """Return the feedback that a message reports; None if it reports none."""
    report = next((part for part in root.walk(into_messages=False) if part.kind in _KINDS), None)
    if report is None and parameter(root.headers, "report-type").lower() != "feedback-report":
        return _without_form(root)
    fields = parts.fields(report.octets()[:_SIZE]) if report else []
    kind = next((value.lower() for name, value in fields if name == "feedback-type"), "abuse")
    copies = (dict(reversed(fields)), returned.attached(root))
    if kind.partition(" ")[0].strip(" ;") in _NO_COMPLAINTS:
        return Complaint(False, (), copies)
    named = [value for name, value in fields if name in _RECIPIENTS]
    return Complaint(True, _recipients(named, copies[1]), copies)


def _without_form(root: Part) -> Complaint | None:
    copy = returned.attached(root)
    original = root.headers.get("x-hmxmroriginalrecipient") or copy.get("x-hmxmroriginalrecipient", "")
    subject = decode_words(root.headers.get("subject", ""))
    if not original and not (_SUBJECT.match(subject) and _SENDER.search(root.headers.get("from", ""))):
        return None
    return Complaint(True, _recipients([original] if original else [], copy), (copy,))


def _recipients(named: list[str], copy: Mapping[str, str]) -> tuple[str, ...]:
    """Return whom a complaint is about: those that it names, else the only one that the message was to."""
    found = [address for value in named if (address := addresses.read(value)) and not _BLOTTED.search(address)]
    if not found:
        receivers = list(addresses.find(decode_words(copy.get("to", ""))))
        original = copy.get("x-hmxmroriginalrecipient", "")
        found = list(addresses.find(original)) or (receivers if len(receivers) == 1 else [])
        found = [address for address in found if not _BLOTTED.search(address)]
    return tuple(dict.fromkeys(found))[:MOST]
