"""The list of addresses left out: narrowed by what has an index, and given up where the database would search long."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles.admin_base import KeysetChangeList
from profiles.time_limits import TookTooLong, limited
from quarantine import listing
from quarantine.listing import BY_DATE, BY_NUMBER

PATIENCE = timedelta(seconds=3)
SINCE, UNTIL = "since", "until"


class DaysFilter(admin.ListFilter):
    """Entries left out since one day, up to another, or between two."""

    title = gettext_lazy("when it was left out")
    template = "admin/quarantine/days_filter.html"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.first, self.last = _day(params, SINCE), _day(params, UNTIL)
        self.used_parameters |= {SINCE: self.first, UNTIL: self.last}

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [SINCE, UNTIL]

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """Yield what the form of the filter shows, and what else the list is narrowed by."""
        others = {name: values for name, values in changelist.filter_params.items() if name not in (SINCE, UNTIL)}
        yield {
            "since": self.first.isoformat() if self.first else "",
            "until": self.last.isoformat() if self.last else "",
            "others": [(name, value) for name, values in others.items() for value in values],
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(listing.days_q(self.first, self.last))


class EntryChangeList(KeysetChangeList):
    """Pages in the order of the dates where dates are asked for, else by number; no answer after PATIENCE."""

    by_date = False
    queryset: QuerySet[Any]

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        self.by_date = any(self.params.get(name) for name in (SINCE, UNTIL))
        return list(BY_DATE if self.by_date else BY_NUMBER)

    def is_by_key(self) -> bool:
        return True

    def older(self, key: int) -> QuerySet[Any]:
        if not self.by_date:
            return super().older(key)
        place = listing.place_of(key)
        return listing.older(self.queryset, place) if place else self.queryset.none()

    def newer(self, key: int) -> QuerySet[Any]:
        if not self.by_date:
            return super().newer(key)
        place = listing.place_of(key)
        return listing.newer(self.queryset, place) if place else self.queryset.none()

    def get_results(self, request: HttpRequest) -> None:
        try:
            with limited(PATIENCE):
                super().get_results(request)
        except TookTooLong:
            self._show_nothing(request)
            messages.warning(
                request,
                _("The search was given up: too many addresses would have to be looked at. Add a date or a domain."),
            )

    def _show_nothing(self, request: HttpRequest) -> None:
        asked = self.queryset
        self.queryset = asked.none()
        super().get_results(request)
        self.queryset = asked


def _day(params: dict[str, Any], name: str) -> date | None:
    """Take a day out of the parameters."""
    texts = params.pop(name, None) or [""]
    try:
        return date.fromisoformat(texts[-1]) if texts[-1] else None
    except ValueError as error:
        raise IncorrectLookupParameters(name) from error
