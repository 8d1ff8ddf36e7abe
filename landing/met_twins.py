"""Sign-ups that met several profiles of one address: the oldest was taken, and operators look at the others."""

from datetime import datetime

from profiles.models import Profile

from .models import LandingPage, MetTwins

MOST = 50  # of the others, by age: more is a shared mailbox, and the list would not be read


def note(page: LandingPage, profile: int, digest: bytes, *, at: datetime) -> None:
    """Note which other profiles have the address of a sign-up; once for a page and a profile.

    Seen before, it is shown again when a profile is among the others that was not. Call it in a transaction.
    """
    others = list(Profile.objects.having(digest).exclude(pk=profile).order_by("pk").values_list("pk", flat=True)[:MOST])
    if not others:
        return
    met, new = MetTwins.objects.get_or_create(page=page, profile_id=profile, defaults={"others": others, "at": at})
    if not new and set(others) - set(met.others):
        met.others, met.at, met.seen_at = others, at, None
        met.save(update_fields=["others", "at", "seen_at"])


def look_at(met: MetTwins, *, at: datetime) -> bool:
    """Note that somebody has looked at it; return False when that was noted before."""
    return bool(MetTwins.objects.filter(pk=met.pk, seen_at=None).update(seen_at=at))
