"""What deliveries are prepared with, and who uses it: archived rather than deleted, and changed knowing who follows.

class AudienceAdmin(ArchivableAdmin):
    used_by = "audience"      the field of Delivery that holds it
"""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from deliveries.models import Delivery, State
from profiles import archiving, audit
from profiles.admin_base import ArchivedFilter, BaseAdmin

SHOWN = 10
# What these were analysed with must still be so when they are sent.
ANALYSED = (State.ANALYSED, State.SCHEDULED, State.SENDING, State.PAUSED)


class ArchivableAdmin(BaseAdmin):
    """An admin of something that deliveries are prepared with."""

    audited = True
    used_by = ""
    list_filter: tuple[Any, ...] = (ArchivedFilter,)
    change_form_outer_before_template = "admin/deliveries/archivable.html"

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "description":
            field.widget.attrs["rows"] = 2
        return field

    def audited_values(self, obj: Any) -> dict[str, Any]:
        return {name: value for name, value in super().audited_values(obj).items() if name != "updated_at"}

    def uses(self, obj: Any) -> QuerySet[Delivery]:
        """Return the deliveries that use it."""
        return Delivery.objects.live().filter(self.use_q(obj))

    def use_q(self, obj: Any) -> Q:
        return Q(**{self.used_by: obj})

    def may_archive(self, obj: Any) -> bool:
        return True

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("<int:pk>/archive/", wrap(require_POST(self.archive_view)), name=f"{name}_archive"),
            path("<int:pk>/reopen/", wrap(require_POST(self.reopen_view)), name=f"{name}_reopen"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        if (obj := kwargs.get("obj")) is not None:
            name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
            changes = self.has_change_permission(request, obj)
            context["used_by"] = list(self.uses(obj).order_by("-pk")[:SHOWN])
            context["analysed"] = self.uses(obj).filter(state__in=ANALYSED).count()
            context["archive_url"] = reverse(f"{name}_archive", args=[obj.pk])
            context["reopen_url"] = reverse(f"{name}_reopen", args=[obj.pk])
            context["may_archive"] = changes and self.may_archive(obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep what a delivery uses, or has used: it can be archived."""
        if not super().has_delete_permission(request, obj):
            return False
        return obj is None or not Delivery.objects.filter(self.use_q(obj)).exists()

    def archive_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Offer it for no new delivery; those that use it keep it."""
        obj = self.changeable(request, pk)
        if not self.may_archive(obj):
            messages.error(request, _("It is the usual one: make another one the usual one first."))
        elif self._mark(request, obj, archived=True):
            messages.success(request, _("Archived. It is not offered any more; deliveries that use it keep it."))
        return self.back(obj)

    def reopen_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Offer it again."""
        obj = self.changeable(request, pk)
        if self._mark(request, obj, archived=False):
            messages.success(request, _("Opened again: it is offered for new deliveries."))
        return self.back(obj)

    def _mark(self, request: HttpRequest, obj: Any, *, archived: bool) -> bool:
        """Archive or reopen, and note it; say whether that changed anything."""
        at, before = timezone.now(), obj.archived_at
        with transaction.atomic():
            if not (archiving.archive(obj, at=at) if archived else archiving.reopen(obj)):
                return False
            audit.record(
                audit.Action.ARCHIVED if archived else audit.Action.REOPENED, request.user, obj, at=at,
                before={"archived_at": str(before) if before else None},
                after={"archived_at": str(at) if archived else None},
            )  # fmt: skip
            self.log_change(request, obj, _("Archived.") if archived else _("Opened again."))
        return True

    def changeable(self, request: HttpRequest, pk: int) -> Any:
        obj = get_object_or_404(self.model, pk=pk)
        if not self.has_change_permission(request, obj):
            raise PermissionDenied
        return obj

    def back(self, obj: Any) -> HttpResponse:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return HttpResponseRedirect(reverse(name, args=[obj.pk]))
