"""The page "Opt this person out everywhere": choose the profiles, see what follows, act."""

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from profiles import twins
from profiles.consent import Evidence
from profiles.models import Profile
from quarantine import person

FOUND_SHOWN = 20
CHOSEN_AT_MOST = 200


class PersonView:
    """Steps, all by POST: find (search), review (what would follow), act. A GET shows the choice.

    Ticked in advance are the profiles that share an address with this one. Those that share one with *them* are
    listed as certain too but not ticked: two people of a family may be linked by a third address. Whenever the ticks
    bring a profile that was not on the page yet, the page is shown again first.
    """

    def __init__(self, model_admin: Any) -> None:
        self.model_admin = model_admin

    def __call__(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not request.user.has_perms(["profiles.change_profile", "quarantine.add_quarantinedaddress"]):
            raise PermissionDenied
        profile = get_object_or_404(Profile, pk=pk)
        if request.method != "POST":
            ticked = {pk, *(twin.profile.pk for twin in twins.certain([pk]))}
            return self.choice(request, profile, ticked, shown=ticked)
        ticked, shown = _ids(request, "profile") | {pk}, _ids(request, "shown") | {pk}
        step = request.POST.get("step")
        if step == "review":
            return self.review(request, profile, ticked, shown)
        if step == "act":
            return self.act(request, profile, ticked)
        return self.choice(request, profile, ticked, shown, search=request.POST.get("q", "").strip())

    def choice(
        self, request: HttpRequest, profile: Profile, ticked: set[int], shown: Iterable[int], *, search: str = ""
    ) -> HttpResponse:
        certain = twins.certain(ticked)
        possible = twins.possible(ticked)
        listed = {twin.profile.pk for twin in (*certain, *possible)}
        found = list(Profile.objects.search(search).exclude(pk__in=listed | ticked)[:FOUND_SHOWN]) if search else []
        chosen = list(Profile.objects.filter(pk__in=ticked - {profile.pk}).order_by("pk"))
        prefetch_related_objects([*chosen, *found, *(twin.profile for twin in possible)], "addresses")
        context = {
            "chosen": chosen,
            "certain": certain,
            "possible": possible,
            "found": found,
            "search": search,
            "shown": set(shown) | ticked | {twin.profile.pk for twin in certain},
            "reason": request.POST.get("reason", ""),
        }
        return self._page(request, profile, "choice", context)

    def review(self, request: HttpRequest, profile: Profile, ticked: set[int], shown: set[int]) -> HttpResponse:
        """Show what would follow; go back once when the ticks have brought profiles that were not shown yet."""
        if {twin.profile.pk for twin in twins.certain(ticked)} - shown:
            messages.info(
                request, _("What you ticked has addresses in common with more profiles. Have a look at these too.")
            )
            return self.choice(request, profile, ticked, shown)
        context = {"what": person.look(ticked), "reason": request.POST.get("reason", "")}
        return self._page(request, profile, "review", context)

    def act(self, request: HttpRequest, profile: Profile, ticked: set[int]) -> HttpResponse:
        evidence = Evidence.of_operator(request.user, reason=request.POST.get("reason", "")[:1000])
        report = person.opt_out_everywhere(ticked, evidence=evidence, at=timezone.now())
        profiles = ngettext("%(n)d profile is opted out", "%(n)d profiles are opted out", report.profiles)
        addresses = ngettext("%(n)d address is left out", "%(n)d addresses are left out", report.addresses)
        words = {"profiles": profiles % {"n": report.profiles}, "addresses": addresses % {"n": report.addresses}}
        messages.success(request, _("Done. %(profiles)s and %(addresses)s of every delivery.") % words)
        return HttpResponseRedirect(reverse("admin:profiles_profile_change", args=[profile.pk]))

    def _page(self, request: HttpRequest, profile: Profile, step: str, context: dict[str, Any]) -> HttpResponse:
        site = self.model_admin.admin_site
        shared = {"title": _("Opt this person out everywhere"), "profile": profile}
        template = f"admin/quarantine/person_{step}.html"
        return TemplateResponse(request, template, {**site.each_context(request), **shared, **context})


def _ids(request: HttpRequest, name: str) -> set[int]:
    texts = request.POST.getlist(name)[:CHOSEN_AT_MOST]
    return {int(text) for text in texts if text.isdecimal() and len(text) < 18}
