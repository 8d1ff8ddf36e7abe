"""What is over and still has to be known: archived, it is offered nowhere, and stays for all that mentions it.

archive(service, at=...)    False when it was archived already
reopen(service)             False when it was open

Of anything with `archived_at`. Subscriptions to an archived service stay as they are, and so do the links of messages
already sent; deliveries keep an archived audience, list or set of rules. So opening again gives back what there was.
"""

from datetime import datetime
from typing import Any


def archive(thing: Any, *, at: datetime) -> bool:
    """Offer it nowhere from now on."""
    return _mark(thing, at)


def reopen(thing: Any) -> bool:
    """Offer it again."""
    return _mark(thing, None)


def _mark(thing: Any, at: datetime | None) -> bool:
    rows = type(thing)._default_manager.filter(pk=thing.pk, archived_at__isnull=at is not None)
    changed = bool(rows.update(archived_at=at))
    if changed:
        thing.archived_at = at
    return changed
