"""Countries and their names, for choices on a screen.

The names are those of the Unicode CLDR (Unicode License v3), in each language that Campaign speaks; the codes are
those of ISO 3166-1 alpha-2 for which phone numbers can be read, and XK for Kosovo.
"""

import json
from functools import cache
from pathlib import Path

from .addresses import search_text
from .texts import pick

_FILE = Path(__file__).with_name("countries.json")


@cache
def names() -> dict[str, dict[str, str]]:
    """Return code → {language: name}."""
    found: dict[str, dict[str, str]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def choices() -> list[tuple[str, str]]:
    """Return (code, name) in the active language, in the order of its names, accents apart."""
    named = [(code, pick(texts)) for code, texts in names().items()]
    return sorted(named, key=lambda pair: search_text(pair[1]))
