"""Sign-ups that met several profiles of one address, for operators to look at: which one was taken, and the others."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import display

from landing import met_twins
from landing.models import MetTwins
from profiles import twins
from profiles.admin_base import BaseAdmin
from profiles.models import Profile


class SeenFilter(admin.SimpleListFilter):
    title = gettext_lazy("looked at")
    parameter_name = "seen"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", _("To look at")), ("yes", _("Looked at"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[MetTwins]) -> QuerySet[MetTwins]:
        return queryset.filter(seen_at__isnull=self.value() == "no") if self.value() in ("yes", "no") else queryset


@admin.register(MetTwins)
class MetTwinsAdmin(BaseAdmin):
    list_display = ("received", "taken", "how_many", "page", "progress")
    list_filter = (SeenFilter,)
    list_select_related = ("page",)
    actions = ("looked_at_action",)
    fields = ("received", "page", "looked_at")
    change_form_outer_after_template = "admin/landing/met_twins.html"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[MetTwins]:
        person = Profile.objects.filter(pk=OuterRef("profile_id"))
        names = {f"of_{name}": Subquery(person.values(name)[:1]) for name in ("first_name", "last_name")}
        return super().get_queryset(request).annotate(**names)

    @admin.display(description=gettext_lazy("When"))
    def received(self, met: MetTwins) -> str:
        return date_format(timezone.localtime(met.at), "DATETIME_FORMAT")

    @admin.display(description=gettext_lazy("Profile taken, the oldest"))
    def taken(self, met: Any) -> str:
        name = f"{met.of_first_name or ''} {met.of_last_name or ''}".strip()
        return name or _("Profile %(id)s") % {"id": met.profile_id}

    @admin.display(description=gettext_lazy("Others"))
    def how_many(self, met: MetTwins) -> int:
        return len(met.others)

    @display(description=gettext_lazy("state"), label={"new": "warning", "seen": "success"})
    def progress(self, met: MetTwins) -> tuple[str, str]:
        return ("seen", _("Looked at")) if met.seen_at else ("new", _("To look at"))

    @admin.display(description=gettext_lazy("state"))
    def looked_at(self, met: MetTwins) -> str:
        return self.progress(met)[1]

    @admin.action(description=gettext_lazy("Looked at"), permissions=["look"])
    def looked_at_action(self, request: HttpRequest, queryset: QuerySet[MetTwins]) -> None:
        at = timezone.now()
        done = sum(met_twins.look_at(met, at=at) for met in queryset.iterator())
        told = ngettext("Noted: %(n)s sign-up looked at.", "Noted: %(n)s sign-ups looked at.", done)
        messages.success(request, told % {"n": done})

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.looked_at_view)
        return [path("<int:pk>/looked-at/", view, name="landing_looked_at"), *super().get_urls()]

    def looked_at_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Note that somebody has looked at it, when the button is pressed."""
        if request.method == "POST":
            if not self.has_look_permission(request):
                raise PermissionDenied
            met = get_object_or_404(MetTwins, pk=pk)
            if met_twins.look_at(met, at=timezone.now()):
                self.log_change(request, met, _("Looked at."))
        return HttpResponseRedirect(reverse("admin:landing_mettwins_changelist") + "?seen=no")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        met = kwargs.get("obj")
        if met is not None:
            context["people"] = people(met)
            context["may_look"] = self.has_look_permission(request) and met.seen_at is None
            context["everywhere_url"] = _everywhere(request, met.profile_id)
        return super().render_change_form(request, context, *args, **kwargs)

    def has_look_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("landing.change_mettwins"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def people(met: MetTwins) -> Sequence[tuple[Profile, bool, list[str]]]:
    """Return (profile, whether it was taken, what it is opted out of), the one taken first; those that still exist."""
    found = Profile.objects.in_bulk([met.profile_id, *met.others])
    numbers = [number for number in (met.profile_id, *met.others) if number in found]
    return [(found[number], number == met.profile_id, twins.opted_out_of(found[number])) for number in numbers]


def _everywhere(request: HttpRequest, profile: int) -> str:
    """Return where this person's profiles and addresses are looked at together, for those who may."""
    if not request.user.has_perm("quarantine.add_quarantinedaddress"):
        return ""
    try:
        return reverse("admin:quarantine_person", args=[profile])
    except NoReverseMatch:
        return ""
