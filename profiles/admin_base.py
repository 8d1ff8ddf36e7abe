"""What every admin shares: lists that never count their rows.

A list of ten million people must open as fast as one of ten. So a page is read by primary key ("the 50 rows before
this one") with one row more than it shows, which tells whether another page follows. Nothing is counted.

    class ServiceAdmin(BaseAdmin): ...          newest first, by primary key
    class BrandAdmin(BaseAdmin):                a small table may have its own order; its pages are read by offset,
        ordering = ("name",)                    also with one row more instead of a count

`private_search` is for people's data: the words searched for are kept in the session and never in an address.
`audited` is for what configures the platform: who added, changed or deleted it, from what to what, stays on record.
"""

import secrets
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.core.paginator import Page, Paginator
from django.db.models import JSONField, QuerySet, URLField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from . import audit
from .models import Service
from .texts import validate_texts
from .texts_forms import TextsField

BEFORE, AFTER = "before", "after"
SEARCHES_KEPT = 20
_SESSION_KEY = "searches"
_MARK = "~"


class CountlessPage(Page):
    """A page that knows whether another one follows, and not how many."""

    more = False

    def has_next(self) -> bool:
        return self.more


class CountlessPaginator(Paginator):
    """Pages by offset without a count, for small tables and the choices of autocomplete fields."""

    template_name = "admin/keyset_pagination.html"
    count = 0
    num_pages = 1

    def validate_number(self, number: Any) -> int:
        return max(int(number), 1)

    def page(self, number: Any) -> CountlessPage:
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        rows = list(self.object_list[start : start + self.per_page + 1])
        page = CountlessPage(rows[: self.per_page], number, self)
        page.more = len(rows) > self.per_page
        return page


class KeysetChangeList(ChangeList):
    """A list read by primary key, newest first; `older_url` and `newer_url` lead to its other pages."""

    older_url = newer_url = ""
    query: str

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        if not hasattr(self, "keys"):
            self.keys = {name: self._take_key(name) for name in (BEFORE, AFTER)}
            self.query = recall_search(request, self.query)
        return super().get_queryset(request, exclude_parameters)

    def get_results(self, request: HttpRequest) -> None:
        rows = self._page_by_key() if self.is_by_key() else self._page_by_offset()
        self.result_list = rows
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = False
        self.show_admin_actions = bool(rows)
        self.can_show_all = self.multi_page = False
        self.paginator = CountlessPaginator(rows, self.list_per_page)

    @property
    def has_other_pages(self) -> bool:
        return bool(self.older_url or self.newer_url)

    def is_by_key(self) -> bool:
        """Say whether pages are read by the key of their first or last row."""
        return tuple(self.queryset.query.order_by) in (("-pk",), ("-id",))

    def older(self, key: int) -> QuerySet[Any]:
        """Return the rows that come after one, in the order of the list."""
        return self.queryset.filter(pk__lt=key)

    def newer(self, key: int) -> QuerySet[Any]:
        """Return the rows that come before one, the nearest first."""
        return self.queryset.filter(pk__gt=key).order_by("pk")

    def _take_key(self, name: str) -> int | None:
        """Take a page's key out of the parameters, which Django would read as a filter."""
        self.filter_params.pop(name, None)
        text = self.params.pop(name, None)
        if text is None:
            return None
        if not text.isdecimal() or len(text) > 18:
            raise IncorrectLookupParameters(name)
        return int(text)

    def _page_by_key(self) -> list[Any]:
        size, before, after = self.list_per_page, self.keys[BEFORE], self.keys[AFTER]
        if after is not None:
            rows = list(self.newer(after)[: size + 1])
            older, newer = bool(rows), len(rows) > size
            rows = rows[:size][::-1]
        else:
            rows = list((self.queryset if before is None else self.older(before))[: size + 1])
            older, newer = len(rows) > size, before is not None and bool(rows)
            rows = rows[:size]
        if older:
            self.older_url = self._url(BEFORE, rows[-1].pk)
        if newer:
            self.newer_url = self._url(AFTER, rows[0].pk)
        return rows

    def _page_by_offset(self) -> list[Any]:
        page = CountlessPaginator(self.queryset, self.list_per_page).page(max(self.page_num, 1))
        if page.has_next():
            self.older_url = self._url(PAGE_VAR, page.number + 1)
        if page.number > 1:
            self.newer_url = self._url(PAGE_VAR, page.number - 1)
        return list(page.object_list)

    def _url(self, name: str, value: int) -> str:
        return "?" + urlencode(sorted({**self.filter_params, name: value}.items()), doseq=True)


class ArchivedFilter(admin.SimpleListFilter):
    """Hides what is archived unless it is asked for."""

    title = gettext_lazy("archived")
    parameter_name = "archived"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("Archived only")), ("all", _("All"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "yes":
            return queryset.exclude(archived_at=None)
        return queryset if self.value() == "all" else queryset.filter(archived_at=None)

    def choices(self, changelist: Any) -> Any:
        """Call the choice that is made by default by what it shows."""
        for number, choice in enumerate(super().choices(changelist)):
            yield choice if number else {**choice, "display": _("Open only")}


class BaseAdmin(ModelAdmin):
    """The admin that all of Campaign's admins derive from."""

    paginator = CountlessPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a facet is a count
    list_per_page = 50
    list_max_show_all = 0
    ordering: tuple[str, ...] = ("-pk",)
    sortable_by: tuple[str, ...] = ()
    compressed_fields = True
    empty_value_display = "—"
    list_filter_sheet = False
    private_search = False
    audited = False
    # Fields {language: text} that take one line; the others are given several.
    one_line_texts: tuple[str, ...] = ("label", "title")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Edit a text in several languages as one plain input per language."""
        if isinstance(db_field, JSONField) and validate_texts in db_field.validators:
            lines = 1 if db_field.name in self.one_line_texts else 4
            return db_field.formfield(form_class=TextsField, lines=lines)
        if isinstance(db_field, URLField):
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer no archived service, but for the one that is chosen already."""
        if db_field.related_model is Service and "queryset" not in kwargs:
            object_id = getattr(request.resolver_match, "kwargs", {}).get("object_id", "")
            chosen = self.model._default_manager.filter(pk=object_id if str(object_id).isdecimal() else None)
            kwargs["queryset"] = Service.objects.open() | Service.objects.filter(pk__in=chosen.values(db_field.name))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def audited_values(self, obj: Any) -> dict[str, Any]:
        """Return what is compared before and after a change."""
        return audit.values_of(obj)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None and self.audited and request.method == "POST":
            found._before = self.audited_values(found)
        return found

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        if self.audited:
            after = {name: value for name, value in self.audited_values(obj).items() if value not in (None, "", {}, [])}
            audit.record(audit.Action.ADDED, request.user, obj, at=timezone.now(), after=after)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Note a change of the form; what a button does is noted by its view."""
        if self.audited and (before := getattr(obj, "_before", None)) is not None:
            old, new = audit.difference(before, self.audited_values(obj))
            if old or new:
                audit.record(audit.Action.CHANGED, request.user, obj, at=timezone.now(), before=old, after=new)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        if self.audited:
            for obj in queryset:
                audit.record(
                    audit.Action.DELETED, request.user, obj, at=timezone.now(), before=self.audited_values(obj)
                )
        return super().log_deletions(request, queryset)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_paginator(self, request: HttpRequest, queryset: Any, per_page: int, *args: Any, **kwargs: Any) -> Paginator:
        """Count the history of one object only: it is short, and its page says how many lines it has."""
        if queryset.model is LogEntry:
            return Paginator(queryset, per_page)
        return super().get_paginator(request, queryset, per_page, *args, **kwargs)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Leave out Django's own mass deletion, unless the admin asks for it by name."""
        found = super().get_actions(request)
        if "delete_selected" not in (self.actions or ()):
            found.pop("delete_selected", None)
        return found

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if self.private_search and request.method == "POST" and "_search" in request.POST:
            return HttpResponseRedirect(_with_search(request))
        return super().changelist_view(request, extra_context)


def remember_search(request: HttpRequest, text: str) -> str:
    """Keep the words of a search in the session; return what stands for them in an address."""
    kept = dict(list(request.session.get(_SESSION_KEY, {}).items())[1 - SEARCHES_KEPT :])
    name = _MARK + secrets.token_urlsafe(6)
    request.session[_SESSION_KEY] = {**kept, name: text[:500]}
    return name


def recall_search(request: HttpRequest, name: str) -> str:
    """Return the words that a name stands for; other words stand for themselves."""
    if not name.startswith(_MARK):
        return name
    return str(request.session.get(_SESSION_KEY, {}).get(name, ""))


def _with_search(request: HttpRequest) -> str:
    kept = request.GET.copy()
    for name in (SEARCH_VAR, BEFORE, AFTER, PAGE_VAR):
        kept.pop(name, None)
    if text := request.POST.get(SEARCH_VAR, "").strip():
        kept[SEARCH_VAR] = remember_search(request, text)
    return f"{request.path}?{kept.urlencode()}"
