"""Bursts of opt-outs: what happened, in plain words, and the two things that can be done about it."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.decorators import display

from deliveries.models import Delivery
from landing import bursts, restoring
from landing.bursts import Press
from landing.models import OptOutBurst
from landing.tasks import restore_burst
from profiles.addresses import mask
from profiles.admin_base import BaseAdmin
from profiles.channels import Channel
from profiles.plots import Bar
from profiles.plots import bars as draw
from profiles.ring import ring

State = OptOutBurst.State
TONES = {State.NEW: "danger", State.RESTORING: "warning", State.RESTORED: "success", State.DISMISSED: "info"}
SAMPLE, PROGRAMS = 8, 3
STEPS = (5, 15, 30, 60, 120, 300, 600, 3_600)  # seconds, of the plot


class TakeBackForm(forms.Form):
    """Why opt-outs are taken back."""

    reason = forms.CharField(
        label=gettext_lazy("Why you take them back"), max_length=1_000, widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("Kept with each event, with your name."),
        error_messages={"required": gettext_lazy("Write down why these opt-outs are no wishes of people.")},
    )  # fmt: skip


@admin.register(OptOutBurst)
class OptOutBurstAdmin(BaseAdmin):
    list_display = ("domain", "delivery_name", "people", "began", "shown_state", "handled_by")
    list_filter = ("state",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny the form: a burst is decided by its buttons."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny: it would be noted again at the next look."""
        return False

    def has_restore_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("landing.restore_optoutburst"))

    @display(description=gettext_lazy("state"), label=TONES)
    def shown_state(self, burst: OptOutBurst) -> tuple[str, str]:
        return burst.state, burst.get_state_display()

    @admin.display(description=gettext_lazy("first opt-out"))
    def began(self, burst: OptOutBurst) -> datetime:
        return burst.first_at

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/live/", view(self.live_view), name="landing_optoutburst_live"),
            path("<int:pk>/take-back/", view(require_POST(self.take_back_view)), name="landing_optoutburst_take_back"),
            path("<int:pk>/leave/", view(require_POST(self.leave_view)), name="landing_optoutburst_leave"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        burst = self._burst(request, int(object_id) if object_id.isdecimal() and len(object_id) < 18 else 0)
        return self._page(request, burst, TakeBackForm())

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the part of the page that changes by itself; the header says whether to ask again."""
        burst = self._burst(request, pk)
        html = render_to_string("admin/landing/burst_live.html", self._live(burst), request)
        return HttpResponse(html, headers={"X-Moving": "yes" if burst.state == State.RESTORING else "no"})

    def take_back_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        burst, form = self._deciding(request, pk), TakeBackForm(request.POST)
        if not form.is_valid():
            return self._page(request, burst, form)
        asked = restoring.ask(burst, request.user, reason=form.cleaned_data["reason"], at=timezone.now())
        if asked:
            ring(restore_burst, pk)
        return self._back(request, pk, _("These opt-outs are being taken back."), done=asked)

    def leave_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        done = restoring.dismiss(self._deciding(request, pk), request.user, at=timezone.now())
        return self._back(request, pk, _("These opt-outs stay as they are."), done=done)

    def _burst(self, request: HttpRequest, pk: int) -> OptOutBurst:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(OptOutBurst, pk=pk)

    def _deciding(self, request: HttpRequest, pk: int) -> OptOutBurst:
        if not self.has_restore_permission(request):
            raise PermissionDenied
        return self._burst(request, pk)

    def _back(self, request: HttpRequest, pk: int, told: str, *, done: bool) -> HttpResponse:
        if done:
            messages.success(request, told)
        else:
            messages.info(request, _("Somebody has decided already. Here is where it stands."))
        return HttpResponseRedirect(reverse("admin:landing_optoutburst_change", args=[pk]))

    def _page(self, request: HttpRequest, burst: OptOutBurst, form: TakeBackForm) -> HttpResponse:
        found = bursts.presses(burst)
        context = {
            **self.admin_site.each_context(request),
            **self._live(burst),
            "title": _("Opt-outs that a machine may have made"),
            "opts": self.opts,
            "form": form,
            "may_decide": self.has_restore_permission(request),
            "delivery_url": _delivery_url(burst.delivery_id),
            "plot": _plot(found),
            "sample": [(press, mask(Channel.EMAIL, press.address)) for press in found[:SAMPLE]],
            "networks": len({press.event.ip for press in found if press.event.ip}),
            "programs": _programs(found),
        }
        return TemplateResponse(request, "admin/landing/burst.html", context)

    def _live(self, burst: OptOutBurst) -> dict[str, Any]:
        done = burst.restored + burst.left_alone
        return {
            "burst": burst,
            "tone": {"success": "good", "info": "", "warning": "wait", "danger": "bad"}[TONES[State(burst.state)]],
            "moving": burst.state == State.RESTORING,
            "done": done,
            # Where it went on after it was taken back once, the numbers are of both times.
            "percent": None if burst.settled or not burst.people else min(99, 100 * done // burst.people),
            "live_url": reverse("admin:landing_optoutburst_live", args=[burst.pk]),
        }


def _plot(found: Sequence[Press]) -> SafeString | None:
    """Draw how long after their message people opted out."""
    if not found:
        return None
    slowest = max(press.seconds for press in found)
    last = next((step for step in STEPS if step >= slowest), slowest)
    rows, before = [], -1
    for step in (*(step for step in STEPS if step < last), last):
        number = sum(before < press.seconds <= step for press in found)
        rows.append(Bar(_("%(first)d to %(last)d seconds") % {"first": before + 1, "last": step}, number))
        before = step
    return draw(_("How long after their message had left"), rows)


def _programs(found: Sequence[Press]) -> list[str]:
    """Return the commonest programs that pressed, as they call themselves."""
    named = Counter(press.event.user_agent for press in found if press.event.user_agent)
    return [f"{name} ({number})" for name, number in named.most_common(PROGRAMS)]


def _delivery_url(pk: int) -> str:
    known = Delivery.objects.filter(pk=pk).exists()
    return reverse("admin:deliveries_delivery_workspace", args=[pk]) if known else ""
