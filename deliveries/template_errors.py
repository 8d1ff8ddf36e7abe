"""What the template library complains about, in plain words and with the line where it went wrong."""

import re
from collections.abc import Callable

from django.utils.translation import gettext as _
from liquid.exceptions import LiquidError, ResourceLimitError, UndefinedError

_MARKS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_TAG = re.compile(r"\{%-?\s*(\w+)")
_OPENING = {"if", "unless", "for", "case", "capture", "comment"}
_NEVER_CLOSED = "expected tag "
TOO_MUCH = "too much"


def problem(error: Exception) -> str:
    """Say what is wrong; what is not in this list stays as the library says it."""
    message = str(error.message) if isinstance(error, LiquidError) else str(error)
    if isinstance(error, UndefinedError):
        return _("the field “%(name)s” does not exist.") % {"name": message.removesuffix(" is undefined")}
    if isinstance(error, ResourceLimitError):
        return _("It does more than one message needs.")
    if found := re.match(r"expected tag '?(\w+)", message):
        return _("“%(tag)s” is missing: it closes what begins here.") % {"tag": f"{{% {found[1]} %}}"}
    if found := re.match(r"unexpected tag '(\w+)'", message):
        return _("“%(tag)s” is not known, or closes nothing.") % {"tag": f"{{% {found[1]} %}}"}
    if found := re.match(r"expected '([}%]+)'", message):
        return _("“%(mark)s” is missing.") % {"mark": found[1]}
    if found := re.match(r"unknown filter '(\w+)'", message):
        return _("the filter “%(name)s” does not exist.") % {"name": found[1]}
    if message.startswith(("expected", "unexpected", "missing expression")):
        return _("what stands between the braces cannot be read.")
    return message


def line(source: str, error: Exception, *, parse: Callable[[str], object]) -> int | None:
    """Return the line (from 1) of an error; None where it has none.

    The library says nothing about the place of some mistakes: they are looked for by parsing shorter pieces.
    """
    if not isinstance(error, LiquidError):
        return None
    index = getattr(error.token, "start_index", -1)
    if index < 0:
        never_closed = str(error.message).startswith(_NEVER_CLOSED)
        index = _last_open(source) if never_closed else _first_unreadable(source, parse)
    return at(source, index) if index >= 0 else None


def at(source: str, index: int) -> int:
    """Return the line (from 1) of a character."""
    return source.count("\n", 0, index) + 1


def _last_open(source: str) -> int:
    """Return where the innermost tag that is never closed begins."""
    open_tags: list[int] = []
    for tag in _TAG.finditer(source):
        if tag[1] in _OPENING:
            open_tags.append(tag.start())
        elif tag[1].startswith("end") and open_tags:
            open_tags.pop()
    return open_tags[-1] if open_tags else -1


def _first_unreadable(source: str, parse: Callable[[str], object]) -> int:
    """Return where the first mark begins that cannot be read; -1 if all can."""
    marks = list(_MARKS.finditer(source))
    low, high = 0, len(marks)
    while low < high:
        middle = (low + high) // 2
        if _is_readable(source[: marks[middle].end()], parse):
            low = middle + 1
        else:
            high = middle
    return marks[low].start() if low < len(marks) else -1


def _is_readable(source: str, parse: Callable[[str], object]) -> bool:
    try:
        parse(source)
    except LiquidError as error:
        return str(error.message).startswith(_NEVER_CLOSED)
    return True
