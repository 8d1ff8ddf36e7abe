"""Signs messages (DKIM: RFC 6376; Ed25519: RFC 8463), where the mail server does not.

DKIM_KEYS holds ``domain:selector:file`` entries, the file a private key in PEM form, RSA or Ed25519. A message is
signed with each key whose domain is that of its From. Needs the package `cryptography` (requirements/dkim.txt).
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

# RFC 8301 section 3.2: signers use 2,048 bits at least; many receiving sides take less for no signature.
RSA_BITS = 2_048
# From once more than it occurs, so that none can be added (RFC 6376 section 8.15). RFC 8058 section 4: the headers of
# unsubscribing must be covered.
SIGNED = (
    "from", "from", "to", "subject", "date", "message-id", "reply-to", "mime-version", "content-type",
    "list-unsubscribe", "list-unsubscribe-post", "feedback-id",
)  # fmt: skip
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})+", re.IGNORECASE)
SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)
_BLANKS = re.compile(rb"[ \t]{2,}|\t")  # all that a single blank is to replace


@dataclass(frozen=True, slots=True)
class Signer:
    """One key of a domain."""

    domain: str
    selector: str
    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)

    def header(self, message: bytes, *, at: datetime) -> bytes:
        """Return the DKIM-Signature of a message (lines end in CRLF), which goes before it."""
        top, _blank, body = message.partition(b"\r\n\r\n")
        present = _headers(top + b"\r\n")
        names = [name for name in SIGNED if name.encode() in present]
        unsigned = (
            f"DKIM-Signature: v=1; a={self.algorithm}; c=relaxed/relaxed; d={self.domain}; s={self.selector};\r\n"
            f" t={int(at.timestamp())}; h={':'.join(names[:6])}\r\n  :{':'.join(names[6:])};\r\n"
            f" bh={base64.b64encode(_body_hash(body)).decode()};\r\n b="
        ).encode()
        # The second "from" stands for one that is not there, of which nothing is hashed (RFC 6376 section 5.4.2).
        lines = [present[name.encode()] for name in dict.fromkeys(names)]
        signature = base64.b64encode(self.sign(b"\r\n".join([*lines, _relaxed(unsigned)])))
        return unsigned + b"\r\n  ".join(signature[at : at + 70] for at in range(0, len(signature), 70)) + b"\r\n"


def signers(domain: str) -> tuple[Signer, ...]:
    """Return what signs the messages of a domain; nothing as a rule. Raises ImproperlyConfigured."""
    if not settings.DKIM_KEYS:
        return ()
    return tuple(signer for signer in _signers(tuple(settings.DKIM_KEYS)) if signer.domain == domain)


def problems() -> Iterator[str]:
    """Yield what is wrong with DKIM_KEYS, one sentence each. The contents of a key are in none."""
    for entry in settings.DKIM_KEYS:
        try:
            _signer(entry)
        except ImproperlyConfigured as error:
            yield str(error)


@lru_cache(maxsize=4)
def _signers(entries: tuple[str, ...]) -> tuple[Signer, ...]:
    return tuple(map(_signer, entries))


def _signer(entry: str) -> Signer:
    """Return what an entry of DKIM_KEYS stands for; raise ImproperlyConfigured."""
    domain, selector, file = (part.strip() for part in (*entry.split(":", 2), "", "")[:3])
    if not HOST.fullmatch(domain) or not SELECTOR.fullmatch(selector) or not file:
        raise ImproperlyConfigured("DKIM_KEYS has an entry that is no domain:selector:file (the domain in ASCII).")
    try:
        pem = Path(file).read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(f"The key of {domain} in DKIM_KEYS cannot be read: {error.strerror}.") from None
    try:
        algorithm, sign = _loaded(pem)
    except ImportError:
        raise ImproperlyConfigured("DKIM_KEYS is set, and the package cryptography is missing.") from None
    except (ValueError, TypeError):  # what the library says may hold parts of the file
        told = f"no RSA key of {RSA_BITS:,} bits or more, nor an Ed25519 one, in PEM form and without a password"
        raise ImproperlyConfigured(f"The file of {domain} in DKIM_KEYS holds {told}.") from None
    return Signer(domain.lower(), selector, algorithm, sign)


def _loaded(pem: bytes) -> tuple[str, Callable[[bytes], bytes]]:
    """Return the name of a key's algorithm, and what signs with it; raise ValueError, TypeError or ImportError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except UnsupportedAlgorithm as error:
        raise ValueError from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        # RFC 8463 section 3: what is signed is the digest.
        return "ed25519-sha256", lambda data: key.sign(hashlib.sha256(data).digest())
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= RSA_BITS:
        return "rsa-sha256", lambda data: key.sign(data, padding.PKCS1v15(), SHA256())
    raise ValueError("another kind of key")


def _headers(top: bytes) -> dict[bytes, bytes]:
    """Return lower-case name → header as it is hashed (RFC 6376 section 3.4.2), without its line end."""
    found: dict[bytes, bytes] = {}
    for header in re.split(rb"\r\n(?![ \t])", top[:-2]):
        relaxed = _relaxed(header)
        found[relaxed.partition(b":")[0]] = relaxed
    return found


def _relaxed(header: bytes) -> bytes:
    name, _colon, value = header.partition(b":")
    return name.strip().lower() + b":" + _BLANKS.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ")


def _body_hash(body: bytes) -> bytes:
    """Return the digest of a body (RFC 6376 section 3.4.4)."""
    if b"  " in body or b"\t" in body:
        body = _BLANKS.sub(b" ", body)
    body = body.replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return hashlib.sha256(body + b"\r\n" if body else b"").digest()
