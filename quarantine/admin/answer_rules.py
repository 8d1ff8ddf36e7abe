"""Own rules for answers: words that an answer holds, and what then follows for the address."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from profiles.admin_base import BaseAdmin
from quarantine import answer_rules
from quarantine.failures import classify, deciding, one_line
from quarantine.known_answers import KNOWN
from quarantine.models import AnswerRule, Effect, Whose

# A rule that fits well-known answers of more meanings than this says too little.
MOST_MEANINGS = 2
SHOWN = 4
WEIGHTS: Mapping[str, int] = {Effect.HARD.value: 2, Effect.SOFT.value: 1, Effect.IGNORED.value: 0}
PREFILL = "_prefill"


class AnswerRuleForm(forms.ModelForm):
    sample = forms.CharField(
        label=gettext_lazy("An answer that it is meant for"), required=False, max_length=2_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy("Paste one to see that the rule fits it. It is not stored."),
    )  # fmt: skip

    class Meta:
        model = AnswerRule
        fields = ("pattern", "sample", "effect", "reason", "whose", "position", "is_active", "note")
        widgets = {"pattern": UnfoldAdminTextInputWidget}

    def clean_pattern(self) -> str:
        """Refuse words that would fit nearly any answer."""
        pattern = " ".join(self.cleaned_data["pattern"].split())
        if told := answer_rules.flaw(pattern):
            raise forms.ValidationError(told)
        self.met = known_that_fit(pattern)
        meanings = {classify(0, answer): answer for answer in self.met}
        if len(meanings) > MOST_MEANINGS:
            told = _("It fits well-known answers that mean different things: “%(one)s”, “%(other)s”. Write more words.")
            one, other, *_rest = meanings.values()
            raise forms.ValidationError(told % {"one": one, "other": other})
        return pattern

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        pattern, sample = found.get("pattern"), found.get("sample")
        if pattern and sample and not fits(pattern, sample):
            told = _("The rule does not fit this answer. Compare the two, and put a star where they differ.")
            self.add_error("sample", told)
        if found.get("effect") == Effect.HARD and found.get("whose") not in (None, Whose.ADDRESS):
            told = _("Only what is the fault of the address can leave it out. Choose “Nothing”, or whose fault it is.")
            self.add_error("effect", told)
        if pattern and found.get("whose") == Whose.ADDRESS and (told := self._counts_too_much(pattern, found)):
            self.add_error("pattern", told)
        return found

    def _counts_too_much(self, pattern: str, found: Mapping[str, Any]) -> str:
        """Say why a rule would count against addresses that nothing is wrong with; empty when it would not."""
        weight = WEIGHTS.get(found.get("effect") or "", 0)
        if not weight:
            return ""
        milder = [answer for answer in self.met if WEIGHTS[classify(0, answer).kind.value] < weight]
        told = _(
            "It would also count against the address in “%(answer)s”, which says less than that. Write more words."
        )
        return told % {"answer": milder[0]} if milder else answer_rules.flaw_of_leaving_out(pattern)


@admin.register(AnswerRule)
class AnswerRuleAdmin(BaseAdmin):
    form = AnswerRuleForm
    audited = True
    ordering = ("position", "pk")
    list_display = ("pattern", "effect", "reason", "whose", "position", "is_active", "note")
    list_filter = ("effect", "is_active")
    search_fields = ("pattern", "note")
    change_form_outer_before_template = "admin/quarantine/rule_before.html"

    def get_fields(self, request: HttpRequest, obj: AnswerRule | None = None) -> tuple[str, ...]:
        """Leave the sample out where nothing can be tried."""
        names = AnswerRuleForm.Meta.fields
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return names if may else tuple(name for name in names if name != "sample")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Show the form, filled in from an answer when one was posted: an answer has no place in an address."""
        if request.method == "POST" and PREFILL in request.POST:
            request.method = "GET"  # the form is shown, and nothing is saved
        return super().add_view(request, form_url, extra_context)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        if PREFILL not in request.POST:
            return {"effect": Effect.IGNORED, **super().get_changeform_initial_data(request)}
        answer = " ".join(request.POST.get("answer", "")[:2_000].split())
        failure = classify(0, answer)
        return {
            "pattern": answer_rules.suggestion(answer), "sample": answer, "effect": failure.kind.value,
            "reason": failure.reason, "whose": failure.fault.value,
        }  # fmt: skip

    def save_model(self, request: HttpRequest, obj: AnswerRule, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        answer_rules.forget()
        messages.info(request, _("Answers that come in are read by it within a minute. Earlier ones stay as they are."))
        if form.met:
            messages.warning(request, _also_fits(form.met))

    def delete_model(self, request: HttpRequest, obj: AnswerRule) -> None:
        super().delete_model(request, obj)
        answer_rules.forget()


def fits(pattern: str, answer: str) -> bool:
    return deciding(one_line(0, answer), [answer_rules.compiled(_rule(pattern))]) is not None


def known_that_fit(pattern: str) -> list[str]:
    """Return the well-known answers that a rule would decide."""
    return [answer for answer in KNOWN if fits(pattern, answer)]


def _rule(pattern: str) -> AnswerRule:
    return AnswerRule(pattern=pattern, effect=Effect.IGNORED)


def _also_fits(met: list[str]) -> SafeString:
    told = _("It also decides well-known answers that were understood without it. Is that what you want?")
    shown = format_html_join("", "<br>“{}”", ((answer,) for answer in met[:SHOWN]))
    return format_html("{}{}", told, shown)
