"""Which of many addresses are quarantined."""

from collections.abc import Collection
from datetime import datetime

from .models import QuarantinedAddress


def blocked_digests(digests: Collection[bytes], at: datetime) -> set[bytes]:
    """Return those digests whose address must not be written to at a moment, in one query.

    An entry limited to one sender of SMS leaves its address to the others, so it does not count.
    """
    rows = QuarantinedAddress.objects.with_digests(digests).blocking(at).filter(scope="")
    return {bytes(found) for found in rows.values_list("digest", flat=True)}
