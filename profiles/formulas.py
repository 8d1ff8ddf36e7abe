"""Cells that a spreadsheet would run as a formula: disarmed when a file is written, restored when it is read.

    >>> disarmed("=1+1"), restored("'=1+1")
    ("'=1+1", '=1+1')

Whatever the text, `restored(disarmed(text)) == text`. Source: OWASP, CSV Injection.
"""

import re

_DISARM = re.compile(r"'*[=+\-@\t\r]")
_RESTORE = re.compile(r"'+[=+\-@\t\r]")


def disarmed(text: str) -> str:
    """Return the text with an apostrophe before it if a spreadsheet would take it for a formula."""
    return f"'{text}" if _DISARM.match(text) else text


def restored(text: str) -> str:
    """Return the text without the apostrophe that `disarmed` put before it."""
    return text[1:] if _RESTORE.match(text) else text
