"""Before sending: everything once more, and when it is to leave, now or on a date."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.forms.utils import from_current_timezone
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from deliveries import durations, scheduling
from deliveries.models import Delivery, State
from profiles.channels import Channel

from . import standing, steps, summary


class ScheduleForm(forms.Form):
    """A day and an hour of the user's own clock."""

    day = forms.DateField(
        label=gettext_lazy("Day"), widget=forms.DateInput(attrs={"type": "date", "class": "c-input"}, format="%Y-%m-%d")
    )
    hour = forms.TimeField(
        label=gettext_lazy("Time"), widget=forms.TimeInput(attrs={"type": "time", "class": "c-input"}, format="%H:%M")
    )
    at: datetime | None = None

    def clean(self) -> dict[str, Any]:
        """Read the moment in the user's time zone; an hour that a change of clocks skips is none."""
        found = super().clean() or {}
        if found.get("day") and found.get("hour"):
            self.at = from_current_timezone(datetime.combine(found["day"], found["hour"]))
            if self.at <= timezone.now():
                self.add_error("hour", _("This moment has passed. Choose a later one."))
        return found


def review(admin: Any, request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """Say how many, to whom, from whom, what, who is left out; one button below sends, the other one schedules."""
    if not _is_due(delivery):
        return steps.workspace_of(delivery)
    _ensure_permission(request)
    return _page(admin, request, delivery, ScheduleForm())


def schedule(admin: Any, request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """Have the delivery start by itself at the moment chosen."""
    if request.method != "POST" or not _is_due(delivery):
        return steps.workspace_of(delivery)
    _ensure_permission(request)
    form, now = ScheduleForm(request.POST), timezone.now()
    if not form.is_valid() or form.at is None:
        return _page(admin, request, delivery, form)
    with steps.told(request):
        steps.ensure_seen(request, delivery)
        with steps.noted(request, delivery, at=now):
            scheduling.schedule(delivery, at=form.at, now=now)
        messages.success(request, _("Scheduled for %(at)s.") % {"at": in_words(form.at, now=now)})
    return steps.workspace_of(delivery)


def in_words(at: datetime, *, now: datetime) -> str:
    """Return a moment with its day of the week, the time zone and how far off it is."""
    local = timezone.localtime(at)
    words = {
        "day": date_format(local, "l"), "at": date_format(local, "DATETIME_FORMAT"),
        "zone": timezone.get_current_timezone_name(), "time": durations.in_words(at - now),
    }  # fmt: skip
    return _("%(day)s %(at)s (%(zone)s), in %(time)s") % words


def _is_due(delivery: Delivery) -> bool:
    return delivery.state == State.ANALYSED and delivery.current_run is not None


def _ensure_permission(request: HttpRequest) -> None:
    if not request.user.has_perm("deliveries.send_delivery"):
        raise PermissionDenied


def _page(admin: Any, request: HttpRequest, delivery: Delivery, form: ScheduleForm) -> HttpResponse:
    now = timezone.now()
    found = standing.read(delivery, request.user, at=now)
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Before sending"),
        "delivery": delivery,
        "run": delivery.current_run,
        "waterfall": found.waterfall,
        "who": summary.who(delivery),
        "limits": summary.limits(delivery),
        "errors": found.errors,
        "warnings": found.warnings,
        "contents": delivery.contents.order_by("language"),
        "sendable": delivery.channel == Channel.EMAIL,
        "form": form,
        "zone": timezone.get_current_timezone_name(),
        "now": now,
        "growth": scheduling.MOST_GROWTH,
    }
    return TemplateResponse(request, "admin/deliveries/review.html", context)
