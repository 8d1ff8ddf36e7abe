"""Addresses left out: find them, see why, add one after seeing whom it touches, release them with a reason."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from profiles import addresses
from profiles.admin import hooks
from profiles.admin_base import BaseAdmin
from profiles.channels import Channel
from profiles.consent import Evidence
from profiles.lookup import address_q
from profiles.models import Address, Profile
from quarantine.escalation import Target, quarantine, release
from quarantine.models import Cause, QuarantinedAddress, QuarantineEvent, Status

from .forms import AddForm, ReasonForm
from .person import PersonView

PROFILES_SHOWN = 50
EVENTS_SHOWN = 50


@admin.register(QuarantinedAddress)
class QuarantinedAddressAdmin(BaseAdmin):
    list_display = ("address", "channel", "status", "cause", "quarantined_at", "next_release")
    list_filter = ("status", "cause", "channel")
    search_fields = ("key",)
    search_help_text = gettext_lazy("Address, its beginning, or @domain")
    private_search = True
    list_disable_select_all = True
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
        return bool(request.user.has_perm("quarantine.release_quarantinedaddress"))

    @admin.display(description=gettext_lazy("Address"))
    def address(self, entry: QuarantinedAddress) -> str:
        return entry.value or _("Erased (%(start)s…)") % {"start": bytes(entry.digest).hex()[:8]}

    @admin.display(description=gettext_lazy("Next release"))
    def next_release(self, entry: QuarantinedAddress) -> str:
        if entry.status != Status.QUARANTINED:
            return "—"
        return (
            date_format(timezone.localtime(entry.release_at), "DATETIME_FORMAT")
            if entry.release_at
            else _("None: for good")
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[QuarantinedAddress], search_term: str
    ) -> tuple[QuerySet[QuarantinedAddress], bool]:
        """Look an exact address up by its digest, else the beginning of the key, else (@…) the domain."""
        text = search_term.strip()
        if not text:
            return queryset, False
        if text.startswith("@"):
            return queryset.filter(key__endswith=addresses.fold(text)), False
        return queryset.filter(address_q(text) | Q(key__startswith=addresses.fold(text))), False

    # -- one entry --------------------------------------------------------------------------------------------
    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        entry = kwargs.get("obj")
        if entry is not None:
            context["history"] = QuarantineEvent.objects.filter(entry_id=entry.pk).order_by("-pk")[:EVENTS_SHOWN]
            context["people"] = holders([Target(Channel(entry.channel), bytes(entry.digest))])
            context["blocking"] = entry.is_blocking(timezone.now())
            context["may_release"] = entry.status == Status.QUARANTINED and self.has_release_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("person/<int:pk>/", view(PersonView(self)), name="quarantine_person"),
            path("<int:pk>/release/", view(self.release_view), name="quarantine_release"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for an address, then show whom it touches, then leave it out."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = AddForm(request.POST or None)
        sure = request.method == "POST" and form.is_valid()
        if sure and "confirm" in request.POST:
            return self._add(request, form)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Leave an address out"),
            "form": form,
            "sure": sure,
            "targets": form.targets if sure else (),
            "people": holders(form.targets) if sure else (),
            "known": [e for t in form.targets if (e := entry_of(t))] if sure else (),
        }
        return TemplateResponse(request, "admin/quarantine/add.html", context)

    def _add(self, request: HttpRequest, form: AddForm) -> HttpResponse:
        evidence = Evidence.of_operator(request.user, reason=form.cleaned_data["reason"])
        changed = quarantine(form.targets, cause=Cause.OPERATOR, evidence=evidence, at=timezone.now())
        if changed:
            messages.success(request, _("This address is left out from now on. Nothing is sent to it."))
        else:
            messages.info(request, _("This address was left out already. It keeps its cause and date."))
        return HttpResponseRedirect(reverse("admin:quarantine_quarantinedaddress_changelist"))

    # -- releasing --------------------------------------------------------------------------------------------
    def release_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_release_permission(request):
            raise PermissionDenied
        entry = get_object_or_404(QuarantinedAddress, pk=pk)
        return self._release(request, [entry]) or HttpResponseRedirect(
            reverse("admin:quarantine_quarantinedaddress_change", args=[pk])
        )

    @admin.action(description=gettext_lazy("Release…"), permissions=["release"])
    def release_action(self, request: HttpRequest, queryset: QuerySet[QuarantinedAddress]) -> HttpResponse | None:
        return self._release(request, list(queryset))

    def _release(self, request: HttpRequest, entries: list[QuarantinedAddress]) -> HttpResponse | None:
        """Ask why and show whom it touches; return None once the entries are released."""
        form = ReasonForm(request.POST if "confirm" in request.POST else None)
        if form.is_bound and form.is_valid():
            evidence = Evidence.of_operator(request.user, reason=form.cleaned_data["reason"])
            done = release(entries, evidence=evidence, at=timezone.now())
            told = ngettext("%(n)d address may be written to again.", "%(n)d addresses may be written to again.", done)
            messages.success(request, told % {"n": done})
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Write to this address again?"),
            "form": form,
            "entries": entries,
            "people": holders([Target(Channel(entry.channel), bytes(entry.digest)) for entry in entries]),
            "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/quarantine/release.html", context)


def holders(targets: Sequence[Target]) -> list[Profile]:
    """Return the profiles that have one of these addresses, at most fifty."""
    condition = Q()
    for target in targets:
        condition |= Q(channel=target.channel, digest=target.digest)
    if not condition:
        return []
    held = Address.objects.filter(condition).values("profile")
    return list(Profile.objects.filter(pk__in=held).order_by("pk")[:PROFILES_SHOWN])


def entry_of(target: Target) -> QuarantinedAddress | None:
    """Return what is known of an address, where it is left out already."""
    rows = QuarantinedAddress.objects.blocking(timezone.now())
    return rows.filter(channel=target.channel, digest=target.digest, scope="").first()


def address_states(rows: Sequence[Address]) -> Mapping[int, SafeString]:
    """Say of each address left out: why, since when, until when. One query."""
    digests = {bytes(row.digest) for row in rows}
    entries = QuarantinedAddress.objects.blocking(timezone.now()).filter(
        channel__in={row.channel for row in rows}, digest__in=digests
    )
    by_digest = {(entry.channel, bytes(entry.digest)): entry for entry in entries}
    found = {row.pk: by_digest.get((row.channel, bytes(row.digest))) for row in rows}
    return {pk: _state(entry) for pk, entry in found.items() if entry}


def _state(entry: QuarantinedAddress) -> SafeString:
    words = {"cause": entry.get_cause_display(), "since": _day(entry.quarantined_at), "until": _day(entry.release_at)}
    told = (
        _("Left out since %(since)s, until %(until)s: %(cause)s")
        if entry.release_at
        else _("Left out since %(since)s: %(cause)s")
    )
    url = reverse("admin:quarantine_quarantinedaddress_change", args=[entry.pk])
    return format_html('<a class="c-link c-bad" href="{}">{}</a>', url, told % words)


def _day(moment: Any) -> str:
    return date_format(timezone.localtime(moment), "DATE_FORMAT") if moment else ""


hooks.address_states.append(address_states)
