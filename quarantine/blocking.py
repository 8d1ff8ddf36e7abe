"""Which of many addresses are quarantined, and why."""

from collections.abc import Collection
from datetime import datetime

from .models import Cause, QuarantinedAddress


def blocked_digests(digests: Collection[bytes], at: datetime) -> dict[bytes, str]:
    """Return those digests whose address must not be written to at a moment, with the cause, in one query.

    An entry limited to one sender of SMS leaves its address to the others, so it does not count.
    """
    rows = QuarantinedAddress.objects.with_digests(digests).blocking(at).filter(scope="")
    return {bytes(found): Cause(cause or 0).name.lower() for found, cause in rows.values_list("digest", "cause")}
