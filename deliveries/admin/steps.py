"""The buttons of a delivery: each is one POST, one move, one ring."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from deliveries import analysis, control, lifecycle, proofs, reports, sending
from deliveries.errors import ChannelNotSent, MoveRefused, NotReady
from deliveries.models import Delivery, State
from deliveries.tasks import analyse_delivery, send_delivery, send_proof
from profiles.channels import Channel
from profiles.ring import ring


def analyse(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    analysis.start(delivery, by=request.user, at=timezone.now())
    ring(analyse_delivery, delivery.pk)


def _stop_analysis(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    analysis.stop(delivery, at=timezone.now())
    messages.success(request, _("The analysis is stopped. Nothing of it is kept."))


def _test(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    address = getattr(request.user, "email", "")
    if not address:
        messages.error(request, _("Your account has no email address. Ask an administrator to add one."))
        return
    now = timezone.now()
    for language in delivery.contents.order_by("language").values_list("language", flat=True):
        proof = proofs.ask(delivery, address, language=language, by=request.user, at=now)
        ring(send_proof, proof.pk)
    messages.success(request, _("A test is on its way to %(address)s.") % {"address": address})


def _send(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    sending.start(delivery, at=timezone.now())
    ring(send_delivery, delivery.pk)


def _pause(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    sending.pause(delivery)
    messages.success(request, _("Paused. A message that is already leaving may still arrive."))


def _resume(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    sending.resume(delivery)
    ring(send_delivery, delivery.pk)


def _stop(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    sending.stop(delivery)
    ring(send_delivery, delivery.pk)
    messages.success(request, _("Stopping. A message that is already leaving may still arrive."))


STEPS = {
    "analyse": (analyse, "deliveries.analyse_delivery"),
    "stop-analysis": (_stop_analysis, "deliveries.analyse_delivery"),
    "test": (_test, "deliveries.analyse_delivery"),
    "send": (_send, "deliveries.send_delivery"),
    "pause": (_pause, "deliveries.send_delivery"),
    "resume": (_resume, "deliveries.send_delivery"),
    "stop": (_stop, "deliveries.send_delivery"),
}
LABELS = {
    "analyse": gettext_lazy("Analyse"),
    "stop-analysis": gettext_lazy("Stop the analysis"),
    "test": gettext_lazy("Send a test to me"),
    "pause": gettext_lazy("Pause"),
    "resume": gettext_lazy("Go on"),
    "stop": gettext_lazy("Stop for good"),
}


def possible(delivery: Delivery, user: Any) -> list[tuple[str, str]]:
    """Return the buttons that may be pressed now: (step, label)."""
    to = lifecycle.allowed(delivery)
    state = State(delivery.state)
    steps = {
        "analyse": State.ANALYSING in to,
        "stop-analysis": state == State.ANALYSING,
        "test": delivery.channel == Channel.EMAIL and delivery.is_editable,
        "pause": State.PAUSED in to,
        "resume": state == State.PAUSED,
        "stop": State.STOPPING in to,
    }
    return [(step, str(LABELS[step])) for step, may in steps.items() if may and user.has_perm(STEPS[step][1])]


def do(admin: Any, request: HttpRequest, delivery: Delivery, step: str) -> HttpResponse:
    """Press one button; whatever it cannot do is said on the delivery's page."""
    if step not in STEPS:
        raise Http404
    act, permission = STEPS[step]
    back = HttpResponseRedirect(reverse("admin:deliveries_delivery_workspace", args=[delivery.pk]))
    if request.method != "POST":
        return back
    if not request.user.has_perm(permission):
        raise PermissionDenied
    try:
        act(admin, request, delivery)
    except NotReady as error:
        for problem in error.problems:
            messages.error(request, problem)
    except (MoveRefused, ChannelNotSent) as error:
        messages.error(request, str(error))
    return back


def review(admin: Any, request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """Say how many, to whom, from whom, what, who is left out; the button below sends."""
    run = delivery.current_run
    if delivery.state != State.ANALYSED or run is None:
        return HttpResponseRedirect(reverse("admin:deliveries_delivery_workspace", args=[delivery.pk]))
    if not request.user.has_perm("deliveries.send_delivery"):
        raise PermissionDenied
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Before sending"),
        "delivery": delivery,
        "run": run,
        "waterfall": reports.waterfall(run),
        "findings": [finding for finding in control.check(delivery) if finding.blocks],
        "contents": delivery.contents.order_by("language"),
        "sendable": delivery.channel == Channel.EMAIL,
    }
    return TemplateResponse(request, "admin/deliveries/review.html", context)
