"""Reports that wait: what each says, whom it touches, what would follow; accept it or dismiss it."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from unfold.decorators import display

from deliveries import reported
from profiles.admin_base import BaseAdmin
from profiles.consent import Evidence
from quarantine import report_words
from quarantine.admin.people import holders
from quarantine.models import Report, ReportState, Triage

from .raw_text import shown as shown_raw

LIST = "admin:quarantine_report_changelist"
TONES = {
    ReportState.APPLIED: "info", ReportState.WAITING: "warning", ReportState.ACCEPTED: "success",
    ReportState.DISMISSED: "info", ReportState.BROKEN: "danger",
}  # fmt: skip
MARKS = {"success": "good", "info": "", "warning": "wait", "danger": "bad"}


class DecisionForm(forms.Form):
    """Why a report is taken at its word."""

    reason = forms.CharField(
        label=gettext_lazy("Why you believe it"), max_length=1_000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Kept in the history of each address, with your name."),
        error_messages={"required": gettext_lazy("Write down why this report is to be believed.")},
    )  # fmt: skip


class StateFilter(admin.SimpleListFilter):
    """Shows what waits, unless something else is asked for."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        others = [(str(state.value), str(state.label)) for state in ReportState if state != ReportState.WAITING]
        return [*others, ("all", _("All"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Report]) -> QuerySet[Report]:
        if self.value() == "all":
            return queryset
        states = {str(state.value): state for state in ReportState}
        return queryset.filter(state=states.get(self.value() or "", ReportState.WAITING))

    def choices(self, changelist: Any) -> Any:
        """Call the choice that is made by default by what it shows."""
        for number, choice in enumerate(super().choices(changelist)):
            yield choice if number else {**choice, "display": ReportState.WAITING.label}


@admin.register(Report)
class ReportAdmin(BaseAdmin):
    list_display = ("received", "kind", "about", "why", "shown_state", "from_where")
    list_filter = (StateFilter, "kind", "triage")
    list_disable_select_all = True
    actions = ("dismiss_action",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        return super().get_queryset(request).defer("raw")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny the form: a report is decided by its buttons."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny: a deleted one would be new when it comes again."""
        return False

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("quarantine.accept_report"))

    # -- the list ---------------------------------------------------------------------------------------------
    @admin.display(description=gettext_lazy("received"))
    def received(self, report: Report) -> str:
        return date_format(timezone.localtime(report.received_at), "DATETIME_FORMAT")

    @admin.display(description=gettext_lazy("about"))
    def about(self, report: Report) -> str:
        """Name the first recipient, and say how many more there are."""
        named = [report_words.Spoken.of(one).address for one in report.recipients if isinstance(one, dict)]
        if not named:
            return "—"
        more = len(named) - 1
        told = ngettext("%(first)s and %(n)d more", "%(first)s and %(n)d more", more) if more else "%(first)s"
        return told % {"first": named[0], "n": more}

    @admin.display(description=gettext_lazy("why"))
    def why(self, report: Report) -> str:
        return report.get_triage_display()

    @display(description=gettext_lazy("state"), label=TONES)
    def shown_state(self, report: Report) -> tuple[int, str]:
        return report.state, report.get_state_display()

    @admin.display(description=gettext_lazy("from"))
    def from_where(self, report: Report) -> str:
        return source_words(report.source)

    @admin.action(description=gettext_lazy("Dismiss"), permissions=["decide"])
    def dismiss_action(self, request: HttpRequest, queryset: QuerySet[Report]) -> None:
        evidence, at = Evidence.of_operator(request.user), timezone.now()
        done = sum(reported.dismiss(report, evidence=evidence, at=at) for report in queryset.iterator())
        told = ngettext("%(n)d report dismissed.", "%(n)d reports dismissed.", done)
        messages.success(request, f"{told % {'n': done}} {_('Nothing was changed about any address.')}")

    # -- one report -------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/accept/", view(require_POST(self.accept_view)), name="deliveries_report_accept"),
            path("<int:pk>/dismiss/", view(require_POST(self.dismiss_view)), name="deliveries_report_dismiss"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        report = self._report(request, int(object_id) if object_id.isdecimal() and len(object_id) < 18 else 0)
        return self._page(request, report, DecisionForm())

    def accept_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        report, form = self._deciding(request, pk), DecisionForm(request.POST)
        if not form.is_valid():
            return self._page(request, report, form)
        evidence = Evidence.of_operator(request.user, reason=form.cleaned_data["reason"])
        done = reported.accept(report, evidence=evidence, at=timezone.now())
        return self._back(request, pk, _("The report is believed. What follows from it was done."), done=bool(done))

    def dismiss_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        report = self._deciding(request, pk)
        done = reported.dismiss(report, evidence=Evidence.of_operator(request.user), at=timezone.now())
        return self._back(
            request, pk, _("The report is dismissed. Nothing was changed about any address."), done=bool(done)
        )

    def _report(self, request: HttpRequest, pk: int) -> Report:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(Report, pk=pk)

    def _deciding(self, request: HttpRequest, pk: int) -> Report:
        if not self.has_decide_permission(request):
            raise PermissionDenied
        return self._report(request, pk)

    def _back(self, request: HttpRequest, pk: int, told: str, *, done: bool) -> HttpResponse:
        if done:
            messages.success(request, told)
        else:
            messages.info(request, _("Somebody has decided already. Here is where it stands."))
        return HttpResponseRedirect(reverse("admin:quarantine_report_change", args=[pk]))

    def _page(self, request: HttpRequest, report: Report, form: DecisionForm) -> HttpResponse:
        found = report_words.look(report, at=timezone.now())
        context = {
            **self.admin_site.each_context(request),
            "title": report.get_kind_display(),
            "opts": self.opts,
            "report": report,
            "tone": MARKS[TONES[ReportState(report.state)]],
            "source": source_words(report.source),
            "remedy": remedy(Triage(report.triage)),
            "rows": [(one, holders([one.target]) if one.target else []) for one in found],
            "more": max(0, len(report.recipients) - len(found)),
            "acts": any(one.acts for one in found),
            "raw": shown_raw(report.raw),
            "form": form,
            "may_decide": self.has_decide_permission(request),
            "waits": report.state == ReportState.WAITING,
        }
        return TemplateResponse(request, "admin/deliveries/report.html", context)


def source_words(source: str) -> str:
    """Say where a report came from; the name of a mail provider stands for itself."""
    known = {"mail": _("Mail server"), "imap": _("Mailbox")}
    return known.get(source, source) or "—"


def remedy(why: Triage) -> str:
    """Say what to look at before a report is believed."""
    return {
        Triage.NO_TOKEN: _("Anybody can write such a message. Believe it only if you know who sent it."),
        Triage.FORGED: _("Somebody may want to keep your messages from these people. Believe it only if you are sure."),
        Triage.OTHER_RECIPIENT: _("Somebody who has a message of yours may want to stop those of others."),
        Triage.UNKNOWN_MESSAGE: _("It may be about a message whose log was deleted, or that was never sent."),
        Triage.UNREADABLE: _("Nothing follows from it by itself. Read it below."),
    }.get(why, "")
