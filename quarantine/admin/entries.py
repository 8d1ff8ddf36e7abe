"""Addresses left out: find them, see why, add one after seeing whom it touches, release them with a reason."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from profiles.admin_base import BaseAdmin
from profiles.channels import Channel
from profiles.consent import Evidence
from quarantine import listing, words
from quarantine.escalation import Target, quarantine
from quarantine.models import Cause, QuarantinedAddress, QuarantineEvent

from . import acts, export, figures, upload
from .forms import AddForm
from .listing import DaysFilter, EntryChangeList
from .people import entry_of, holders
from .person import PersonView

EVENTS_SHOWN = 50
LIST = "admin:quarantine_quarantinedaddress_changelist"


@admin.register(QuarantinedAddress)
class QuarantinedAddressAdmin(BaseAdmin):
    list_display = ("address", "channel", "status", "why", "reason", "since", "next_release")
    list_filter = (DaysFilter, "status", "cause", "reason", "channel")
    search_fields = ("key",)
    search_help_text = gettext_lazy("Address, its beginning, or @domain")
    private_search = True
    list_disable_select_all = True
    list_before_template = "admin/quarantine/list_before.html"
    actions = ("release_action",)
    fields = (
        "address", "channel", "status", "cause", "reason", "quarantined_at", "next_release", "errors", "last_error_at",
        "text", "delivery_name",
    )  # fmt: skip
    change_form_outer_after_template = "admin/quarantine/after.html"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny: an entry changes by being added, released or bounced, each of which is an event of its history."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deny: a deleted entry would be written to again without a word; release it instead."""
        return False

    def has_release_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(acts.RELEASE))

    # -- the list ---------------------------------------------------------------------------------------------
    @admin.display(description=gettext_lazy("Address"))
    def address(self, entry: QuarantinedAddress) -> str:
        return entry.value or _("Erased (%(start)s…)") % {"start": bytes(entry.digest).hex()[:8]}

    @admin.display(description=gettext_lazy("Cause"))
    def why(self, entry: QuarantinedAddress) -> str:
        return entry.get_cause_display() if entry.cause else "—"

    @admin.display(description=gettext_lazy("Since"))
    def since(self, entry: QuarantinedAddress) -> str:
        at = entry.quarantined_at
        # Not broken in two: a narrow column would put the year below the day.
        return date_format(timezone.localtime(at), "SHORT_DATE_FORMAT").replace(" ", "\u00a0") if at else "—"

    @admin.display(description=gettext_lazy("Next release, and why"))
    def next_release(self, entry: QuarantinedAddress) -> str:
        return words.next_release(entry, at=timezone.now()) or "—"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EntryChangeList]:
        return EntryChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[QuarantinedAddress], search_term: str
    ) -> tuple[QuerySet[QuarantinedAddress], bool]:
        text = search_term.strip()
        return (queryset.filter(listing.search_q(text)) if text else queryset), False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        may = request.user.has_perm
        asked = request.GET.urlencode()
        more = {
            "may_export": may("quarantine.export_quarantinedaddress"),
            "may_import": may("quarantine.import_quarantinedaddress"),
            "export_url": reverse("admin:quarantine_export") + (f"?{asked}" if asked else ""),
        }
        return super().changelist_view(request, {**more, **(extra_context or {})})

    @admin.action(description=gettext_lazy("Release…"), permissions=["release"])
    def release_action(self, request: HttpRequest, queryset: QuerySet[QuarantinedAddress]) -> HttpResponse | None:
        return acts.perform(self, request, "release", list(queryset), back=reverse(LIST))

    def export_view(self, request: HttpRequest) -> StreamingHttpResponse:
        return export.export(self, request)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        return upload.view(self, request)

    def figures_view(self, request: HttpRequest) -> HttpResponse:
        return figures.view(self, request)

    # -- one entry --------------------------------------------------------------------------------------------
    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        entry = kwargs.get("obj")
        if entry is not None:
            events = list(QuarantineEvent.objects.filter(entry_id=entry.pk).order_by("-pk")[: EVENTS_SHOWN + 1])
            context["history"], context["more_history"] = events[:EVENTS_SHOWN], len(events) > EVENTS_SHOWN
            context["people"] = holders([Target(Channel(entry.channel), bytes(entry.digest))])
            context["blocking"] = entry.is_blocking(timezone.now())
            context["acts"] = [
                (name, act.link, reverse(f"admin:quarantine_{name}", args=[entry.pk]))
                for name, act in acts.ACTS.items()
                if act.fits(request, entry, timezone.now())
            ]
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("person/<int:pk>/", view(PersonView(self)), name="quarantine_person"),
            path("export/", view(require_POST(self.export_view)), name="quarantine_export"),
            path("import/", view(self.import_view), name="quarantine_import"),
            path("figures/", view(self.figures_view), name="quarantine_figures"),
            *(path(f"<int:pk>/{name}/", view(self._act(name)), name=f"quarantine_{name}") for name in acts.ACTS),
            *super().get_urls(),
        ]

    def _act(self, name: str) -> Callable[[HttpRequest, int], HttpResponse]:
        def act(request: HttpRequest, pk: int) -> HttpResponse:
            return acts.view(self, request, pk, name)

        return act

    # -- adding -----------------------------------------------------------------------------------------------
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for an address, then show whom it touches, then leave it out."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = AddForm(request.POST or None)
        sure = request.method == "POST" and form.is_valid()
        if sure and "confirm" in request.POST:
            return self._add(request, form)
        known = [entry for target in form.targets if (entry := entry_of(target))] if sure else []
        context = {
            **self.admin_site.each_context(request),
            "title": _("Leave an address out"),
            "form": form,
            "sure": sure,
            "targets": form.targets if sure else (),
            "people": holders(form.targets) if sure else (),
            "known": [(entry, entry.is_blocking(timezone.now())) for entry in known],
        }
        return TemplateResponse(request, "admin/quarantine/add.html", context)

    def _add(self, request: HttpRequest, form: AddForm) -> HttpResponse:
        evidence = Evidence.of_operator(request.user, reason=form.cleaned_data["reason"])
        changed = quarantine(form.targets, cause=Cause.OPERATOR, evidence=evidence, at=timezone.now())
        if changed:
            messages.success(request, _("This address is left out from now on. Nothing is sent to it."))
        else:
            messages.info(request, _("This address was left out already. It keeps its cause and date."))
        return HttpResponseRedirect(reverse(LIST))
