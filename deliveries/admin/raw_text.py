"""What came in, as text to look at: bounded, and with nothing in it that a screen or a browser would act on."""

import unicodedata

LONGEST = 20_000  # characters
# Format characters turn the direction of text around, or hide it (Unicode category Cf).
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}


def shown(raw: bytes | memoryview | None) -> str:
    """Return the beginning of a message; what cannot be seen is shown as a small box."""
    if not raw:
        return ""
    # Four octets at most make a letter (RFC 3629 section 3).
    text = bytes(raw[: 4 * LONGEST]).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    cut = text[:LONGEST] + ("\n…" if len(text) > LONGEST or len(raw) > 4 * LONGEST else "")
    return "".join(char if _is_seen(char) else "\ufffd" for char in cut)


def _is_seen(char: str) -> bool:
    return char in "\n\t" or unicodedata.category(char) not in _HIDDEN
