"""Releases after outages: choose what an outage has left out, look at it, release it, watch, and undo it if need be."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from profiles import plots
from profiles.admin_base import BaseAdmin
from profiles.plots import Bar
from profiles.ring import ring
from quarantine import figures, outages
from quarantine.domains import DomainRefused
from quarantine.models import Outage
from quarantine.outages import OutageRefused, Preview
from quarantine.tasks import release_after_outage, undo_release

from .acts import RELEASE

WINDOW = timedelta(days=1)
MINUTE = "%Y-%m-%dT%H:%M"
PICK, STEP = "pick", "step"


def _moment() -> forms.DateTimeInput:
    return forms.DateTimeInput(attrs={"type": "datetime-local", "class": "c-input"}, format=MINUTE)


class ChoiceForm(forms.ModelForm):
    """Which addresses: of which domain, left out when, with which answer."""

    class Meta:
        model = Outage
        fields = ("domain", "subdomains", "since", "until", "text")
        labels = {
            "domain": gettext_lazy("Domain"),
            "since": gettext_lazy("Left out from"),
            "until": gettext_lazy("until"),
            "text": gettext_lazy("The answer holds (leave empty for any)"),
        }
        help_texts = {"text": gettext_lazy("A few words as they stand in the answer, such as: try again later")}
        widgets = {"since": _moment(), "until": _moment(), "domain": forms.TextInput(attrs={"autocomplete": "off"})}


class ReasonForm(forms.Form):
    """Why these addresses may be written to again."""

    reason = forms.CharField(
        label=gettext_lazy("Why may they be written to again?"), max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}), help_text=gettext_lazy("Kept in the history of each address."),
    )  # fmt: skip


@admin.register(Outage)
class OutageAdmin(BaseAdmin):
    list_display = ("what", "since", "until", "state", "released", "by", "created_at")

    @admin.display(description=gettext_lazy("What"))
    def what(self, outage: Outage) -> str:
        return described(outage)

    @admin.display(description=gettext_lazy("State"))
    def state(self, outage: Outage) -> str:
        return state_of(outage)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or self.has_add_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(RELEASE))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny the form: a release is moved by its buttons."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny: the history of addresses refers to it."""
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/live/", view(self.live_view), name="quarantine_outage_live"),
            path("<int:pk>/do/<slug:step>/", view(require_POST(self.do_view)), name="quarantine_outage_do"),
            *super().get_urls(),
        ]

    # -- choosing ---------------------------------------------------------------------------------------------
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask which addresses; once that is said, show them; release them once it is said why."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        now = timezone.now()
        form, chosen = _choice(request, now)
        reason = ReasonForm(request.POST if request.POST.get(STEP) == "release" else None)
        outage = form.instance if chosen and form.is_valid() else None
        seen = None
        try:
            if outage and reason.is_bound and reason.is_valid():
                return self._start(request, outage, reason.cleaned_data["reason"], now)
            seen = outages.preview(outage, at=now) if outage else None
        except (OutageRefused, DomainRefused) as error:
            form.add_error("domain" if isinstance(error, DomainRefused) else None, str(error))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Release after an outage"),
            "form": form,
            "reason": reason,
            "domains": [(domain, plots.grouped(number)) for domain, number in figures.recent_domains(now)],
            **(_seen(seen) if seen else {}),
        }
        return TemplateResponse(request, "admin/quarantine/outage_add.html", context)

    def _start(self, request: HttpRequest, outage: Outage, reason: str, now: datetime) -> HttpResponse:
        outage.reason, outage.by = reason, request.user.get_username()
        started = outages.start(outage, at=now)
        figures.forget_jumps()
        ring(release_after_outage, started.pk)
        return HttpResponseRedirect(_page(started.pk))

    # -- one release ------------------------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        outage = self._outage(request, int(object_id) if object_id.isdecimal() else 0)
        context = {
            **self.admin_site.each_context(request),
            **self._live(request, outage),
            "title": _("Release after an outage: %(what)s") % {"what": described(outage)},
        }
        return TemplateResponse(request, "admin/quarantine/outage.html", context)

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the part of the page that changes by itself; the header says whether to ask again."""
        outage = self._outage(request, pk)
        html = render_to_string("admin/quarantine/outage_live.html", self._live(request, outage), request)
        return HttpResponse(html, headers={"X-Moving": "yes" if is_moving(outage) else "no"})

    def do_view(self, request: HttpRequest, pk: int, step: str) -> HttpResponse:
        """Stop a release, let it go on, or undo it after a page that says what follows."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        outage = self._outage(request, pk)
        if step not in ("stop", "go-on", "undo"):
            raise Http404
        if step == "undo" and "confirm" not in request.POST and outage.undone_at is None:
            shared = self.admin_site.each_context(request)
            context = {**shared, "title": _("Leave these addresses out again?"), "outage": outage}
            return TemplateResponse(request, "admin/quarantine/outage_undo.html", context)
        if not _do(step, outage, by=request.user.get_username()):
            messages.info(request, _("This release has moved on meanwhile. Here is where it stands."))
        return HttpResponseRedirect(_page(pk))

    def _outage(self, request: HttpRequest, pk: int) -> Outage:
        outage = get_object_or_404(Outage, pk=pk)
        if not self.has_view_permission(request, outage):
            raise PermissionDenied
        return outage

    def _live(self, request: HttpRequest, outage: Outage) -> dict[str, Any]:
        return {
            "outage": outage,
            "state": state_of(outage),
            "moving": is_moving(outage),
            "released": plots.grouped(outage.released),
            "put_back": plots.grouped(outage.put_back),
            "may_act": self.has_add_permission(request),
            "live_url": reverse("admin:quarantine_outage_live", args=[outage.pk]),
        }


def described(outage: Outage) -> str:
    """Say in one line which addresses a release is about."""
    domain = f"*.{outage.domain}" if outage.subdomains and outage.domain else outage.domain
    words = f"“{outage.text}”" if outage.text else ""
    return ", ".join(part for part in (domain, words) if part)


def state_of(outage: Outage) -> str:
    """Say where a release stands."""
    if outage.undone_at:
        return _("Undone") if outage.undo_finished_at else _("Being undone")
    if outage.finished_at:
        return _("Done")
    return _("Stopped") if outage.stopped_at else _("Running")


def is_moving(outage: Outage) -> bool:
    if outage.undone_at:
        return outage.undo_finished_at is None
    return outage.finished_at is None and outage.stopped_at is None


def _do(step: str, outage: Outage, *, by: str) -> bool:
    now = timezone.now()
    if step == "stop":
        return outages.stop(outage.pk, at=now)
    done = outages.go_on(outage.pk) if step == "go-on" else outages.undo(outage.pk, by=by, at=now)
    if done:
        ring(release_after_outage if step == "go-on" else undo_release, outage.pk)
    return done


def _choice(request: HttpRequest, now: datetime) -> tuple[ChoiceForm, bool]:
    """Return the form, and whether something has been chosen: by it, by a domain's button, or by a link to it."""
    if request.method == "POST":
        given = request.POST.copy()
        if picked := given.get(PICK):
            given["domain"] = picked
        return ChoiceForm(given), True
    # Rounded up: what has just been left out belongs to it.
    until = timezone.localtime(now + timedelta(minutes=1))
    first = {"since": (until - WINDOW).strftime(MINUTE), "until": until.strftime(MINUTE)}
    if domain := request.GET.get("domain", "")[:253]:
        return ChoiceForm({**first, "domain": domain}), True
    return ChoiceForm(initial=first), False


def _seen(seen: Preview) -> dict[str, Any]:
    bars = [Bar(str(reason.label), number) for reason, number in seen.reasons]
    return {
        "seen": seen,
        "number": plots.grouped(seen.count),
        "reasons": plots.bars(_("What was wrong"), bars) if bars else "",
    }


def _page(pk: int) -> str:
    return reverse("admin:quarantine_outage_change", args=[pk])
