"""The page "What does this report say?": paste a report, or an answer, and see what is understood of it.

Nothing is changed, stored or logged: what is pasted is somebody's mail.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from deliveries import reported
from deliveries.reported import Incoming, Outcome
from quarantine import answer_rules, report_words
from quarantine.failures import Failure, Rule, classify, deciding, one_line
from quarantine.inbound.opt_outs import Token
from quarantine.inbound.reports import Finding, Recipient, understand
from quarantine.models import AnswerRule, Reason, ReportKind

LONGEST = 500_000  # characters
SHOWN = 20
# A message begins with a header (RFC 5322 section 2.2) or the separator of an mbox file; an answer with a number, or
# with words.
_MESSAGE = re.compile(r"\s*(?:>?From |[!-9;-~]{2,60}:[ \t]?\S[^\n]*\n(?:[ \t]|[!-9;-~]{2,60}:|\r?\n))")


class PastedForm(forms.Form):
    text = forms.CharField(
        label=gettext_lazy("A report with its headers, or what a mail system has answered"), max_length=LONGEST,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Paste a report or an answer first.")},
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """What is understood about one recipient, and which rule decided; `rule` is None for a built-in one."""

    address: str
    said: str
    status: str
    answer: str
    failed: bool
    rule: AnswerRule | None


@sensitive_post_parameters()
def page(request: HttpRequest) -> HttpResponse:
    """Show the empty page; a POST shows it again, with what was understood."""
    if not request.user.has_perm("quarantine.view_report"):
        raise PermissionDenied
    form = PastedForm(request.POST if request.method == "POST" else None)
    context = {
        **admin.site.each_context(request),
        "title": _("What does this report say?"),
        "form": form,
        "may_make_rules": request.user.has_perm("quarantine.add_answerrule"),
    }
    if form.is_bound and form.is_valid():
        context |= understood(form.cleaned_data["text"])
    return TemplateResponse(request, "admin/deliveries/what_it_says.html", context)


def understood(text: str) -> dict[str, Any]:
    """Return what a page shows of a report or an answer. Two queries at most."""
    rules = answer_rules.read_rules()
    if not _MESSAGE.match(text):
        return {"lines": _lines([_answered(text, rules)], "", rules), "is_answer": True, "shown": True}
    raw = text.encode("utf-8", "replace")
    finding = understand(raw, rules)
    (result,) = reported.look([Incoming(finding, raw)])
    return {
        "shown": True,
        "kind": finding.kind.label,
        "lines": _lines(result.recipients[:SHOWN], finding.kind, rules),
        "more": max(0, len(result.recipients) - SHOWN),
        "token_words": token_words(result.token),
        "then": outcome_words(finding, result.outcome),
    }


def token_words(token: Token) -> str:
    """Say whether a report proves which message it is about."""
    return {
        Token.VALID: _("It proves which message it is about, and whom that message was for."),
        Token.ABSENT: _("It does not prove which message it is about."),
        Token.INVALID: _("What should prove it is not ours, or is of a message to somebody else."),
    }[token]


def outcome_words(finding: Finding, outcome: Outcome) -> str:
    """Say what would become of a report that came in so."""
    if finding.kind == ReportKind.UNSUBSCRIBE and finding.opt_out.token == Token.VALID:
        return _("Whoever has the address of that message opts out.")
    if outcome == Outcome.APPLIED:
        return _("It would be acted on.")
    if outcome == Outcome.WAITING:
        return _("It would wait for a decision.")
    return _("It is about a test message: nothing follows.") if outcome == Outcome.TEST else _("Nothing follows.")


def _answered(text: str, rules: Sequence[Rule]) -> Recipient:
    answer = " ".join(text.split())[:500]
    return Recipient(address="", failure=classify(0, answer, rules), status=None, action="", diagnostic=answer)


def _lines(recipients: Sequence[Recipient], kind: str, rules: Sequence[Rule]) -> list[Line]:
    deciders = [_decider(one, rules) for one in recipients]
    known = AnswerRule.objects.in_bulk({number for number in deciders if number})
    return [
        Line(
            address=one.address,
            said=_said(one.failure, kind),
            status=one.status or "",
            answer=one.diagnostic,
            failed=one.failure is not None,
            rule=known.get(number),
        )
        for one, number in zip(recipients, deciders, strict=True)
    ]


def _said(failure: Failure | None, kind: str) -> str:
    return report_words.failure_words(failure) if failure else report_words.words(kind, None, Reason.NOT_DEFINED)


def _decider(one: Recipient, rules: Sequence[Rule]) -> int:
    """Return the number of the own rule that decided, 0 for a built-in one."""
    rule = deciding(one_line(0, one.diagnostic), rules) if one.failure else None
    return rule.number if rule is not None and rule.failure == one.failure else 0
