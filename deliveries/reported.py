"""Act on reports about messages of ours: bounces and complaints, from whatever way they came in.

    receive([...], at=...)      what is proven is acted on, what is not waits for a person; the same one again: nothing
    accept(report, ...)         a person vouches for a waiting report: it is acted on as if it were proven
    dismiss(report, ...)        a person wants nothing done about it
    keep_aside(raw, ...)        a message that could not be dealt with

Nothing here sends a message.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction

from profiles.addresses import read
from profiles.channels import Channel
from profiles.consent import Evidence
from quarantine import escalation
from quarantine.failures import Failure, Kind, classify, own_rules
from quarantine.inbound import mail, parts
from quarantine.inbound.opt_outs import Token
from quarantine.inbound.reports import Finding, Recipient
from quarantine.models import Cause, Reason, Report, ReportKind, ReportState, Triage

from . import acting, matching
from .acting import Act
from .matching import Match

RAW_KEPT = 256_000  # octets of a message that are kept for whoever decides about it
# Headers that a message has of its own: each system on its way adds others, and never the same twice.
_OWN = re.compile(rb"(?im)^(?:from|to|subject|date|message-id|content-type):.*(?:\r?\n[ \t].*)*")
_TEXT = 2_000  # characters of a message that names nobody, that may say why it came back
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


class Outcome(StrEnum):
    """What became of a message that came in."""

    LEFT = "left"  # whoever it proves is opted out
    APPLIED = "applied"  # something was learnt of an address
    WAITING = "waiting"  # it is not proven: a person decides
    REPEATED = "repeated"  # it came in before
    TEST = "test"  # it is about a test message
    NOTHING = "nothing"  # nothing follows from what it says
    BROKEN = "broken"  # it could not be dealt with, and is kept aside


@dataclass(frozen=True, slots=True)
class Incoming:
    """A report that came in. `source` says which way; `raw`, the message, is kept where a person must decide.

    `name` tells it apart from others where there is no message, as for the events of a provider.
    """

    finding: Finding
    raw: bytes = b""
    source: str = "mail"
    name: bytes = b""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a report, whether its token is good, and whom it is about."""

    outcome: Outcome
    token: Token
    recipients: tuple[Recipient, ...]


def receive(reports: Sequence[Incoming], *, at: datetime) -> list[Result]:
    """Act on reports, all or nothing, in a number of queries that hardly grows; return what became of each."""
    matches = _match(reports)
    acts = [_acts(report, match) for report, match in zip(reports, matches, strict=True)]
    with transaction.atomic():
        done = iter(acting.act([act for some in acts for act in some], at=at))
        new = [[next(done) for _act in some] for some in acts]
        kept = _keep(reports, matches, at=at)
    return [
        Result(_outcome(news, waits, match), match.token, _about(report, match))
        for report, match, news, waits in zip(reports, matches, new, kept, strict=True)
    ]


def look(reports: Sequence[Incoming]) -> list[Result]:
    """Say what reports are about and whether their tokens are good; nothing is written, and repeats are not known."""
    found = []
    for report, match in zip(reports, _match(reports), strict=True):
        waits = _waits(report, match) or None
        outcome = _outcome([True for _act in _acts(report, match)], waits, match)
        found.append(Result(outcome, match.token, _about(report, match)))
    return found


def accept(report: Report, *, evidence: Evidence, at: datetime) -> bool:
    """Act on a waiting report as if it proved whom it names; return whether it was still waiting.

    `evidence` says who vouches for it and why. A second time changes nothing.
    """
    with transaction.atomic():
        held = _take(report, ReportState.ACCEPTED, {ReportState.WAITING}, evidence, at)
        if held is None:
            return False
        for who in map(recipient_of, held.recipients):
            if read(Channel.EMAIL, who.address).flaw:
                continue  # nobody can be written to there
            target = acting.target_of(who.address, matching.digest_of(who.address))
            if held.kind == ReportKind.COMPLAINT:
                escalation.quarantine([target], cause=Cause.COMPLAINT, evidence=evidence, at=at, text=who.diagnostic)
            elif held.kind == ReportKind.BOUNCE and who.failure is not None:
                escalation.note_failure(target, who.failure, evidence=evidence, at=at, text=who.diagnostic)
    return True


def dismiss(report: Report, *, evidence: Evidence, at: datetime) -> bool:
    """Note that nothing is to be done about a report; return whether it was still waiting for that, or put aside."""
    with transaction.atomic():
        waiting = {ReportState.WAITING, ReportState.BROKEN}
        return _take(report, ReportState.DISMISSED, waiting, evidence, at) is not None


def keep_aside(raw: bytes, *, source: str, at: datetime) -> None:
    """Keep a message that could not be dealt with, once."""
    Report.objects.bulk_create(
        [
            Report(
                fingerprint=fingerprint(raw), kind=ReportKind.OTHER, state=ReportState.BROKEN, source=source,
                triage=Triage.UNREADABLE, raw=raw[:RAW_KEPT], received_at=at,
            )
        ],
        ignore_conflicts=True,
    )  # fmt: skip


def fingerprint(raw: bytes) -> bytes:
    """Return what tells a message apart, and is the same when it comes in again by another way."""
    end = _BLANK_LINE.search(raw)
    if end is None:
        return hashlib.sha256(raw).digest()[:16]
    own = b"\n".join(_OWN.findall(raw[: end.start()]))
    return hashlib.sha256((own + b"\n\n" + raw[end.end() :]).replace(b"\r\n", b"\n")).digest()[:16]


def as_json(who: Recipient) -> dict[str, str | None]:
    """Return what a report says about an address, in plain values: for the `recipients` of a Report, and programs."""
    return {
        "address": who.address,
        "failure": who.failure.kind.value if who.failure else None,
        "reason": who.failure.reason.name.lower() if who.failure else None,
        "status": who.status,
        "action": who.action or None,
        "diagnostic": who.diagnostic,
    }


def recipient_of(stored: Mapping[str, Any]) -> Recipient:
    """Return what `as_json` was made of."""
    kind, reason = stored.get("failure"), stored.get("reason")
    failure = Failure(Kind(kind), Reason[(reason or "not_defined").upper()]) if kind else None
    return Recipient(
        stored["address"], failure, stored.get("status"), stored.get("action") or "", stored.get("diagnostic") or ""
    )


def _match(reports: Sequence[Incoming]) -> list[Match]:
    """Return what each report proves; unsubscribe messages are here for a token that does not open, or none."""
    found = matching.match([report.finding for report in reports])
    return [_completed(report, match) for report, match in zip(reports, found, strict=True)]


def _completed(report: Incoming, match: Match) -> Match:
    """Add what the text says of a message that came back and names nobody, but proves whom it was for."""
    if report.finding.kind == ReportKind.UNSUBSCRIBE:
        token = report.finding.opt_out.token
        return Match(token, triage=Triage.NO_TOKEN if token == Token.ABSENT else Triage.FORGED)
    if report.finding.kind != ReportKind.BOUNCE or report.finding.recipients or not match.proven:
        return match
    text = " ".join(mail.first_text(parts.read(report.raw))[:_TEXT].split())
    failure = classify(0, text, own_rules())
    proven = [
        replace(one, recipient=replace(one.recipient, failure=failure, diagnostic=text[:500])) for one in match.proven
    ]
    return replace(match, proven=tuple(proven))


def _about(report: Incoming, match: Match) -> tuple[Recipient, ...]:
    return report.finding.recipients or tuple(one.recipient for one in match.proven)


def _acts(report: Incoming, match: Match) -> list[Act]:
    """Return what is to be done about those whom a report proves."""
    if report.finding.kind == ReportKind.COMPLAINT:
        return [Act(who, None, report.source) for who in match.proven]
    if report.finding.kind != ReportKind.BOUNCE:
        return []
    said = [(who, who.recipient.failure) for who in match.proven]
    return [
        Act(who, failure, report.source)
        for who, failure in said
        # Errors are counted once per message, and only a log row tells whether that has been done.
        if failure and (failure.kind == Kind.HARD or (failure.kind == Kind.SOFT and who.row))
    ]


def _waits(report: Incoming, match: Match) -> bool:
    """Say whether a person has to look: at what is not proven, and at other messages that pretend to be."""
    if report.finding.kind in (ReportKind.BOUNCE, ReportKind.COMPLAINT):
        return match.triage != Triage.NONE
    # Somebody wants to leave, and their message does not prove who they are.
    return report.finding.kind == ReportKind.UNSUBSCRIBE or match.triage == Triage.FORGED


def _keep(reports: Sequence[Incoming], matches: Sequence[Match], *, at: datetime) -> list[bool | None]:
    """Keep the reports that wait for a person; say of each whether it is new, None for those that do not wait."""
    rows = [
        _row(report, match, at=at) if _waits(report, match) else None
        for report, match in zip(reports, matches, strict=True)
    ]
    wanted = [row.fingerprint for row in rows if row]
    if not wanted:
        return [None] * len(rows)
    there = Report.objects.filter(fingerprint__in=wanted).values_list("fingerprint", flat=True)
    known, new = {bytes(value) for value in there}, list[Report]()
    found: list[bool | None] = []
    for row in rows:
        is_new = None if row is None else bytes(row.fingerprint) not in known
        if row is not None and is_new:
            known.add(bytes(row.fingerprint))
            new.append(row)
        found.append(is_new)
    # In one order, so that two workers who are given the same ones do not wait for each other for ever.
    Report.objects.bulk_create(sorted(new, key=lambda row: bytes(row.fingerprint)), ignore_conflicts=True)
    return found


def _row(report: Incoming, match: Match, *, at: datetime) -> Report:
    return Report(
        fingerprint=fingerprint(report.name or report.raw), kind=report.finding.kind, state=ReportState.WAITING,
        triage=match.triage, source=report.source, log_id=match.number, raw=report.raw[:RAW_KEPT], received_at=at,
        recipients=[as_json(who) for who in _about(report, match)],
    )  # fmt: skip


def _outcome(news: Sequence[bool], waits: bool | None, match: Match) -> Outcome:
    if any(news):
        return Outcome.APPLIED
    if waits:
        return Outcome.WAITING
    if news or waits is False:
        return Outcome.REPEATED
    return Outcome.TEST if match.is_test else Outcome.NOTHING


def _take(
    report: Report, state: ReportState, waiting: set[ReportState], evidence: Evidence, at: datetime
) -> Report | None:
    """Lock a report that waits and note what was decided, and by whom; None if somebody was faster."""
    held = Report.objects.select_for_update().filter(pk=report.pk, state__in=waiting).first()
    if held is not None:
        held.state, held.decided_at, held.decided_by, held.note = state, at, evidence.actor_name, evidence.reason
        held.save(update_fields=["state", "decided_at", "decided_by", "note"])
    return held
