"""The logo of a brand: a small picture that anybody may load, known by a digest of what is in it.

    keep(brand, data)    store it; raise LogoRefused when it is no picture, or too large
    remove(brand)

What a file is is read from its first bytes, whatever it is called. SVG is a document that can run scripts: refused.
"""

import hashlib

from django.db import transaction
from django.utils.translation import gettext as _

from .models import Brand, BrandLogo

LARGEST = 200_000  # bytes
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",  # ISO/IEC 15948, 5.2
    b"\xff\xd8\xff": "image/jpeg",  # ISO/IEC 10918-1, B.1.1.3
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


class LogoRefused(ValueError):
    """A file that is no logo. Its text says what to do."""


def kind_of(data: bytes) -> str:
    """Return the MIME type of a picture; empty for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":  # RFC 9649, 2.4
        return "image/webp"
    return next((kind for beginning, kind in _BEGINNINGS.items() if data.startswith(beginning)), "")


def check(data: bytes) -> str:
    """Return the MIME type of a logo; raise LogoRefused when it is no picture, or too large."""
    if len(data) > LARGEST:
        raise LogoRefused(_("Choose a smaller picture: at most %(size)d KB.") % {"size": LARGEST // 1000})
    kind = kind_of(data)
    if not kind:
        raise LogoRefused(_("Choose a picture: PNG, JPEG, WebP or GIF."))
    return kind


def keep(brand: Brand, data: bytes) -> None:
    """Store the logo of a brand in place of the one it had."""
    kind = check(data)
    with transaction.atomic():
        BrandLogo.objects.update_or_create(brand=brand, defaults={"kind": kind, "data": data})
        _point(brand, hashlib.sha256(kind.encode() + b"\0" + data).hexdigest()[:32])


def remove(brand: Brand) -> None:
    with transaction.atomic():
        BrandLogo.objects.filter(brand=brand).delete()
        _point(brand, "")


def find(digest: str, extension: str) -> BrandLogo | None:
    """Return the logo with this digest; None when there is none, or when it is of another kind."""
    logo = BrandLogo.objects.filter(brand__logo_digest=digest).first() if digest else None
    return logo if logo is not None and logo.extension == extension else None


def _point(brand: Brand, digest: str) -> None:
    brand.logo_digest = digest
    brand.save(update_fields=["logo_digest"])
