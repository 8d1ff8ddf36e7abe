"""Settings that would fail when the first message is written."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from profiles.addresses import a_label

from . import dkim


@register()
def check_sending(**_: Any) -> list[CheckMessage]:
    """Refuse a domain for bounces that is none, and keys that cannot sign."""
    return list(sending_errors())


def sending_errors() -> Iterator[Error]:
    if settings.BOUNCE_DOMAIN and not _is_host(settings.BOUNCE_DOMAIN):
        hint = "Write a domain whose mail comes to this installation, such as bounces.example.org, or nothing."
        yield Error("BOUNCE_DOMAIN is no domain.", hint=hint, id="deliveries.E001")
    hint = "See docs/guide/sending.md. The package: pip install --require-hashes -r requirements/dkim.txt"
    for problem in dkim.problems():
        yield Error(problem, hint=hint, id="deliveries.E002")


def _is_host(name: str) -> bool:
    try:
        return bool(dkim.HOST.fullmatch(a_label(name)))
    except UnicodeError:
        return False
