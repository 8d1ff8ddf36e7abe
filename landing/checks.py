"""Settings that would fail when mail is fetched."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from . import fetching
from .imap import Place


@register()
def check_fetching(**_: Any) -> list[CheckMessage]:
    """Refuse a mailbox that is none, and a wish that cannot be fulfilled."""
    return list(fetching_errors())


def fetching_errors() -> Iterator[Error]:
    if not settings.IMAP_URL:
        return
    try:
        Place.read(settings.IMAP_URL)
    except ValueError as error:
        yield Error("IMAP_URL is no mailbox.", hint=str(error), id="landing.E001")
    try:
        fetching.after()
    except ValueError:
        hint = "Write seen, delete, or move: and the name of a folder in plain letters, such as move:Done."
        yield Error("INBOUND_AFTER says nothing that can be done.", hint=hint, id="landing.E002")
