"""HTML as a sequence of pieces, in one pass whatever it holds: tags, texts, comments, and what is no markup.

The parser of the standard library is slow on some broken documents; this one never looks at a character often.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
# Elements that nothing closes but their own end tag, and that hold no markup.
RAW = frozenset(("style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes"))
_NAME = re.compile(r"/?([a-zA-Z][^\s/>]*)")
_STOP = re.compile(r"[\"'>]")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'<>]+))?""")


class Kind(StrEnum):
    TEXT = "text"
    OPEN = "open"
    CLOSE = "close"
    COMMENT = "comment"
    RAW = "raw"  # what stands in a style, a title and the like; `name` says in which


@dataclass(frozen=True, slots=True)
class Piece:
    kind: Kind
    text: str  # as it stands in the source
    name: str = ""
    start: int = 0

    def attributes(self) -> Iterator[tuple[str, str, bool]]:
        """Yield the attributes of a tag: name, value as written, whether it stands in quotation marks."""
        for found in _ATTRIBUTE.finditer(self.text, 1 + len(self.name), len(self.text) - 1):
            value = found[2] or ""
            quoted = value[:1] in ("'", '"')
            yield found[1].lower(), value[1:-1] if quoted else value, quoted

    @property
    def is_closed(self) -> bool:
        """Say whether nothing can stand in an element: `<br>`, `<mj-image />`."""
        return self.name in VOID or self.text.endswith("/>")


def read(html: str) -> Iterator[Piece]:
    """Yield the pieces of a document, or of its template; together they are all of it."""
    position, text_from, unclosed = 0, 0, set[str]()
    while (start := html.find("<", position)) >= 0:
        kind, name, end = _markup(html, start, unclosed)
        if kind is None:
            position = start + 1
            continue
        if start > text_from:
            yield Piece(Kind.TEXT, html[text_from:start], start=text_from)
        yield Piece(kind, html[start:end], name, start)
        if kind == Kind.OPEN and name in RAW and html[end - 2] != "/":
            closing = re.compile(rf"</{name}(?![^\s/>])", re.IGNORECASE).search(html, end)
            raw_end = closing.start() if closing else len(html)
            if raw_end > end:
                yield Piece(Kind.RAW, html[end:raw_end], name, end)
            end = raw_end
        position = text_from = end
    if text_from < len(html):
        yield Piece(Kind.TEXT, html[text_from:], start=text_from)


def _markup(html: str, start: int, unclosed: set[str]) -> tuple[Kind | None, str, int]:
    """Return what begins at a `<`: its kind (None: nothing), its name and where it ends."""
    if html.startswith("<!--", start):
        end = html.find("-->", start + 4)
        return Kind.COMMENT, "", len(html) if end < 0 else end + 3
    if html.startswith(("<!", "<?"), start):
        end = html.find(">", start)
        return Kind.COMMENT, "", len(html) if end < 0 else end + 1
    name = _NAME.match(html, start + 1)
    if name is None:
        return None, "", 0
    end = _end_of_tag(html, name.end(), unclosed)
    return Kind.CLOSE if html[start + 1] == "/" else Kind.OPEN, name[1].lower(), end


def _end_of_tag(html: str, position: int, unclosed: set[str]) -> int:
    """Return where a tag ends, beyond the `>` that stands in no quotation marks.

    `unclosed` remembers the marks of which no other follows, so that none is looked for twice.
    """
    while stop := _STOP.search(html, position):
        position = stop.end()
        if stop[0] == ">":
            return position
        if stop[0] not in unclosed:
            closing = html.find(stop[0], position)
            if closing < 0:
                unclosed.add(stop[0])
            else:
                position = closing + 1
    return len(html)
