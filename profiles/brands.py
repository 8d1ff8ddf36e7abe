"""Who writes must be known before anybody is written to: what a brand still lacks, and what waits for it.

In production, a brand that lacks something invites nobody and sends nothing to sell. Pages by which people leave, or
choose less, work all the same.
"""

import re

from django.conf import settings

from .errors import BrandIncomplete
from .models import Brand

REQUIRED = ("sender_name", "sender_email", "postal_address", "contact", "privacy_notice")
# Names that stand for nobody (RFC 2606, section 3): what a new installation is filled with.
_STAND_IN = re.compile(r"@(?:[\w-]+\.)*example\.(?:org|com|net)\s*$", re.IGNORECASE)


def missing(brand: Brand) -> list[str]:
    """Return the names of the fields that a brand lacks, as its form shows them."""
    names = {field.name: str(field.verbose_name) for field in Brand._meta.concrete_fields}
    return [names[name] for name in missing_fields(brand)]


def missing_fields(brand: Brand) -> list[str]:
    """Return the fields that are empty, or still hold what a new installation was filled with."""
    return [name for name in REQUIRED if not _says_something(getattr(brand, name))]


def is_ready(brand: Brand) -> bool:
    """Say whether a brand may invite people and write to them: anywhere but in production it always may."""
    return settings.ENVIRONMENT != "production" or not missing_fields(brand)


def refuse_incomplete(brand: Brand) -> None:
    """Raise BrandIncomplete where a brand may not be used yet."""
    if not is_ready(brand):
        raise incomplete(brand)


def incomplete(brand: Brand) -> BrandIncomplete:
    """Return what a brand lacks, as the error that says so."""
    return BrandIncomplete(brand.name, missing(brand))


def _says_something(value: object) -> bool:
    if isinstance(value, dict):
        return any(text.strip() for text in value.values())
    return bool(str(value).strip()) and not _STAND_IN.search(str(value))
