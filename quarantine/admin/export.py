"""The list as a file, as it is narrowed: streamed page by page, and read again by the import of addresses left out."""

import csv
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from profiles import audit
from profiles.formulas import disarmed
from quarantine import columns, listing
from quarantine.models import QuarantinedAddress

PAGE = 2_000


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def export(admin: Any, request: HttpRequest) -> StreamingHttpResponse:
    """Return the addresses of the list, with its filters and its search, as CSV. By POST: it leaves a trace."""
    if not request.user.has_perm("quarantine.export_quarantinedaddress"):
        raise PermissionDenied
    shown = admin.get_changelist_instance(request)
    # Told before anything leaves: whoever breaks off has had some of it. It may be counted: all of it is read.
    newest = QuarantinedAddress.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    rows = shown.queryset.filter(pk__lte=newest)
    audit.record(
        audit.Action.EXPORTED, request.user, QuarantinedAddress, at=timezone.now(), rows=rows.order_by().count()
    )
    response = StreamingHttpResponse(_csv(rows, by_date=shown.by_date), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="addresses-left-out.csv"'
    return response


def _csv(rows: listing.Entries, *, by_date: bool) -> Iterator[str]:
    writer = csv.writer(_Echo())
    # Spreadsheets take a file without a mark for an old encoding.
    yield "\ufeff" + str(writer.writerow(columns.WRITTEN))
    for page in listing.pages(rows, by_date=by_date, size=PAGE):
        yield "".join(writer.writerow([disarmed(cell) for cell in columns.cells(entry)]) for entry in page)
