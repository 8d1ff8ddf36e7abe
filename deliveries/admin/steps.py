"""The buttons of a delivery: each is one POST, one move, one ring, and says before what it will do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import analysis, duplicating, lifecycle, proofs, scheduling, sending
from deliveries.criteria import CriteriaRefused
from deliveries.errors import ChannelNotSent, MoveRefused, NotLater, NotReady
from deliveries.models import Delivery, State
from deliveries.tasks import analyse_delivery, send_delivery, send_proof
from profiles import audit
from profiles.channels import Channel
from profiles.plots import grouped
from profiles.ring import ring

from . import live
from .standing import Standing

Act = Callable[[Any, HttpRequest, Delivery], "HttpResponse | None"]


def workspace_of(delivery: Delivery) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:deliveries_delivery_workspace", args=[delivery.pk]))


def analyse(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    analysis.start(delivery, by=request.user, at=timezone.now())
    ring(analyse_delivery, delivery.pk)


def _stop_analysis(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    with noted(request, delivery, at=timezone.now()):
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
    ensure_seen(request, delivery)
    now = timezone.now()
    with noted(request, delivery, at=now):
        sending.start(delivery, at=now)
    ring(send_delivery, delivery.pk)


def _unschedule(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    with noted(request, delivery, at=timezone.now()):
        scheduling.unschedule(delivery)
    messages.success(request, _("The date is taken away. The delivery does not start by itself."))


def _pause(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    with noted(request, delivery, at=timezone.now()):
        sending.pause(delivery)
    said = _("Paused.")
    messages.success(request, f"{said} {live.still_leaving()}")


def _resume(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    with noted(request, delivery, at=timezone.now()):
        sending.resume(delivery)
    ring(send_delivery, delivery.pk)


def _stop(admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    with noted(request, delivery, at=timezone.now()):
        sending.stop(delivery)
    ring(send_delivery, delivery.pk)
    said = _("Stopping.")
    messages.success(request, f"{said} {live.still_leaving()}")


def _duplicate(admin: Any, request: HttpRequest, delivery: Delivery) -> HttpResponse:
    copy = duplicating.duplicate(delivery, by=request.user)
    messages.success(request, _("This is the copy, a draft. Change what should differ."))
    return workspace_of(copy)


@contextmanager
def noted(request: HttpRequest, delivery: Delivery, *, at: datetime) -> Iterator[None]:
    """Do something in one transaction with the note of who moved the delivery, from which state to which."""
    before = delivery.state
    with transaction.atomic():
        yield
        if delivery.state == before:
            return
        moment = delivery.scheduled_at if delivery.state == State.SCHEDULED else None
        date = {"scheduled_at": moment.isoformat()} if moment else {}
        audit.record(
            audit.Action.CHANGED, request.user, delivery, at=at, before={"state": before},
            after={"state": delivery.state, **date},
        )  # fmt: skip


def ensure_seen(request: HttpRequest, delivery: Delivery) -> None:
    """Raise MoveRefused when the numbers that were agreed to are those of a former analysis."""
    seen = request.POST.get("run", "")
    if seen and seen != str(delivery.current_run_id):
        raise MoveRefused(delivery.label, str(State(delivery.state).label), str(State.SENDING.label))


STEPS: dict[str, tuple[Act, str]] = {
    "analyse": (analyse, "deliveries.analyse_delivery"),
    "stop-analysis": (_stop_analysis, "deliveries.analyse_delivery"),
    "test": (_test, "deliveries.analyse_delivery"),
    "send": (_send, "deliveries.send_delivery"),
    "unschedule": (_unschedule, "deliveries.send_delivery"),
    "pause": (_pause, "deliveries.send_delivery"),
    "resume": (_resume, "deliveries.send_delivery"),
    "stop": (_stop, "deliveries.send_delivery"),
    "duplicate": (_duplicate, "deliveries.add_delivery"),
}


@dataclass(frozen=True, slots=True)
class Button:
    """A button that may be pressed now: what it says, and what pressing it will do. `url`: it only leads there."""

    step: str
    label: str
    hint: str
    tone: str = ""  # main, danger, or nothing
    url: str = ""


def possible(standing: Standing) -> list[Button]:
    """Return what may be done next, the main thing first."""
    found = [*_before_sending(standing), *_while_sending(standing)]
    hint = _("A new draft with the same message, target and rules.")
    found.append(Button("duplicate", _("Duplicate"), hint))
    return [button for button in found if button.url or standing.user.has_perm(STEPS[button.step][1])]


def _before_sending(standing: Standing) -> Iterator[Button]:
    delivery, state = standing.delivery, standing.state
    if state == State.ANALYSED and standing.may("send_delivery") and delivery.channel == Channel.EMAIL:
        url = reverse("admin:deliveries_delivery_review", args=[delivery.pk])
        yield Button("", _("Check and send…"), _("You see everything once more, then send it now or choose a date."),
                     "main", url)  # fmt: skip
    if State.ANALYSING in lifecycle.allowed(delivery) and state != State.SCHEDULED:
        first = state != State.ANALYSED
        yield Button("analyse", _("Analyse") if first else _("Analyse again"), _analyse_hint(standing),
                     "main" if first else "")  # fmt: skip
    if state == State.ANALYSING:
        hint = _("The delivery is a draft again, and nothing of the analysis is kept.")
        yield Button("stop-analysis", _("Stop the analysis"), hint)
    if state == State.SCHEDULED:
        hint = _("It does not start by itself any more. The analysis stays, and you can choose another date.")
        yield Button("unschedule", _("Take the date away"), hint)
    if delivery.channel == Channel.EMAIL and delivery.is_editable and standing.languages:
        hint = _("Each language goes to the address of your account, marked as a test.")
        yield Button("test", _("Send a test to me"), hint)


def _analyse_hint(standing: Standing) -> str:
    if standing.expected == "0":
        return _("Nothing is sent. Nobody is in the target at the moment.")
    if standing.expected:
        return _("Nothing is sent. About %(number)s people are looked at.") % {"number": standing.expected}
    return _("Nothing is sent. You see who would get it, and who is left out and why.")


def _while_sending(standing: Standing) -> Iterator[Button]:
    to = lifecycle.allowed(standing.delivery)
    if standing.state == State.PAUSED:
        told = ngettext(
            "%(left)s message still to go leaves from now on.",
            "%(left)s messages still to go leave from now on.",
            standing.left,
        )
        yield Button("resume", _("Go on"), told % {"left": grouped(standing.left)}, "main")
    if State.PAUSED in to:
        hint = _("No further message leaves until somebody presses “Go on”.")
        yield Button("pause", _("Pause"), f"{hint} {live.still_leaving()}")
    if State.STOPPING in to:
        hint = _("What has not left is cancelled. It cannot be taken up again.")
        leaving = f" {live.still_leaving()}" if standing.state == State.SENDING else ""
        yield Button("stop", _("Stop for good"), hint + leaving, "danger")


def do(admin: Any, request: HttpRequest, delivery: Delivery, step: str) -> HttpResponse:
    """Press one button; whatever it cannot do is said on the delivery's page."""
    if step not in STEPS:
        raise Http404
    act, permission = STEPS[step]
    if request.method != "POST":
        return workspace_of(delivery)
    if not request.user.has_perm(permission):
        raise PermissionDenied
    answer = None
    with told(request):
        answer = act(admin, request, delivery)
    return answer or workspace_of(delivery)


@contextmanager
def told(request: HttpRequest) -> Iterator[None]:
    """Say what a move could not do, on the page that comes next."""
    try:
        yield
    except NotReady as error:
        for problem in error.problems:
            messages.error(request, problem)
    except (MoveRefused, CriteriaRefused, ChannelNotSent, NotLater) as error:
        messages.error(request, str(error))
