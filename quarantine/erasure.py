"""What is kept of an address once its person is erased: that nothing may be sent to it, and no more.

    forget(digests, at=...)      called by the erasure of a person, with the digests of their addresses

The digest, the channel, the status, the cause and the dates stay: nobody can read an address from them, and should it
come back, from an import or another system, it stays left out and says why.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from profiles.sql import lock_digests

from .models import QuarantinedAddress, QuarantineEvent

BATCH = 1_000


def forget(digests: Iterable[bytes], *, at: datetime) -> int:
    """Blank what is personal in the entries of these addresses and in their history; return of how many entries.

    Inside another transaction, lock no other addresses before or after. Said again it changes nothing.
    """
    todo = sorted(set(digests))
    return sum(_forget(todo[start : start + BATCH], at) for start in range(0, len(todo), BATCH))


def _forget(digests: list[bytes], at: datetime) -> int:
    with transaction.atomic():
        lock_digests(digests)
        entries = list(QuarantinedAddress.objects.with_digests(digests).values_list("pk", flat=True))
        QuarantinedAddress.objects.filter(pk__in=entries).update(
            value=None, key=None, domain="", text="", delivery_name="", updated_at=at
        )
        blank = dict.fromkeys(QuarantineEvent.PERSONAL, "")
        QuarantineEvent.objects.filter(entry_id__in=entries).exclude(**blank).update(**blank)
    return len(entries)
