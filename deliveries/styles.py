"""Style sheets written into the elements they are about, for mail programs that read no other.

It is done once per template, with its Liquid tags set aside, where that gives what rendering first would give. Where
the styles depend on what is rendered (a tag in a style sheet or in a class, a selector that counts rows), it is done
to each message instead: `Inlined.late`. A template without a style sheet stays byte for byte as it is. Nothing is
ever loaded, from the network or from a file.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import unescape

from css_inline import CSSInliner
from django.utils.translation import gettext as _

from .aside import Aside
from .bounds import TooMuch
from .pieces import VOID, Kind, Piece, read

DEEPEST = 256  # elements in elements
_SHEET = re.compile(r"<style[\s>]", re.IGNORECASE)
_INLINER = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False, keep_link_tags=True)
_FRAGMENT = re.compile(r"<html><head>(.*?)</head><body>(.*)</body></html>", re.DOTALL)
_WHOLE = re.compile(r"<(!doctype|html|head|body)\b", re.IGNORECASE)
# Selectors that ask which elements stand beside an element: what a loop or a condition brings counts.
_COUNTING = re.compile(r"[+~]|:(?:nth|first|last|only|empty|not|has|is|where)", re.IGNORECASE)
_BREAKS = re.compile(r"(?:^|[\s,}>])(?:br\b|\*)", re.IGNORECASE)
# Attributes on which styles do not depend, unless a selector asks for attributes.
_DECIDING = frozenset(("class", "id", "style"))
_IN_TABLES = frozenset(("table", "thead", "tbody", "tfoot", "tr", "colgroup"))
# Elements that a parser adds, or that are gone afterwards.
_IMPLIED = frozenset(("html", "head", "body", "tbody", "colgroup", "style"))
_OPTIONAL_END = frozenset(["p", "li", "td", "th", "tr", "dt", "dd", "option", "thead", "tbody", "tfoot"])


@dataclass(frozen=True, slots=True)
class Inlined:
    """A template with its styles in its elements; `late`: to be done to what is rendered."""

    template: str
    late: bool = False


def inline(source: str) -> Inlined:
    """Write the styles of a template into its elements; raise ValueError where a style sheet cannot be read."""
    if not _SHEET.search(source):
        return Inlined(source)
    aside = Aside(source)
    pieces = list(read(aside.text))
    check_depth(pieces)
    if _depends(aside, pieces):
        return Inlined(source, late=True)
    protected = _with_rows("".join(_protected(aside, piece) for piece in pieces), aside)
    try:
        made = _unwrapped(_INLINER.inline(protected), source)
    except ValueError:  # a word in the place of a value that cannot be one
        return Inlined(source, late=True)
    after = list(read(made))
    if _flow(aside, after) != _flow(aside, pieces) or not _nests(aside, after):
        return Inlined(source, late=True)
    return Inlined(aside.put_back(made))


def inline_rendered(html: str) -> str:
    """Write the styles of a message into its elements; raise ValueError where a style sheet cannot be read."""
    check_depth(read(html))
    return _unwrapped(_INLINER.inline(html), html)


def check_depth(pieces: Iterable[Piece], *, xml: bool = False) -> None:
    """Raise TooMuch for elements so deep in elements that the libraries, which call themselves, would crash.

    In HTML some elements end when the next one begins, but not in a drawing, and a slash before the `>` says nothing.
    """
    open_now: dict[str, int] = {}
    depth, every = 0, xml
    for piece in pieces:
        name = piece.name
        every = every or name in ("svg", "math")
        if piece.kind == Kind.CLOSE and open_now.get(name):
            open_now[name] -= 1
            depth -= 1
        elif (
            piece.kind == Kind.OPEN
            and not (name in VOID or (xml and piece.is_closed))
            and (every or name not in _OPTIONAL_END)
        ):
            open_now[name] = open_now.get(name, 0) + 1
            depth += 1
        if depth > DEEPEST:
            raise TooMuch(_("Its elements are too deep in one another."))


def _depends(aside: Aside, pieces: list[Piece]) -> bool:
    """Say whether the styles of an element may depend on what is rendered."""
    sheets = "".join(piece.text for piece in pieces if piece.kind == Kind.RAW and piece.name == "style")
    marks = "".join(aside.marks)
    if aside.numbers(sheets) or any(_brings_elements(aside, number) for number in range(len(aside.marks))):
        return True
    if aside.marks and _COUNTING.search(re.sub(r"\{[^{}]*\}", "{}", sheets)):
        return True
    if "newline_to_br" in marks and _BREAKS.search(sheets):
        return True
    in_tags = [piece for piece in pieces if piece.kind in (Kind.OPEN, Kind.CLOSE) and aside.numbers(piece.text)]
    return bool(in_tags) and ("[" in sheets or not all(_is_inert(aside, piece) for piece in in_tags))


def _brings_elements(aside: Aside, number: int) -> bool:
    """Say whether a mark may bring elements from elsewhere: what is captured, or written in a text of its own."""
    name, mark = aside.name(number), aside.marks[number]
    return name == "capture" or (name != "comment" and "<" in mark.replace(" < ", "").replace("<=", ""))


def _is_inert(aside: Aside, piece: Piece) -> bool:
    """Say whether the marks in a tag stand in quoted values that no style depends on."""
    inert = [value for name, value, quoted in piece.attributes() if quoted and name not in _DECIDING]
    return aside.numbers(piece.text) == aside.numbers(" ".join(inert))


def _protected(aside: Aside, piece: Piece) -> str:
    """Return a piece whose marks survive a parser of HTML: in text they are comments, which stay where they are."""
    return aside.word.sub(r"<!--\g<0>-->", piece.text) if piece.kind == Kind.TEXT else piece.text


def _with_rows(html: str, aside: Aside) -> str:
    """Open the body of a table before a tag that comes before its first row, as the parser does after the tag."""
    mark = rf"<!--{aside.prefix}\d+q-->"
    return re.sub(rf"(<table(?:\s[^>]*)?>)(\s*)(?={mark}\s*(?:{mark}\s*)*<tr[\s>])", r"\1\2<tbody>", html)


def _unwrapped(made: str, source: str) -> str:
    """Take away the document that the parser puts around a piece of one."""
    found = None if _WHOLE.search(source) else _FRAGMENT.fullmatch(made)
    return found[1] + found[2] if found else made


def _flow(aside: Aside, pieces: list[Piece]) -> list[str]:
    """Return what stands in a document in its order: words, marks and elements, without blanks."""
    flow: list[str] = []
    for piece in pieces:
        if piece.kind == Kind.OPEN and piece.name not in _IMPLIED:
            flow += [f"<{piece.name}>", *map(str, aside.numbers(piece.text))]
        elif piece.kind == Kind.TEXT or (piece.kind == Kind.RAW and piece.name != "style"):
            parts = aside.word.split(piece.text)
            flow += ["".join(unescape(part).split()) if odd % 2 == 0 else part for odd, part in enumerate(parts)]
        elif piece.kind == Kind.COMMENT:
            flow += map(str, aside.numbers(piece.text))
    return [part for part in flow if part]


def _nests(aside: Aside, pieces: list[Piece]) -> bool:
    """Say whether tags that belong together stand in the same element, and no output where a table holds only rows."""
    places = list(_places(aside, pieces))
    if any(name in _IN_TABLES and aside.is_output(number) for number, name, _place in places):
        return False
    return aside.groups((number, place) for number, _name, place in places)


def _places(aside: Aside, pieces: list[Piece]) -> Iterator[tuple[int, str, object]]:
    """Yield each mark with the element it stands in: its name, and what tells it from the others."""
    inside: list[tuple[str, int]] = [("", -1)]
    for position, piece in enumerate(pieces):
        if piece.kind == Kind.CLOSE and len(inside) > 1 and inside[-1][0] == piece.name:
            inside.pop()
        alone = piece.kind == Kind.TEXT or re.fullmatch(rf"<!--{aside.word.pattern}-->", piece.text)
        for number in aside.numbers(piece.text):
            yield (number, *inside[-1]) if alone else (number, "", (position,))
        if piece.kind == Kind.OPEN and not piece.is_closed:
            inside.append((piece.name, position))
