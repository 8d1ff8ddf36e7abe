"""Signed links: what a person presses proves what it is for, and shows nothing about them.

    >>> token = seal(Purpose.OPT_OUT_PAGE, OptOutLink(channel=1, digest=b"...", log=7, delivery=3, service=2).pack())
    >>> OptOutLink.unpack(open_token(Purpose.OPT_OUT_PAGE, token))

A token is ``key id (1 byte) | tag (16 bytes) | payload``, in URL-safe base64. The tag is an HMAC-SHA256 over the
purpose and the payload; the payload is masked with a stream derived from the tag (the SIV construction of RFC 5297,
with HMAC in place of CMAC), so that a decoded token shows no counter, address or date. A token made for one purpose
does not open for another.

The key ring is LINK_KEYS, ``id:secret`` pairs: the first signs, all of them verify, and ids in LINK_KEYS_REVOKED
no longer do. Django's own signer has no key id, so it cannot revoke one key and keep the others.

A return path (the address that undeliverable mail goes back to) is short and survives a change of case. It holds the
number of a message, and proves message and recipient together: see `seal_return_path`.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
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
    RETURN_PATH = "return-path"


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
    key_id, key = next(iter(_ring().items()))
    tag = key.tag(purpose, payload)
    return base64.urlsafe_b64encode(bytes([key_id]) + tag + key.mask(tag, payload)).decode().rstrip("=")


def open_token(purpose: Purpose, token: str) -> bytes:
    """Return the payload of a token; raise TokenRefused when it is damaged, foreign or revoked."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenRefused from error
    if len(raw) <= TAG or base64.urlsafe_b64encode(raw).decode().rstrip("=") != token:
        raise TokenRefused  # one token has one spelling
    tag, masked = raw[1 : TAG + 1], raw[TAG + 1 :]
    key = _verifying(raw[0])
    payload = key.mask(tag, masked)
    if not hmac.compare_digest(tag, key.tag(purpose, payload)):
        raise TokenRefused
    return payload


def seal_return_path(log: int, digest: bytes) -> str:
    """Return the part before the @ of the address that a message comes back to: 40 letters and digits.

    It is ``key id (1 byte) | number (8, signed, masked) | tag (16)`` in base32, for mail servers may change its case
    (RFC 5321 section 2.4). `digest` is that of the recipient's address, which the tag covers and the result lacks.
    """
    key_id, key = next(iter(_ring().items()))
    number = log.to_bytes(8, "big", signed=True)
    tag = key.tag(Purpose.RETURN_PATH, number + digest)
    return base64.b32encode(bytes([key_id]) + key.mask(tag, number) + tag).decode().lower()


def open_return_path(local: str) -> tuple[int, Callable[[bytes], bool]]:
    """Return the number that a return path holds, not proven yet, and what proves it for a recipient's digest.

    Raises TokenRefused when it is none, or when its key is unknown or revoked.
    """
    if len(local) != _RETURN_PATH_LENGTH or not local.isascii():
        raise TokenRefused
    try:
        raw = base64.b32decode(local.upper())
    except binascii.Error as error:
        raise TokenRefused from error
    key, tag = _verifying(raw[0]), raw[9:]
    number = key.mask(tag, raw[1:9])

    def proves(digest: bytes) -> bool:
        return hmac.compare_digest(tag, key.tag(Purpose.RETURN_PATH, number + digest))

    return int.from_bytes(number, "big", signed=True), proves


def verify_return_path(local: str, digest_of: Callable[[int], bytes | None]) -> int:
    """Return the number of the message that a return path was made for; raise TokenRefused for any other.

    `digest_of` returns the digest of the recipient of a message, None when there is no such message.
    """
    log, proves = open_return_path(local)
    digest = digest_of(log)
    if not proves(digest or b"") or digest is None:
        raise TokenRefused
    return log


_RETURN_PATH_LENGTH = 40


class _Key:
    """A secret, ready to use: the two hashes of an HMAC-SHA256 (RFC 2104) that begin with it are made once."""

    def __init__(self, secret: bytes) -> None:
        block = secret.ljust(hashlib.sha256().block_size, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def tag(self, purpose: Purpose, payload: bytes) -> bytes:
        return self._mac(b"tag\0" + purpose.encode() + b"\0" + payload)[:TAG]

    def mask(self, tag: bytes, data: bytes) -> bytes:
        blocks = range(len(data) // 32 + 1)
        stream = b"".join([self._mac(b"mask\0" + tag + n.to_bytes(2, "big")) for n in blocks])[: len(data)]
        return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")

    def _mac(self, data: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()


def _ring() -> dict[int, _Key]:
    """Return key id → key, the signing one first; without LINK_KEYS one key is derived from SECRET_KEY."""
    return _keys(tuple(settings.LINK_KEYS) or ("0:" + settings.SECRET_KEY,))


@lru_cache(maxsize=8)
def _keys(entries: tuple[str, ...]) -> dict[int, _Key]:
    pairs = [entry.partition(":") for entry in entries]
    return {
        int(key): _Key(hashlib.sha256(b"campaign.links:" + secret.encode()).digest()) for key, _sep, secret in pairs
    }


def _verifying(key_id: int) -> _Key:
    """Return a key that may verify; raise TokenRefused."""
    key = _ring().get(key_id)
    if key is None or key_id in settings.LINK_KEYS_REVOKED:
        raise TokenRefused
    return key
