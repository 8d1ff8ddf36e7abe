"""Audiences: people pointed out by criteria, with their number while that is being done."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from deliveries import criteria
from deliveries.models import Audience
from profiles.admin_base import KeysetChangeList

from .archive import ArchivableAdmin
from .criteria_field import TEMPLATES, CriteriaField, CriteriaForm, drawn, summary
from .criteria_rows import of_posted

WORDS = 160


class AudienceForm(CriteriaForm):
    criteria = CriteriaField(
        label=gettext_lazy("People"),
        empty_refused=gettext_lazy(
            "Add a condition: without one, this audience is everybody. A delivery can be for everybody without it."
        ),
    )

    class Meta:
        model = Audience
        fields = ("name", "description", "criteria")


class AudienceList(KeysetChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """Tell the criteria of the whole page at once."""
        super().get_results(request)
        for audience, words in zip(self.result_list, told(self.result_list), strict=True):
            audience.words = words


def told(audiences: list[Any]) -> list[str]:
    """Return the criteria of some audiences in words, shortened."""
    return [Truncator(words).chars(WORDS) for words in criteria.describe_all([one.criteria for one in audiences])]


@admin.register(Audience)
class AudienceAdmin(ArchivableAdmin):
    form = AudienceForm
    used_by = "audience"
    save_as = True
    list_display = ("name", "description", "in_words", "updated_at")
    search_fields = ("name", "description")
    fields = ("name", "description", "criteria")

    @admin.display(description=gettext_lazy("people"))
    def in_words(self, audience: Any) -> str:
        return str(audience.words)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return AudienceList

    def save_model(self, request: HttpRequest, obj: Audience, form: Any, change: bool) -> None:
        if not change:
            obj.created_by_id = request.user.pk
        super().save_model(request, obj, form, change)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("criteria/build/", wrap(require_POST(self.build_view)), name="deliveries_criteria_build"),
            path("criteria/count/", wrap(require_POST(self.count_view)), name="deliveries_criteria_count"),
            *super().get_urls(),
        ]

    def build_view(self, request: HttpRequest) -> HttpResponse:
        """Draw rows anew after one of their buttons was pressed."""
        name = self._builder_of(request)
        rows, place = of_posted(request.POST, name)
        return render(request, TEMPLATES + "body.html", {**drawn(rows, name, focus=place), "scripted": True})

    def count_view(self, request: HttpRequest) -> HttpResponse:
        """Say whom rows mean, how many that are, and show a few of them to those who may see people."""
        rows, _place = of_posted(request.POST, self._builder_of(request))
        sampled = bool(request.user.has_perm("profiles.view_profile"))
        found = summary(rows, at=timezone.now(), sampled=sampled)
        return render(request, TEMPLATES + "summary.html", {"summary": found})

    def _builder_of(self, request: HttpRequest) -> str:
        """Return the name under which criteria are posted, if the user may put some together."""
        kinds = ("audience", "typologyrule")
        if not any(request.user.has_perm(f"deliveries.{act}_{kind}") for act in ("add", "change") for kind in kinds):
            raise PermissionDenied
        name: str = request.POST.get("builder", "")
        return name if name.isidentifier() else "criteria"
