"""Understand a message that came in: a bounce, a complaint, an automatic reply, an unsubscribe message, or another.

    understand(raw)    read a message of any shape; no input raises, and nothing is looked up or changed

What it says about addresses is not proven: `Finding.return_paths` and `message_ids` hold what may prove it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..failures import Failure, Rule
from ..models import ReportKind
from . import (
    addresses,
    arf,
    automatic,
    dsn,
    envelopes,
    mail,
    notifications,
    opt_outs,
    parts,
    returned,
    texts,
    tokens,
    verdicts,
)
from .decoding import decode_words
from .parts import Part
from .verdicts import judge, judge_notice


@dataclass(frozen=True, slots=True)
class Recipient:
    """What a report says about one address.

    `address` is as written in the report, with its domain in lower case, and never empty. `failure` is None where
    nothing failed, as in complaints. `status` is an enhanced status code (RFC 3463), from the report, else from its
    diagnostic. `action` is a word of RFC 3464 section 2.3.3, empty when not said. `diagnostic` has at most 500
    characters and no control characters.
    """

    address: str
    failure: Failure | None
    status: str | None
    action: str
    diagnostic: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a message is about.

    `return_paths` are local parts that look like a signed return path, from where the report was addressed to and
    from the returned headers. `message_ids` are identifiers, without <>, of the message that it is about, the surest
    first.
    """

    kind: ReportKind
    recipients: tuple[Recipient, ...]
    return_paths: tuple[str, ...]
    message_ids: tuple[str, ...]
    opt_out: opt_outs.Found


def understand(raw: bytes, rules: Sequence[Rule] = ()) -> Finding:
    """Read a message, as far as it can be. `rules` are own rules for answers, tried before the built-in ones."""
    root = parts.read(raw)
    complaint = arf.find(root)
    if complaint:
        recipients = [Recipient(address, None, None, "", "") for address in complaint.recipients]
        kind = ReportKind.COMPLAINT if complaint.counts else ReportKind.OTHER
        return _finding(kind, recipients, root, complaint.copies, opt_outs.NOTHING)
    opt_out = opt_outs.find(mail.of(root, with_text=False))
    if opt_out.token == opt_outs.Token.VALID:
        return _finding(ReportKind.UNSUBSCRIBE, (), root, (), opt_out)
    kind, recipients, copy = _Reading(root, rules).understand()
    if kind == ReportKind.BOUNCE:
        return _finding(kind, recipients, root, [copy], opt_outs.NOTHING)
    opt_out = opt_outs.find(mail.of(root))
    if opt_out.token == opt_outs.Token.VALID or (kind == ReportKind.OTHER and opt_out.token == opt_outs.Token.INVALID):
        kind = ReportKind.UNSUBSCRIBE
    return _finding(kind, recipients, root, [copy], opt_out)


def _finding(
    kind: ReportKind,
    recipients: Iterable[Recipient],
    root: Part,
    copies: Sequence[Mapping[str, str]],
    opt_out: opt_outs.Found,
) -> Finding:
    once: dict[str, Recipient] = {}
    for one in recipients:
        key = one.address.lower()
        if key not in once or (once[key].failure is None and one.failure):
            once[key] = one
    return Finding(
        kind,
        tuple(once.values()),
        tokens.return_paths(root.headers, copies),
        tokens.message_ids(root.headers, copies),
        opt_out,
    )


_Understood = tuple[ReportKind, list[Recipient], Mapping[str, str]]
_SENT_BY = ("from", "return-path", "reply-to", "sender", "errors-to")
_CAME_TO = ("to", "delivered-to", "x-original-to", "from", "envelope-to")
_NAMED = 5  # the rank of an address in a notice up to which it stands as formats put it
_WRAPPED = 3  # reports within reports that are looked into


class _Reading:
    """One message being read: its parts, who wrote it, its notice, and the headers that it returns."""

    def __init__(self, root: Part, rules: Sequence[Rule], depth: int = _WRAPPED) -> None:
        self.root, self.rules, self.depth = root, rules, depth
        self.copy: Mapping[str, str] = returned.attached(root)
        self.is_attached = bool(self.copy)
        self._notice: str | None = None
        self._said: tuple[Failure | None] | None = None
        self._named: list[texts.Entry] | None = None

    def understand(self) -> _Understood:
        """Return what the message is, whom it is about, and the headers of the message that it returns."""
        if automatic.is_receipt(self.root) and not automatic.is_refusal(self.envelope):
            return ReportKind.OTHER, [], self.copy
        if automatic.is_challenge(self.root.headers):
            return ReportKind.AUTO_REPLY, [], self.copy
        statuses = dsn.find(self.root)
        if statuses is not None and self._is_sent_by_system():
            return self._of_statuses(statuses)
        return self._of_notification() or self._of_text()

    def _is_sent_by_system(self) -> bool:
        """Say whether machine-readable fields are the message's own, not an example that somebody sends."""
        if self.root.kind == "multipart/report":
            return True
        envelope = self.envelope
        return not envelope.is_letter and (
            dsn.has_own_part(self.root)
            or envelope.is_called_daemon
            or envelope.is_null
            or envelope.is_about_failure
            or envelope.is_program
        )

    # -- machine-readable ------------------------------------------------------------------------------------

    def _of_statuses(self, statuses: list[dsn.Status]) -> _Understood:
        found: list[Recipient] = []
        nameless: list[dsn.Status] = []
        for one in statuses:
            address = one.address or self._receiver_named(one.local)
            if address:
                found.append(self._recipient(address, one))
            else:
                nameless.append(one)
        if not found:
            found = self._named_by_text(nameless[0] if nameless else None)
        if not self.copy:
            self.notice  # noqa: B018 (the message may stand below it)
        if "message-id" not in self.copy:
            self.copy = {**self.copy, "x-original-message-id": dsn.message_id(self.root)}
        if found and all(one.action in dsn.NOT_FAILED for one in found):
            return ReportKind.OTHER, found, self.copy
        return ReportKind.BOUNCE, found, self.copy

    def _of_notification(self) -> _Understood | None:
        notification = notifications.find(self.notice) if '"' in self.notice and not self.envelope.is_letter else None
        if notification is None:
            return None
        self.copy = notification.copy
        if notification.is_complaint:
            named = [Recipient(one.address, None, None, "", "") for one in notification.statuses if one.address]
            return ReportKind.COMPLAINT, named, self.copy
        return self._of_statuses(list(notification.statuses))

    def _recipient(self, address: str, one: dsn.Status) -> Recipient:
        verdict = judge(one.action, one.status, one.diagnostic, around=self._said_anywhere, rules=self.rules)
        return Recipient(address, verdict.failure, verdict.status, one.action, verdict.diagnostic)

    def _receiver_named(self, local: str) -> str | None:
        """Return the receiver of the returned message that has this local part: some systems leave the domain out."""
        if not local:
            return None
        return next((one for one in self._receivers() if one.lower().startswith(local.lower() + "@")), None)

    def _named_by_text(self, one: dsn.Status | None) -> list[Recipient]:
        found = self._entries() or self._last_resort()
        return [self._recipient(entry.address, one) for entry in found] if one else self._of_entries(found)

    # -- for people ------------------------------------------------------------------------------------------

    @cached_property
    def envelope(self) -> envelopes.Envelope:
        return envelopes.read(self.root.headers)

    @property
    def notice(self) -> str:
        """Return what the message says, without the copy of another below it."""
        if self._notice is None:
            split = returned.below(returned.text_of(self.root))
            self._notice = split.notice
            if not self.copy:
                self.copy = split.headers
        return self._notice

    def _of_text(self) -> _Understood:
        envelope, headers = self.envelope, self.root.headers
        failed = list(addresses.find(headers.get("x-failed-recipients", "")))
        certain = bool(failed) and not envelope.is_letter
        if not certain and automatic.is_list_notice(headers, envelope):
            return ReportKind.OTHER, [], {}
        is_report = certain or self._is_report()
        is_answer = not certain and automatic.is_answer(headers, envelope)
        if is_answer and not (is_report and (envelope.is_about_failure or envelope.is_daemon)):
            return ReportKind.AUTO_REPLY, [], self.copy
        if not is_report:
            return self._wrapped() or (ReportKind.OTHER, [], {})
        entries = self._entries() or [texts.Entry(one, 0, 0) for one in failed]
        if not entries and (wrapped := self._wrapped()) and wrapped[1]:
            return wrapped
        return ReportKind.BOUNCE, self._of_entries(entries or self._without_domains() or self._last_resort()), self.copy

    def _is_report(self) -> bool:
        """Say whether a mail system seems to have written this: by sender, subject, opening, and addresses named."""
        envelope = self.envelope
        if envelope.is_letter:
            return False
        if self.root.kind == "multipart/report" and "delivery" in self.root.headers["content-type"].lower():
            return True
        is_about_failure, opens = envelope.is_about_failure, texts.opens(self.notice)
        if envelope.is_daemon:
            says_it = is_about_failure and (envelope.is_mailer or envelope.is_null or bool(self.copy))
            names = envelope.is_mailer and envelope.is_null and bool(self._entries())
            return says_it or opens or names or self._complains()
        if envelope.is_called_daemon or (envelope.is_null and is_about_failure):
            if is_about_failure and opens and envelope.is_null:
                return True
            return (is_about_failure or opens) and (bool(self.copy) or self._names_somebody())
        return self._is_report_of_stranger()

    def _is_report_of_stranger(self) -> bool:
        """Say the same of what no mail system seems to have sent: it has to look like a report in every way."""
        if "list-unsubscribe" in self.root.headers:
            return False
        if self.envelope.is_about_failure and self.is_attached and texts.opens(self.notice):
            return True
        if not texts.opens(self.notice, at_once=True):
            return False
        names = self._names_somebody()
        is_about_failure = self.envelope.is_about_failure
        if self.envelope.is_program or self.envelope.is_null:
            return (is_about_failure and (names or bool(self.copy))) or (names and bool(self.copy))
        return is_about_failure and names and texts.complains(self.notice)

    def _complains(self) -> bool:
        """Say whether somebody is named with what is wrong, or by a format that names nobody else."""
        named = [entry.rank for entry in self._entries()]
        return bool(named) and (min(named) == 0 or (min(named) <= _NAMED and texts.complains(self.notice)))

    def _names_somebody(self) -> bool:
        return any(entry.rank <= _NAMED for entry in self._entries())

    def _wrapped(self) -> _Understood | None:
        """Return what a report says that a program passed on as an attachment."""
        if self.envelope.is_letter or not self.depth:
            return None
        if not (self.envelope.is_called_daemon or self.envelope.is_null or self.envelope.is_program):
            return None
        for part in self.root.walk(into_messages=False):
            if part.kind.startswith("message/") and part.parts:
                understood = _Reading(part.parts[0], self.rules, self.depth - 1).understand()
                return understood if understood[0] == ReportKind.BOUNCE else None
        return None

    def _entries(self) -> list[texts.Entry]:
        if self._named is None:
            receivers = [one.lower() for one in self._receivers()]
            self._named = texts.find(self.notice, ours=self._ours(), receivers=receivers)
        return self._named

    def _without_domains(self) -> list[texts.Entry]:
        """Return whom a notice lists by their names alone: receivers of the message, else people of the mail system."""
        domain = next(addresses.find(self.root.headers.get("from", "")), "").rpartition("@")[2]
        ours = domain if self.envelope.is_mailer else ""
        found = [self._receiver_named(name) or (f"{name}@{ours}" if ours else "") for name in texts.names(self.notice)]
        return [texts.Entry(one, 9, 0) for one in found if one]

    def _last_resort(self) -> list[texts.Entry]:
        """Return the receiver of the returned message, if it is one alone."""
        receivers = [one for one in self._receivers("to") if one.lower() not in self._ours()]
        return [texts.Entry(receivers[0], 9, 0)] if len(receivers) == 1 else []

    def _of_entries(self, entries: Iterable[texts.Entry]) -> list[Recipient]:
        found = []
        late = verdicts.is_delayed(self.envelope.subject, self.notice)
        for entry in entries:
            verdict = judge_notice(entry.diagnostic, is_delayed=late, around=self._said_anywhere, rules=self.rules)
            found.append(Recipient(entry.address, verdict.failure, verdict.status, verdict.action, verdict.diagnostic))
        return found

    def _said_anywhere(self) -> Failure | None:
        """Return what the notice says, wherever."""
        if self._said is None:
            self._said = (verdicts.of_lines(self.notice, self.rules),)
        return self._said[0]

    def _receivers(self, *names: str) -> list[str]:
        self.notice  # noqa: B018 (it may hold the returned headers)
        names = names or ("to", "cc", "apparently-to", "x-rcpt-to")
        values = [self.copy[name] for name in names if name in self.copy]
        return list(dict.fromkeys(one for value in values for one in addresses.find(decode_words(value))))

    def _ours(self) -> set[str]:
        """Return the addresses of the sender, in small letters: that of the copy, and where the report came to."""
        sent = [self.copy.get(name, "") for name in _SENT_BY]
        came = [self.root.headers.get(name, "") for name in _CAME_TO]
        return {one.lower() for value in (*sent, *came) for one in addresses.find(decode_words(value))}
