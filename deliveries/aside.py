"""The Liquid tags of a template, set aside while something that knows only HTML works on it, and put back after.

Each tag or output is replaced by a word that no parser changes; `{% comment %}` and all that is in it by one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_MARK = re.compile(r"\{%-?\s*comment\b.*?\{%-?\s*endcomment\s*-?%\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_NAME = re.compile(r"\{%-?\s*(\w+)")
OPENING = frozenset(("if", "unless", "for", "case", "capture"))
BETWEEN = frozenset(("else", "elsif", "when"))


@dataclass(frozen=True)
class Aside:
    """A template whose tags are set aside. The template has been read before: its tags are whole."""

    source: str

    @cached_property
    def marks(self) -> list[str]:
        return [found[0] for found in _MARK.finditer(self.source)]

    @cached_property
    def prefix(self) -> str:
        """Return a beginning of words that the template does not hold."""
        prefix, lower = "lq", self.source.lower()
        while prefix in lower:
            prefix += "z"
        return prefix

    @cached_property
    def word(self) -> re.Pattern[str]:
        """Match the word that stands for a mark; its group is the number of the mark."""
        return re.compile(rf"{self.prefix}(\d+)q")

    @cached_property
    def text(self) -> str:
        numbers = iter(range(len(self.marks)))
        return _MARK.sub(lambda _found: f"{self.prefix}{next(numbers)}q", self.source)

    def numbers(self, text: str) -> list[int]:
        """Return which marks stand in a text, in their order."""
        return [int(number) for number in self.word.findall(text)]

    def is_output(self, number: int) -> bool:
        return self.marks[number].startswith("{{")

    def name(self, number: int) -> str:
        """Return the name of a tag: if, endif; empty for an output."""
        found = _NAME.match(self.marks[number])
        return found[1] if found else ""

    def put_back(self, text: str) -> str:
        """Return a text with its marks as they were, those that stand in comments or in attributes of their own too."""
        word = rf"{self.prefix}(\d+)q"
        return re.sub(rf"<!--{word}-->|{word}(?:=\"\")?", lambda found: self.marks[int(found[1] or found[2])], text)

    def groups(self, places: Iterator[tuple[int, object]]) -> bool:
        """Say whether all the tags that belong together (if, else, endif) stand at the same place."""
        open_at: list[object] = []
        for number, place in places:
            name = self.name(number)
            if name in OPENING:
                open_at.append(place)
                continue
            if name in BETWEEN or name.startswith("end"):
                if not open_at or open_at[-1] != place:
                    return False
                if name not in BETWEEN:
                    open_at.pop()
        return not open_at
