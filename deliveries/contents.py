"""The message of a delivery, written and removed one language at a time.

Whoever saves says which texts they had before them: what somebody else has saved meanwhile is never overwritten unseen.
Two people may write two languages at the same time.
"""

import hashlib
import json

from django.db import transaction

from . import lifecycle
from .errors import ChangedMeanwhile, MoveRefused
from .models import Delivery, DeliveryContent, State

TEXTS = ("subject", "html", "text")


def stored(delivery: Delivery, language: str) -> DeliveryContent | None:
    """Return what is written in a language."""
    return delivery.contents.filter(language=language, variant="").first()


def seen(content: DeliveryContent | None) -> str:
    """Return what stands for the texts as they are; the same texts give the same, and none an empty one."""
    if content is None:
        return ""
    texts = json.dumps([getattr(content, name) for name in TEXTS])
    return hashlib.blake2b(texts.encode(), digest_size=12).hexdigest()


def write(delivery: Delivery, content: DeliveryContent, *, before: str) -> bool:
    """Store the texts of a language and void the analysis; return whether there was one.

    `before` is what `seen` gave of the texts that were changed. Raises ChangedMeanwhile or MoveRefused.
    """
    with transaction.atomic():
        current = _held(delivery, content.language, before)
        if current is None:
            DeliveryContent.objects.create(
                delivery=delivery, language=content.language, **{name: getattr(content, name) for name in TEXTS}
            )
        else:
            for name in TEXTS:
                setattr(current, name, getattr(content, name))
            current.save(update_fields=TEXTS)
        return lifecycle.void_analysis(delivery)


def remove(delivery: Delivery, language: str, *, before: str) -> bool:
    """Take a language away and void the analysis; return whether there was one. Raises as `write` does."""
    with transaction.atomic():
        current = _held(delivery, language, before)
        if current is not None:
            current.delete()
        return lifecycle.void_analysis(delivery)


def _held(delivery: Delivery, language: str, before: str) -> DeliveryContent | None:
    """Return what is stored in a language while no one else can change it; raise if it is not what was seen."""
    held = Delivery.objects.select_for_update().get(pk=delivery.pk)
    if not held.is_editable:
        raise MoveRefused(held.label, str(State(held.state).label), str(State.DRAFT.label))
    current = stored(held, language)
    if seen(current) != before:
        raise ChangedMeanwhile
    return current
