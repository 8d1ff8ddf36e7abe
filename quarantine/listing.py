"""Addresses left out, narrowed and read page by page: what the list and its export share.

The newest entry comes first. Where dates narrow the list, it is in the order of the dates: an index holds them in it,
so that a page of an old week reads no newer entry.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import F, Q, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.utils import timezone

from profiles import addresses
from profiles.lookup import address_q

from .models import QuarantinedAddress

BY_NUMBER, BY_DATE = ("-pk",), ("-quarantined_at", "-pk")
Entries = QuerySet[QuarantinedAddress]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands in the order of the dates."""

    at: datetime
    pk: int


def search_q(text: str) -> Q:
    """Say which entries a text means: "@example.org" a domain, "*.example.org" it and those below, else an address.

    An address is found by its digest, however it is spelled, or by its beginning.
    """
    below = text.startswith(("*.", "@*.", "*@*."))
    if below or text.startswith("@"):
        return domain_q(text.lstrip("*@.") if below else text[1:], below=below)
    return address_q(text) | Q(key__startswith=addresses.fold(text))


def domain_q(text: str, *, below: bool) -> Q:
    """Say which entries are of a domain, written in any letters. `below` reads all that the other conditions leave."""
    try:
        name = addresses.a_label(text.strip()).removesuffix(".")
    except UnicodeError:
        name = ""
    if not name:
        return Q(pk__in=[])
    return Q(domain=name) | Q(domain__endswith=f".{name}") if below else Q(domain=name)


def days_q(first: date | None, last: date | None) -> Q:
    """Say which entries have been left out since one day and up to another, in the reader's time zone."""
    asked = Q()
    if first:
        asked &= Q(quarantined_at__gte=_midnight(first))
    if last:
        asked &= Q(quarantined_at__lt=_midnight(last + timedelta(days=1)))
    return asked


def older(entries: Entries, place: Place) -> Entries:
    """Return what comes after a place in the order of the dates."""
    after = TupleLessThan(Tuple(F("quarantined_at"), F("id")), (place.at, place.pk))
    return entries.filter(after, quarantined_at__lte=place.at).order_by(*BY_DATE)


def newer(entries: Entries, place: Place) -> Entries:
    """Return what comes before a place in the order of the dates, the nearest first."""
    before = TupleGreaterThan(Tuple(F("quarantined_at"), F("id")), (place.at, place.pk))
    return entries.filter(before, quarantined_at__gte=place.at).order_by("quarantined_at", "pk")


def place_of(pk: int) -> Place | None:
    """Return where an entry stands, if it has been left out at some time."""
    at = QuarantinedAddress.objects.filter(pk=pk).values_list("quarantined_at", flat=True).first()
    return Place(at, pk) if at else None


def pages(entries: Entries, *, by_date: bool, size: int) -> Iterator[list[QuarantinedAddress]]:
    """Yield all entries, a page at a time; no more than one is held."""
    rows = entries.order_by(*(BY_DATE if by_date else BY_NUMBER))
    page = list(rows[:size])
    while page:
        yield page
        last = page[-1]
        if by_date and last.quarantined_at:
            page = list(older(entries, Place(last.quarantined_at, last.pk))[:size])
        else:
            page = list(rows.filter(pk__lt=last.pk)[:size])


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())
