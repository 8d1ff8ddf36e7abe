"""What a template may do, and how much of it: the library's own limits, and those that it lacks.

The library bounds nesting, the product of loops in loops, output and variables. It bounds neither filters, nor loops
after loops, nor what stands in a loop, nor the time that all of it takes. So a template is measured before it is read
(`check`), and while it runs every turn of a loop and every filter looks at the clock: that of this thread's own work,
so that a machine that stands still refuses nobody's message.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from liquid import BoundTemplate, Environment, RenderContext, StrictDefaultUndefined, Undefined
from liquid.ast import BlockNode
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import LiquidError, ResourceLimitError
from liquid.filter import string_filter, with_context
from markupsafe import Markup, escape

from . import template_errors

LONGEST_TEMPLATE = 300_000  # characters
LONGEST_TEXT = 20_000  # characters that a filter takes
MOST_MARKS, LONGEST_MARK, MARKS_IN_ALL = 2_000, 2_000, 60_000  # tags and outputs: how many, and their characters
MOST_TURNS = 5_000  # of all loops together
# Of work: what is checked gets less, so that what passes the checks also passes when it is sent.
SECONDS_WHEN_SENT, SECONDS_WHEN_CHECKED = 0.25, 0.12
TAGS = {
    "assign", "break", "capture", "case", "comment", "content", "continue", "cycle", "for", "if", "illegal", "output",
    "unless",
}  # fmt: skip


class TooMuch(ValueError):
    """A template is too long, or does too much; `index` is the character where that shows, -1 for the whole."""

    def __init__(self, problem: str, index: int = -1) -> None:
        super().__init__(problem)
        self.index = index


def check(source: str) -> None:
    """Raise TooMuch for a template that would take long to be read. Takes time in proportion to its length."""
    if len(source) > LONGEST_TEMPLATE:
        raise TooMuch(_("It is too long."))
    number = total = position = 0
    while (start := _next(source, position)) >= 0:
        closing = "}}" if source.startswith("{{", start) else "%}"
        end = source.find(closing, start + 2, start + LONGEST_MARK)
        if end < 0:
            if source.find(closing, start + 2) < 0:
                raise TooMuch(_("“%(mark)s” is missing.") % {"mark": closing}, start)
            raise TooMuch(_("what stands between the braces is too long."), start)
        number, total, position = number + 1, total + end - start, end + 2
        if number > MOST_MARKS or total > MARKS_IN_ALL:
            raise TooMuch(_("It has too many fields and tags."), start)


def _next(source: str, position: int) -> int:
    """Return where the next tag or output begins; -1 when there is none."""
    while (position := source.find("{", position)) >= 0:
        if source.startswith(("{{", "{%"), position):
            return position
        position += 1
    return -1


class _Context(RenderContext):
    """Counts the turns of loops, and looks at the clock from the first of them, or from the first long text.

    The library adds up the sizes of all variables at each assignment; here they are kept.
    """

    __slots__ = ("size", "turns", "until")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.size, self.turns, self.until = 0, 0, 0.0

    def assign(self, key: str, val: Any) -> None:
        self.size += sys.getsizeof(val, 1) - (sys.getsizeof(self.locals[key], 1) if key in self.locals else 0)
        super().assign(key, val)

    def get_size_of_locals(self) -> int:
        return self.size

    def look_at_the_clock(self) -> None:
        now = time.thread_time()
        if not self.until:
            self.until = now + self.env.seconds  # type: ignore[attr-defined]
        elif now > self.until:
            raise ResourceLimitError(template_errors.TOO_MUCH, token=None)

    def turn(self) -> None:
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise ResourceLimitError(template_errors.TOO_MUCH, token=None)
        self.look_at_the_clock()


class _Turn(BlockNode):
    """What stands in a loop."""

    def render_to_output(self, context: Any, buffer: Any) -> int:
        context.turn()
        return super().render_to_output(context, buffer)


class _ForNode(ForNode):
    def __init__(self, token: Any, expression: Any, block: BlockNode, default: BlockNode | None = None) -> None:
        super().__init__(token, expression, _Turn(block.token, block.nodes), default)


class _ForTag(ForTag):
    node_class = _ForNode


class _Template(BoundTemplate):
    context_class = _Context


class _Bounded(Environment):
    template_class = _Template
    block_nesting_limit = 20
    context_depth_limit = 20
    loop_iteration_limit = 1_000
    local_namespace_limit = 50_000
    output_stream_limit = 1_500_000  # bytes


def environment(*, autoescape: bool, strict: bool, checking: bool) -> Environment:
    """Return what reads and renders templates."""
    made = _Bounded(autoescape=autoescape, undefined=StrictDefaultUndefined if strict else Undefined)
    made.seconds = SECONDS_WHEN_CHECKED if checking else SECONDS_WHEN_SENT  # type: ignore[attr-defined]
    made.filters = dict(FILTERS)
    made.tags = {name: tag for name, tag in made.tags.items() if name in TAGS} | {"for": _ForTag(made)}
    return made


def _bounded(change: Callable[[str], str]) -> Callable[..., Any]:
    @with_context
    @string_filter
    def apply(value: str, *, context: _Context) -> str:
        if len(value) > 1_000:  # what is shorter takes less than a look at the clock
            context.look_at_the_clock()
        if len(value) > LONGEST_TEXT:
            raise LiquidError(_("a text is longer than %(limit)s characters") % {"limit": LONGEST_TEXT}, token=None)
        return change(value)

    return apply


def _default(value: Any, other: Any = "") -> Any:
    return other if value is None or isinstance(value, Undefined) or value == "" else value


@string_filter
def _truncate(value: str, length: Any = 50) -> str:
    limit = max(1, min(int(length), LONGEST_TEXT))
    return value if len(value) <= limit else value[: limit - 1] + "…"


FILTERS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "upcase": _bounded(str.upper),
    "downcase": _bounded(str.lower),
    "capitalize": _bounded(str.capitalize),
    "strip": _bounded(str.strip),
    "truncate": _truncate,
    "newline_to_br": _bounded(lambda value: Markup("<br>").join(escape(line) for line in value.splitlines())),
}
