"""Signed links: what a person presses proves what it is for, and shows nothing about them.

    >>> token = seal(Purpose.OPT_OUT_PAGE, OptOutLink(channel=1, digest=b"...", log=7, delivery=3, service=2).pack())
    >>> OptOutLink.unpack(open_token(Purpose.OPT_OUT_PAGE, token))

A token is ``key id (1 byte) | tag (16 bytes) | payload``, in URL-safe base64. The tag is an HMAC-SHA256 over the
purpose and the payload; the payload is masked with a stream derived from the tag (the SIV construction of RFC 5297,
with HMAC in place of CMAC), so that a decoded token shows no counter, address or date. A token made for one purpose
does not open for another.

The key ring is LINK_KEYS, ``id:secret`` pairs: the first signs, all of them verify, and ids in LINK_KEYS_REVOKED
no longer do. Django's own signer has no key id, so it cannot revoke one key and keep the others.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from django.conf import settings

from .errors import TokenRefused

TAG = 16


class Purpose(StrEnum):
    """What a link may do. A link never opens for another purpose than its own."""

    OPT_OUT_PAGE = "opt-out-page"
    ONE_CLICK = "one-click"
    CONFIRM_OPT_IN = "confirm-opt-in"
    FORM = "form"
    UNDO = "undo"
    MESSAGE_ID = "message-id"
    PREFERENCES = "preferences"
    PREFERENCES_FORM = "preferences-form"
    VIEW_ONLINE = "view-online"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutLink:
    """All that an opt-out needs, so that it works when the delivery, its log or the profile are gone."""

    channel: int
    digest: bytes
    log: int = 0
    delivery: int = 0
    service: int = 0

    _SHAPE = struct.Struct(">B16sQLL")

    def pack(self) -> bytes:
        return self._SHAPE.pack(self.channel, self.digest, self.log, self.delivery, self.service)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Return the link that was packed; raise TokenRefused for a payload of another shape."""
        try:
            channel, digest, log, delivery, service = cls._SHAPE.unpack(payload)
        except struct.error as error:
            raise TokenRefused from error
        return cls(channel=channel, digest=digest, log=log, delivery=delivery, service=service)


def seal(purpose: Purpose, payload: bytes) -> str:
    """Return a token that opens to the payload, for that purpose only."""
    key_id, secret = next(iter(_ring().items()))
    tag = _tag(secret, purpose, payload)
    return base64.urlsafe_b64encode(bytes([key_id]) + tag + _mask(secret, tag, payload)).decode().rstrip("=")


def open_token(purpose: Purpose, token: str) -> bytes:
    """Return the payload of a token; raise TokenRefused when it is damaged, foreign or revoked."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenRefused from error
    if len(raw) <= TAG or base64.urlsafe_b64encode(raw).decode().rstrip("=") != token:
        raise TokenRefused  # one token has one spelling
    key_id, tag, masked = raw[0], raw[1 : TAG + 1], raw[TAG + 1 :]
    secret = _ring().get(key_id)
    if secret is None or key_id in settings.LINK_KEYS_REVOKED:
        raise TokenRefused
    payload = _mask(secret, tag, masked)
    if not hmac.compare_digest(tag, _tag(secret, purpose, payload)):
        raise TokenRefused
    return payload


def _ring() -> dict[int, bytes]:
    """Return key id → secret, the signing key first; without LINK_KEYS one key is derived from SECRET_KEY."""
    pairs = [entry.partition(":") for entry in settings.LINK_KEYS] or [("0", ":", settings.SECRET_KEY)]
    return {int(key): hashlib.sha256(b"campaign.links:" + secret.encode()).digest() for key, _sep, secret in pairs}


def _tag(secret: bytes, purpose: Purpose, payload: bytes) -> bytes:
    return hmac.digest(secret, b"tag\0" + purpose.encode() + b"\0" + payload, "sha256")[:TAG]


def _mask(secret: bytes, tag: bytes, data: bytes) -> bytes:
    blocks = range(len(data) // 32 + 1)
    stream = b"".join(hmac.digest(secret, b"mask\0" + tag + n.to_bytes(2, "big"), "sha256") for n in blocks)
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))
