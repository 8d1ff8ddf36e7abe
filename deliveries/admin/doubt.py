"""The page of the messages whose outcome is unknown: what is known of each, and saying what became of them."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import listing, reports
from deliveries.listing import Place
from deliveries.messages import message_id
from deliveries.models import AnalysisRun, Delivery, DeliveryLog, LogStatus, State
from deliveries.sending.doubt import Resolution, may_send_again, resolve
from deliveries.tasks import send_delivery
from profiles.models import Profile
from profiles.plots import grouped
from profiles.ring import ring

from . import steps
from .people import PAGE, person_url


def show(admin: Any, request: HttpRequest, delivery: Delivery) -> HttpResponse:
    """List them; or, when some are chosen, say what would follow and then do it."""
    run = delivery.current_run
    if run is None:
        return steps.workspace_of(delivery)
    if request.method == "POST":
        return _decide(admin, request, delivery, run)
    after = request.GET.get("after", "")
    found = listing.of_status(run, LogStatus.IN_DOUBT, after=Place.parse(after), limit=PAGE + 1)
    shown = found[:PAGE]
    people = Profile.objects.in_bulk([row.profile_id for row in shown])
    whole = reports.outcomes(run)[LogStatus.IN_DOUBT]
    context = {
        **admin.admin_site.each_context(request),
        "title": f"{delivery}{_(':')} {LogStatus.IN_DOUBT.label}",
        "delivery": delivery,
        "rows": [_row(delivery, row, people.get(row.profile_id)) for row in shown],
        "whole": grouped(whole),
        "number": whole,
        "next": Place(shown[-1].profile_id, shown[-1].position) if len(found) > PAGE else None,
        "first": not after,
        "may_decide": bool(shown) and request.user.has_perm("deliveries.send_delivery"),
        "may_send_again": may_send_again(delivery),
    }
    return TemplateResponse(request, "admin/deliveries/doubt.html", context)


def _row(delivery: Delivery, row: DeliveryLog, person: Profile | None) -> dict[str, Any]:
    return {
        "log": row,
        "person": person,
        "person_url": person_url(row.profile_id),
        "known": _("The line broke before the mail server answered.")
        if row.answer
        else _("The worker stopped while it was leaving, before an answer was noted."),
        "identifier": message_id(delivery.brand, "row", row.pk),
    }


def _decide(admin: Any, request: HttpRequest, delivery: Delivery, run: AnalysisRun) -> HttpResponse:
    """Show the consequences of what was chosen; do it once they are agreed to."""
    if not request.user.has_perm("deliveries.send_delivery"):
        raise PermissionDenied
    here = HttpResponseRedirect(reverse("admin:deliveries_delivery_doubt", args=[delivery.pk]))
    to, rows = request.POST.get("to", ""), _chosen(request)
    if to not in set(Resolution) or rows == []:
        messages.error(request, _("Tick the messages that you mean, or choose “All”."))
        return here
    resolution = Resolution(to)
    if resolution == Resolution.SEND_AGAIN and not may_send_again(delivery):
        messages.error(request, _("The delivery was stopped for good: nothing of it is sent any more."))
        return here
    if "agreed" not in request.POST:
        return _ask(admin, request, delivery, run, resolution, rows)
    moved = 0
    with steps.told(request):
        moved = resolve(run, rows, resolution, by=request.user, at=timezone.now())
        _tell(request, resolution, moved)
    if moved and resolution == Resolution.SEND_AGAIN and delivery.state != State.PAUSED:
        ring(send_delivery, delivery.pk)
    return steps.workspace_of(delivery)


def _chosen(request: HttpRequest) -> list[int] | None:
    """Return the rows that were ticked, or None for all."""
    if request.POST.get("which") == "all":
        return None
    texts = request.POST.getlist("row")[:PAGE]
    return sorted({int(text) for text in texts if text.isdecimal() and len(text) < 18})


def _ask(
    admin: Any, request: HttpRequest, delivery: Delivery, run: AnalysisRun, to: Resolution, rows: list[int] | None
) -> HttpResponse:
    number = reports.outcomes(run)[LogStatus.IN_DOUBT] if rows is None else len(rows)
    question, button = _words(to, number)
    context = {
        **admin.admin_site.each_context(request),
        "title": f"{delivery}{_(':')} {LogStatus.IN_DOUBT.label}",
        "delivery": delivery,
        "to": to.value,
        "rows": rows,
        "question": question,
        "button": button,
        "consequences": _consequences(delivery, to),
    }
    return TemplateResponse(request, "admin/deliveries/doubt_review.html", context)


def _words(to: Resolution, number: int) -> tuple[str, str]:
    """Return what is asked, and what the button says."""
    words = {"n": grouped(number)}
    if to == Resolution.ARRIVED:
        asked = ngettext("Did %(n)s message arrive?", "Did %(n)s messages arrive?", number)
        return asked % words, _("Yes, it arrived") if number == 1 else _("Yes, they arrived")
    asked = ngettext("Send %(n)s message again?", "Send %(n)s messages again?", number)
    return asked % words, ngettext("Send %(n)s message again", "Send %(n)s messages again", number) % words


def _consequences(delivery: Delivery, to: Resolution) -> Sequence[str]:
    if to == Resolution.ARRIVED:
        return [_("What has arrived counts as sent, and is not sent again."), _("This cannot be taken back.")]
    found = [
        _("Each message is checked again before it leaves: whoever has opted out since does not get it."),
        _("Should the first one have arrived after all, the person may get it twice. Both have the same identifier, so "
          "that some mail programs show one only."),
    ]  # fmt: skip
    if delivery.state == State.FINISHED:
        found.append(_("The delivery, which had finished, is being sent again until they have left."))
    if delivery.state == State.PAUSED:
        found.append(_("The delivery is paused: they leave once somebody presses “Go on”."))
    return found


def _tell(request: HttpRequest, to: Resolution, moved: int) -> None:
    words = {"n": grouped(moved)}
    if not moved:
        messages.info(request, _("Nothing was changed: somebody has decided already, or an answer has come meanwhile."))
    elif to == Resolution.ARRIVED:
        told = ngettext("%(n)s message now counts as sent.", "%(n)s messages now count as sent.", moved)
        messages.success(request, told % words)
    else:
        told = ngettext("%(n)s message is sent again.", "%(n)s messages are sent again.", moved)
        messages.success(request, told % words)
