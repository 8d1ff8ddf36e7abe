"""Days and moments: a day is one of the organisation's time zone."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone


def today(at: datetime) -> date:
    """Return the date of a moment."""
    return timezone.localtime(at, timezone.get_default_timezone()).date()


def start(day: date) -> datetime:
    """Return the moment at which a day begins."""
    return timezone.make_aware(datetime.combine(day, time()), timezone.get_default_timezone())


def end(day: date) -> datetime:
    """Return the moment at which a day is over."""
    return start(day + timedelta(days=1))


def years_before(day: date, years: int) -> date:
    """Return the day so many years before; for 29 February, the 28th where there is none."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)
