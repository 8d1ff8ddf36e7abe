"""What an operator does about an entry: release it, always write to it, change its release date. Each with a reason.

Every act has a page first, which shows whom it touches; what it did is an event of the entry's history.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from profiles.channels import Channel
from profiles.consent import Evidence
from quarantine import escalation, lifecycle
from quarantine.escalation import MoveRefused, Target
from quarantine.lifecycle import Event, State
from quarantine.models import Cause, QuarantinedAddress, Status

from .forms import ReasonForm, ReleaseDateForm
from .people import holders

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

RELEASE, CHANGE = "quarantine.release_quarantinedaddress", "quarantine.change_quarantinedaddress"
WISHES = {Cause.PERSON, Cause.COMPLAINT, Cause.STOP}
Entries = Sequence[QuarantinedAddress]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that can be done about entries of some statuses, with its words."""

    link: "_StrOrPromise"
    title: "_StrOrPromise"
    button: "_StrOrPromise"
    people_title: "_StrOrPromise"
    consequences: "tuple[_StrOrPromise, ...]"
    told: Any  # of a number of addresses
    event: Event
    permission: str
    do: Callable[[Entries, dict[str, Any], Evidence, datetime], int]
    form: type[forms.Form] = ReasonForm
    may_reach: bool = True  # whether somebody may be written to again by it

    def fits(self, request: HttpRequest, entry: QuarantinedAddress, at: datetime) -> bool:
        """Say whether this user may do it about an entry, as it is at a moment."""
        state = State.VALID if lifecycle.overdue(entry, at) else lifecycle.state_of(entry)
        possible = isinstance(lifecycle.after(state, self.event), Status)
        return possible and bool(request.user.has_perm(self.permission))


def _release(entries: Entries, given: dict[str, Any], evidence: Evidence, at: datetime) -> int:
    return escalation.release(entries, evidence=evidence, at=at)


def _allow(entries: Entries, given: dict[str, Any], evidence: Evidence, at: datetime) -> int:
    return sum(escalation.allow(_target(entry), evidence=evidence, at=at) for entry in entries)


def _disallow(entries: Entries, given: dict[str, Any], evidence: Evidence, at: datetime) -> int:
    for entry in entries:
        escalation.disallow(entry, evidence=evidence, at=at)
    return len(entries)


def _set_release(entries: Entries, given: dict[str, Any], evidence: Evidence, at: datetime) -> int:
    return sum(escalation.set_release(entry, given["release_at"], evidence=evidence, at=at) for entry in entries)


def _target(entry: QuarantinedAddress) -> Target:
    return Target(Channel(entry.channel), bytes(entry.digest), entry.value, entry.key)


_STAY = _("People who opted out stay opted out: releasing an address lifts no opt-out.")
ACTS = {
    "release": Act(
        link=_("Release…"), title=_("Write to this address again?"), button=_("Write to it again"),
        people_title=_("Who can be reached there again"), consequences=(_STAY,),
        told=ngettext_lazy("%(n)d address may be written to again.", "%(n)d addresses may be written to again.", "n"),
        event=Event.RELEASE, permission=RELEASE, do=_release,
    ),
    "date": Act(
        link=_("Change the release date…"), title=_("When may this address be written to again?"),
        button=_("Change the date"), people_title=_("Who can be reached there from that day"), consequences=(_STAY,),
        told=ngettext_lazy(
            "%(n)d address has another release date.", "%(n)d addresses have another release date.", "n"
        ),
        event=Event.SET_RELEASE, permission=RELEASE, do=_set_release, form=ReleaseDateForm,
    ),
    "allow": Act(
        link=_("Always write to it…"), title=_("Always write to this address?"), button=_("Always write to it"),
        people_title=_("Who can be reached there"),
        consequences=(
            _("Messages that come back no longer count. If it is left out now, it is written to again."),
            _("A complaint, a STOP, the person's own wish or an operator leaves it out all the same."),
            _STAY,
        ),
        told=ngettext_lazy("%(n)d address is always written to.", "%(n)d addresses are always written to.", "n"),
        event=Event.ALLOW, permission=RELEASE, do=_allow,
    ),
    "disallow": Act(
        link=_("Count its errors again…"), title=_("Count the errors of this address again?"),
        button=_("Count its errors again"), people_title=_("Who is reached there"),
        consequences=(_("It is written to as any other address. Messages that come back count from now on."),),
        told=ngettext_lazy("The errors of %(n)d address count.", "The errors of %(n)d addresses count.", "n"),
        event=Event.DISALLOW, permission=CHANGE, do=_disallow, may_reach=False,
    ),
}  # fmt: skip


def view(admin: Any, request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Do an act about one entry, after its page."""
    if not request.user.has_perm(ACTS[name].permission):
        raise PermissionDenied
    entry = get_object_or_404(QuarantinedAddress, pk=pk)
    back = reverse("admin:quarantine_quarantinedaddress_change", args=[pk])
    return perform(admin, request, name, [entry], back=back) or HttpResponseRedirect(back)


def perform(admin: Any, request: HttpRequest, name: str, entries: Entries, *, back: str) -> HttpResponse | None:
    """Ask why and show whom it touches; return None once it is done. The user may do it: see `fits`."""
    act = ACTS[name]
    form = act.form(request.POST if "confirm" in request.POST else None)
    if form.is_bound and form.is_valid():
        evidence = Evidence.of_operator(request.user, reason=form.cleaned_data["reason"])
        try:
            done = act.do(entries, form.cleaned_data, evidence, timezone.now())
        except MoveRefused:
            messages.warning(request, _("This address has changed meanwhile. Here is where it stands."))
        else:
            messages.success(request, act.told % {"n": done})
        return None
    context = {
        **admin.admin_site.each_context(request),
        "title": act.title,
        "act": act,
        "form": form,
        "entries": [(entry, entry.is_blocking(timezone.now()) and entry.cause in WISHES) for entry in entries],
        "people": holders([_target(entry) for entry in entries]),
        "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        "back": back,
    }
    return TemplateResponse(request, "admin/quarantine/act.html", context)
