"""Keys to sign messages with, made for one test, and a name server that knows them; dkimpy verifies."""

import base64
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

DOMAIN = "jardins.example"
Key = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
_FORMAT = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)


class Zone:
    """What the name server of a domain says about its keys; `entries` is the setting DKIM_KEYS."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.records = folder, dict[bytes, bytes]()
        self.entries: list[str] = []

    def add(self, selector: str, key: Key, *, domain: str = DOMAIN) -> None:
        file = self.folder / f"{selector}.pem"
        file.write_bytes(key.private_bytes(*_FORMAT, serialization.NoEncryption()))
        self.entries.append(f"{domain}:{selector}:{file}")
        self.records[f"{selector}._domainkey.{domain}.".encode()] = _record(key)

    def look_up(self, name: bytes, timeout: int = 5) -> bytes | None:
        return self.records.get(name)

    def verified(self, body: bytes) -> list[str]:
        """Return the selectors of the signatures of a message, all of which must be good."""
        signatures = message_from_bytes(body).get_all("DKIM-Signature", [])
        for place in range(len(signatures)):
            assert dkim.DKIM(body).verify(place, dnsfunc=self.look_up)
        return [signature.partition("s=")[2].partition(";")[0] for signature in signatures]

    def is_good(self, body: bytes) -> bool:
        return bool(dkim.verify(body, dnsfunc=self.look_up))


def rsa_key(bits: int = 2_048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


KINDS: dict[str, Callable[[], Key]] = {"rsa": rsa_key, "ed25519": ed25519.Ed25519PrivateKey.generate}


def _record(key: Key) -> bytes:
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(public.public_bytes_raw())
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)
