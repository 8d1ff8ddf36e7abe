"""Deliveries in the admin: the list, the form, and the pages that lead from a draft to its results."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import StackedInline
from unfold.decorators import display

from deliveries import lifecycle, rendering
from deliveries.models import Delivery, DeliveryContent, State
from profiles.admin_base import BaseAdmin, KeysetChangeList
from profiles.models import Brand

from . import content, doubt, people, review, starters, steps, workspace
from .content_form import TemplatesForm, TemplateText
from .delivery_form import DeliveryForm

STATE_TONES = {
    State.DRAFT: "info",
    State.ANALYSED: "info",
    State.FINISHED: "success",
    State.FAILED: "danger",
    State.STOPPED: "danger",
    State.PAUSED: "warning",
}


class FirstContentForm(TemplatesForm):
    class Meta:
        model = DeliveryContent
        fields = ("language", "subject", "html", "text")


class ContentFormSet(BaseInlineFormSet):
    """A new delivery starts with a message in each language; a language left as it was is not stored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["initial"] = [{"language": c.language, "html": c.html, "text": c.text} for c in starters.contents()]
        super().__init__(*args, **kwargs)


class ContentInline(StackedInline):
    """The message of a new delivery; afterwards it has a page of its own."""

    model = DeliveryContent
    form = FirstContentForm
    formset = ContentFormSet
    tab = False

    def get_extra(self, request: HttpRequest, obj: Delivery | None = None, **kwargs: Any) -> int:
        return len(starters.contents())

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in ("html", "text"):
            kwargs["form_class"] = TemplateText
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name in ("html", "text"):
            field.widget.attrs.update({"rows": 12, "class": f"{field.widget.attrs.get('class', '')} c-code"})
        if db_field.name == "html":
            field.help_text = _("Fields: %(fields)s") % {"fields": rendering.FIELDS}
        return field


class DeliveryList(KeysetChangeList):
    def url_for_result(self, result: Delivery) -> str:
        """Lead from the list to the delivery's page, and from there to its form."""
        return reverse("admin:deliveries_delivery_workspace", args=[result.pk])


@admin.register(Delivery)
class DeliveryAdmin(BaseAdmin):
    form = DeliveryForm
    inlines = (ContentInline,)
    list_display = ("label", "shown_state", "channel", "service", "created_at", "finished_at")
    list_select_related = ("service",)
    list_filter = ("state", "channel")
    search_fields = ("label",)
    change_form_before_template = "admin/deliveries/form_before.html"
    fieldsets = (
        (None, {"fields": ("label", ("brand", "channel"), "seen_version")}),
        (gettext_lazy("Target"), {"fields": ("target", "audience", "people_list", "service", "addresses")}),
        (
            gettext_lazy("Control group and limit"),
            {"classes": ("collapse",), "fields": (("control_percent", "control_count"), "size_limit")},
        ),
        (
            gettext_lazy("More"),
            {"classes": ("collapse",), "fields": ("typology", ("message_class", "in_doubt_policy"))},
        ),
    )

    @display(description=gettext_lazy("state"), label=STATE_TONES)
    def shown_state(self, delivery: Delivery) -> tuple[str, str]:
        return delivery.state, str(State(delivery.state).label)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return DeliveryList

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Choose the brand where there is only one."""
        brands = list(Brand.objects.values_list("pk", flat=True)[:2])
        only = {"brand": brands[0]} if len(brands) == 1 else {}
        return {**only, **super().get_changeform_initial_data(request)}

    def get_inlines(self, request: HttpRequest, obj: Delivery | None) -> Any:
        """Ask for the message of a new delivery only: later it is written on a page that shows it."""
        return () if obj else super().get_inlines(request, obj)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        pages = [
            ("", workspace.show, "workspace"),
            ("live/", workspace.live, "live"),
            ("who/<int:reason>/", people.left_out, "left_out"),
            ("messages/<int:status>/", people.by_status, "by_status"),
            ("in-doubt/", doubt.show, "doubt"),
            ("who.csv", people.export, "export"),
            ("preview/<str:language>/", workspace.preview, "preview"),
            ("content/<str:language>/", content.edit, "content"),
            ("content/<str:language>/preview/", content.preview, "content_preview"),
            ("content/<str:language>/remove/", content.remove, "content_remove"),
            ("send/", review.review, "review"),
            ("schedule/", review.schedule, "schedule"),
            ("do/<slug:step>/", steps.do, "do"),
        ]
        own = [
            path(f"<int:pk>/{route}", wrap(self._page(view)), name=f"deliveries_delivery_{name}")
            for route, view, name in pages
        ]
        return own + super().get_urls()

    def _page(self, view: Any) -> Any:
        """Give a page the delivery it is about, if the user may see it."""

        def shown(request: HttpRequest, pk: int, **kwargs: Any) -> HttpResponse:
            found = Delivery.objects.select_related(
                "brand", "service", "audience", "people_list", "typology", "current_run", "created_by"
            )
            delivery = found.filter(pk=pk).first()
            if delivery is None:
                return self._get_obj_does_not_exist_redirect(request, self.opts, str(pk))
            if not self.has_view_permission(request, delivery):
                raise PermissionDenied
            response: HttpResponse = view(self, request, delivery, **kwargs)
            return response

        return shown

    def has_change_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """Keep what has been sent, or is being, as it was."""
        return super().has_change_permission(request, obj) and (obj is None or obj.is_editable)

    def has_delete_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """Deliveries are kept: their log explains who got what."""
        return super().has_delete_permission(request, obj) and obj is not None and obj.state == State.DRAFT

    def delete_model(self, request: HttpRequest, obj: Delivery) -> None:
        """Archive: old runs and their log rows are purged in the background."""
        Delivery.objects.filter(pk=obj.pk, state=State.DRAFT).update(archived_at=timezone.now())

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(archived_at=None)

    def save_model(self, request: HttpRequest, obj: Delivery, form: Any, change: bool) -> None:
        if not change:
            obj.created_by_id = request.user.pk
            obj.save()
            return
        # Only what the form changed: the state may have moved since the form was read.
        obj.save(update_fields=form.changed_fields)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        changed = change and (form.changed_fields or any(formset.has_changed() for formset in formsets))
        if changed and lifecycle.void_analysis(form.instance):
            told = _("The analysis was of the former version: analyse again.")
            self.message_user(request, told, messages.WARNING)

    def response_add(self, request: HttpRequest, obj: Delivery, post_url_continue: Any = None) -> HttpResponse:
        return self._to_workspace(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Delivery) -> HttpResponse:
        return self._to_workspace(request, obj) or super().response_change(request, obj)

    def _to_workspace(self, request: HttpRequest, obj: Delivery) -> HttpResponse | None:
        if {"_addanother", "_continue", "_popup"} & set(request.POST):
            return None
        if "save_and_analyse" in request.POST and request.user.has_perm("deliveries.analyse_delivery"):
            with steps.told(request):
                steps.analyse(self, request, Delivery.objects.get(pk=obj.pk))
        return HttpResponseRedirect(reverse("admin:deliveries_delivery_workspace", args=[obj.pk]))
