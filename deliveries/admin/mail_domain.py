"""Mail domains: the limits that people set, and the rests that their answers have asked for."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from deliveries import domains
from deliveries.models import MailDomain
from profiles import audit
from profiles.admin_base import BaseAdmin
from profiles.plots import grouped
from quarantine.domains import DomainRefused, read, shown

SET_BY_PEOPLE = ("domain", "per_minute", "at_once")
MOST_PER_MINUTE, MOST_AT_ONCE = 100_000, 500
ANSWER_SHOWN = 60


class MailDomainForm(forms.ModelForm):
    per_minute = forms.IntegerField(
        label=gettext_lazy("Messages a minute, at most"), required=False, min_value=1, max_value=MOST_PER_MINUTE,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=gettext_lazy(
            "With 60, one message leaves each second. All deliveries and all workers share this limit. Empty: as many "
            "as the mail server takes."
        ),
    )  # fmt: skip
    at_once = forms.IntegerField(
        label=gettext_lazy("Messages at the same time, at most"), required=False, min_value=1, max_value=MOST_AT_ONCE,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=gettext_lazy(
            "So many may be leaving at one moment. All deliveries and all workers share this limit too. Empty: as many "
            "as there are connections."
        ),
    )  # fmt: skip

    class Meta:
        model = MailDomain
        fields = SET_BY_PEOPLE
        help_texts = {"domain": gettext_lazy("What follows the @ of the addresses, such as example.org.")}
        error_messages = {
            "domain": {
                "unique": gettext_lazy("This domain is in the list already. Open it there to change its limits.")
            }
        }

    def clean_domain(self) -> str:
        """Take a domain as people write it; those below it are others, with limits of their own."""
        try:
            found = read(self.cleaned_data["domain"])
        except DomainRefused as error:
            raise forms.ValidationError(str(error)) from error
        if found.below:
            raise forms.ValidationError(_("A limit is for one domain: write it without the star."))
        return found.name

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        limited = found.get("per_minute") or found.get("at_once")
        if self.instance.pk is None and not self.errors and not limited:
            raise forms.ValidationError(_("Fill in at least one of the two limits."))
        return found


class NowFilter(admin.SimpleListFilter):
    """Tells domains that wait, or that have limits, from all that have ever asked us to wait."""

    title = gettext_lazy("show")
    parameter_name = "show"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", _("At rest now")), ("limited", _("With limits"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[MailDomain]) -> QuerySet[MailDomain]:
        match self.value():
            case "waiting":
                return queryset.filter(not_before__gt=timezone.now())
            case "limited":
                return queryset.filter(Q(per_minute__isnull=False) | Q(at_once__isnull=False))
        return queryset


@admin.register(MailDomain)
class MailDomainAdmin(BaseAdmin):
    form = MailDomainForm
    audited = True
    list_display = ("shown", "limits", "waits", "said", "answered_at")
    list_filter = (NowFilter,)
    search_fields = ("domain",)
    search_help_text = gettext_lazy("Domain, or a part of it")
    change_form_outer_before_template = "admin/deliveries/mail_domain.html"

    @admin.display(description=gettext_lazy("domain"))
    def shown(self, known: MailDomain) -> str:
        return shown(known.domain)

    @admin.display(description=gettext_lazy("limits"))
    def limits(self, known: MailDomain) -> str:
        found = []
        if known.per_minute:
            found.append(_("%(n)s a minute") % {"n": grouped(known.per_minute)})
        if known.at_once:
            found.append(_("%(n)s at the same time") % {"n": grouped(known.at_once)})
        return ", ".join(found) or "—"

    @admin.display(description=gettext_lazy("waits until"))
    def waits(self, known: MailDomain) -> str:
        if not _is_at_rest(known):
            return "—"
        return format_html('<span class="c-tag c-wait">{}</span>', _moment(known.not_before))

    @admin.display(description=gettext_lazy("last answer"))
    def said(self, known: MailDomain) -> str:
        """Return the beginning of its last answer; its page has all of it."""
        return Truncator(known.answer).chars(ANSWER_SHOWN) or "—"

    def get_fields(self, request: HttpRequest, obj: MailDomain | None = None) -> tuple[str, ...]:
        """Keep the domain once it is there: its rests and the messages that are leaving belong to it."""
        return SET_BY_PEOPLE if obj is None else ("shown", *SET_BY_PEOPLE[1:])

    def get_readonly_fields(self, request: HttpRequest, obj: MailDomain | None = None) -> tuple[str, ...]:
        return ("shown",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[MailDomain], search_term: str
    ) -> tuple[QuerySet[MailDomain], bool]:
        """Look for a part of a domain; one in other letters than ASCII is looked for whole, as it is kept."""
        text = search_term.rpartition("@")[2].strip().lower()
        try:
            return queryset.filter(domain__contains=text if text.isascii() else read(text).name), False
        except DomainRefused:
            return queryset.none(), False

    def audited_values(self, obj: MailDomain) -> dict[str, Any]:
        """Compare what people set, and not what workers write meanwhile."""
        return {name: value for name, value in super().audited_values(obj).items() if name in SET_BY_PEOPLE}

    def save_model(self, request: HttpRequest, obj: MailDomain, form: Any, change: bool) -> None:
        """Write what was changed only: workers write the rests of the same row."""
        if change:
            obj.save(update_fields=[name for name in form.changed_data if name in SET_BY_PEOPLE])
        else:
            obj.save()

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[Any], dict[str, int], set[str], Any]:
        """Name the domains; that their places go with them says nothing to people."""
        deleted, _counts, needed, kept = super().get_deleted_objects(objs, request)
        domains_only = [one for one in deleted if not isinstance(one, list)]
        return domains_only, {str(self.opts.verbose_name_plural): len(domains_only)}, needed, kept

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.write_again_view))
        return [path("<int:pk>/write-again/", view, name="deliveries_maildomain_write_again"), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        if (known := kwargs.get("obj")) is not None:
            context["at_rest"] = _is_at_rest(known)
            context["may_write_again"] = context["at_rest"] and self.has_change_permission(request, known)
        return super().render_change_form(request, context, *args, **kwargs)

    def write_again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End the rest of a domain."""
        known = get_object_or_404(MailDomain, pk=pk)
        if not self.has_change_permission(request, known):
            raise PermissionDenied
        before = {"not_before": str(known.not_before) if known.not_before else None}
        with transaction.atomic():
            ended = domains.write_again(known)
            if ended:
                at, after = timezone.now(), {"not_before": None}
                audit.record(audit.Action.CHANGED, request.user, known, at=at, before=before, after=after)
                self.log_change(request, known, _("Its rest was ended."))
        if ended:
            told = _(
                "Its rest is over: messages leave to it again within a minute. Those to try again keep their own time."
            )
            messages.success(request, told)
        else:
            messages.info(request, _("It was not at rest any more."))
        return HttpResponseRedirect(reverse("admin:deliveries_maildomain_change", args=[pk]))


def _is_at_rest(known: MailDomain) -> bool:
    return known.not_before is not None and known.not_before > timezone.now()


def _moment(at: Any) -> str:
    return date_format(timezone.localtime(at), "SHORT_DATETIME_FORMAT")
