"""Keyed digests of addresses: what is left of an address once its person has been erased.

A digest is 16 bytes of keyed BLAKE2b over the channel and the address key. It is what suppression is matched
by, so it must be the same for ever: SUPPRESSION_KEY is never rotated (see docs/decisions).
"""

import hashlib
from functools import lru_cache

from django.conf import settings

from .channels import Channel

SIZE = 16


def digest(channel: Channel | int, key: str) -> bytes:
    """Return the 16-byte digest of an address key on a channel."""
    mac = hashlib.blake2b(digest_size=SIZE, key=_secret(settings.SUPPRESSION_KEY), person=b"address")
    mac.update(bytes([int(channel)]))
    mac.update(key.encode("utf-8", "surrogatepass"))
    return mac.digest()


def keyed(purpose: bytes, data: bytes, *, size: int = 32) -> bytes:
    """Return a keyed digest of anything else, for a purpose of at most 16 bytes; it never equals one of an address."""
    return hashlib.blake2b(data, digest_size=size, key=_secret(settings.SUPPRESSION_KEY), person=purpose).digest()


def lock_number(value: bytes) -> int:
    """Return the signed 64-bit number under which a digest is locked (PostgreSQL advisory locks)."""
    return int.from_bytes(value[:8], "big", signed=True)


@lru_cache(maxsize=4)
def _secret(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
