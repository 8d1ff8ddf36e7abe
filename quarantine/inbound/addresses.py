"""Find mail addresses in what programs write: in fields of reports, in lines of notices. No input raises.

>>> read("rfc822; <Ann@Example.ORG>")
'Ann@example.org'
"""

import re
from collections.abc import Iterator

LONGEST = 320  # RFC 3696 (erratum 1690), before the limit of RFC 5321
_LINE = 1_000  # characters of a line or field that are searched

_CONTROLS = r"\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff"
_LOCAL = rf"[^\s<>()\[\]{{}},;:\"\\@|{_CONTROLS}\u3000-\u303f\uff00-\uff0f\uff1a-\uff20]{{1,64}}"
_LABEL = r"[0-9A-Za-z\u00a1-\u2fff\u3041-\ud7ff\uf900-\ufefe_-]{1,63}"
_DOMAIN = rf"(?:{_LABEL}\.){{0,10}}{_LABEL}"
ADDRESS = re.compile(
    rf"(?:{_LOCAL}|\"[^\"\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,64}}\")@{_DOMAIN}|{_LOCAL}@\[[0-9.]{{7,15}}\]"
)
_TYPE = re.compile(r"\s*[A-Za-z][\w.-]{0,20}\s*;\s*")  # RFC 3464 section 2.1.2
_X400 = re.compile(r"(?i)/(?:g|s|o|ou|c|a|p|ou1|cn|rfc-?822)=")
_HEX = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")  # RFC 6533 section 3
_XTEXT = re.compile(r"\+([0-9A-F]{2})")  # RFC 3461 section 4; Exchange's IMCEA
_IMCEA = re.compile(r"(?i)^IMCEA(?:EX|SMTP|INVALID|X400|RFC822)?-(.{1,300})@")


def read(field: str) -> str | None:
    """Return the address of a field of a report: with a type or without, in brackets, encoded; None if it has none."""
    value = _TYPE.sub("", field[:_LINE], count=1) if ";" in field else field[:_LINE]
    if "\\x{" in value:
        value = _HEX.sub(_character, value)
    found = next(find(value), None)
    if found is None and "+40" in value:
        found = next(find(from_xtext(value)), None)
    return found


def from_xtext(text: str) -> str:
    """Return what an address of an SMTP command stands for (RFC 3461 section 4)."""
    return _XTEXT.sub(lambda code: chr(int(code[1], 16)), text)


def find(line: str) -> Iterator[str]:
    """Yield the addresses in a line, as written, with their domains in lower case."""
    if "@" not in line:
        return
    for match in ADDRESS.finditer(line[:_LINE]):
        address = tidy(match[0])
        if address:
            yield address


def tidy(text: str) -> str | None:
    """Return an address without what surrounds it in a text; None if it is none."""
    text = text.strip(".'`").removeprefix("mailto:")
    local, _at, domain = text.rpartition("@")
    if local[:5].upper() == "IMCEA":
        return _from_exchange(text)
    local = local.lstrip("*'`=").rstrip()
    domain = domain.rstrip(".-_'")
    if not local or not domain or len(local) + len(domain) >= LONGEST:
        return None
    return f"{local}@{domain.lower()}"


def local_part(field: str) -> str:
    """Return what a field names where it is no address: a local part alone; empty if there is none."""
    value = _TYPE.sub("", field[:_LINE], count=1).strip(" <>\"'")
    return value if value and "@" not in value and " " not in value and "/" not in value else ""


def _from_exchange(text: str) -> str | None:
    """Return the address that Exchange wraps for another system; a name in a directory is none.

    IMCEASMTP-user+40example+2Eorg@server stands for user@example.org (Microsoft, "IMCEA encapsulated addresses").
    """
    match = _IMCEA.match(text)
    inner = from_xtext(match[1]) if match else ""
    return None if "IMCEA" in inner.upper() else next(find(inner), None)


def _character(code: re.Match[str]) -> str:
    number = int(code[1], 16)
    return chr(number) if 0x20 <= number < 0xD800 or 0xE000 <= number <= 0x10FFFF else ""
