"""Services that are over: nobody can subscribe any more, and people can still leave.

archive(service, at=...)    False when it was archived already
reopen(service)             False when it was open

Subscriptions stay as they are, and so do the links of messages already sent: an archived service is only offered
nowhere. So opening it again gives back what there was.
"""

from datetime import datetime

from .models import Service


def archive(service: Service, *, at: datetime) -> bool:
    """Offer a service nowhere from now on."""
    changed = Service.objects.filter(pk=service.pk, archived_at=None).update(archived_at=at)
    if changed:
        service.archived_at = at
    return bool(changed)


def reopen(service: Service) -> bool:
    """Offer an archived service again."""
    changed = Service.objects.filter(pk=service.pk, archived_at__isnull=False).update(archived_at=None)
    if changed:
        service.archived_at = None
    return bool(changed)
