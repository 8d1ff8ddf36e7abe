"""Understand a message that came in: a bounce, a complaint, an automatic reply, an unsubscribe message, or another.

    understand(raw)    read a message of any shape; no input raises, and nothing is looked up or changed

What it says about addresses is not proven: `Finding.return_paths` and `message_ids` hold what may prove it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..failures import Failure, Rule
from ..models import ReportKind
from . import addresses, dsn, mail, opt_outs, parts, returned, tokens
from .verdicts import judge


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
    opt_out = opt_outs.find(mail.of(root))
    copy = returned.attached(root)
    statuses = dsn.find(root)
    kind = ReportKind.OTHER
    recipients: tuple[Recipient, ...] = ()
    if statuses is not None:
        recipients = tuple(
            Recipient(one.address, verdict.failure, verdict.status, one.action, verdict.diagnostic)
            for one in statuses
            if one.address
            for verdict in [judge(one.action, one.status, one.diagnostic, rules=rules)]
        )
        kind = ReportKind.BOUNCE
    elif opt_out.token != opt_outs.Token.ABSENT:
        kind = ReportKind.UNSUBSCRIBE
    return Finding(
        kind, recipients, tokens.return_paths(root.headers, [copy]), tokens.message_ids(root.headers, [copy]), opt_out
    )
