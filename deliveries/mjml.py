"""MJML: a language for messages that look right in every mail program, made into HTML once per template.

Liquid tags go through it untouched. Between components they are wrapped in `<mj-raw>`, as MJML wants it of what it
does not know. Nothing is included or loaded: no file, no font of a third party.
"""

import re
from collections.abc import Iterator

from django.utils.translation import gettext as _
from mjml import mjml2html

from .aside import Aside
from .bounds import TooMuch
from .pieces import Kind, Piece, read
from .styles import check_depth

LONGEST_RESULT = 300_000  # characters
_BEGINS = re.compile(r"\s*<mjml[\s>]", re.IGNORECASE)
# Components that hold other components, and no text.
_HOLDERS = frozenset(
    [
        "mjml",
        "mj-head",
        "mj-body",
        "mj-wrapper",
        "mj-section",
        "mj-group",
        "mj-column",
        "mj-hero",
        "mj-social",
        "mj-navbar",
        "mj-accordion",
    ]
)  # fmt: skip
_PLACE = re.compile(r"\b(\d+)\.\.\d+")


class NotMjml(ValueError):
    """An MJML template cannot be read; `index` is the character where that shows, -1 for the whole."""

    def __init__(self, problem: str, index: int = -1) -> None:
        super().__init__(problem)
        self.index = index


def is_mjml(source: str) -> bool:
    return bool(_BEGINS.match(source))


def to_html(source: str) -> str:
    """Return the HTML template of an MJML one; raise NotMjml or TooMuch."""
    aside = Aside(source)
    pieces = list(read(aside.text))
    check_depth(pieces, xml=True)
    for piece in pieces:
        if piece.name == "mj-include":
            raise NotMjml(_("<mj-include> is not possible: write what it stands for."), _index(aside, piece.start))
    try:
        html = mjml2html("".join(_protected(aside, pieces)), fonts={})
    except ValueError as error:
        raise NotMjml(_problem(error), _error_index(aside, pieces, error)) from error
    if len(html) > LONGEST_RESULT:
        raise TooMuch(_("It is too long."))
    _check_marks(aside, html)
    return aside.put_back(html.replace('lang="und"', 'lang="{{ profile.language }}"'))


def _protected(aside: Aside, pieces: list[Piece]) -> Iterator[str]:
    """Yield the pieces with the tags between components wrapped."""
    inside = [""]
    for piece in pieces:
        if piece.kind == Kind.TEXT and inside[-1] in _HOLDERS:
            yield aside.word.sub(r"<mj-raw>\g<0></mj-raw>", piece.text)
        else:
            yield piece.text
        if piece.kind == Kind.OPEN and not piece.is_closed:
            inside.append(piece.name)
        elif piece.kind == Kind.CLOSE and inside[-1] == piece.name:
            inside.pop()


def _check_marks(aside: Aside, html: str) -> None:
    """Raise NotMjml where a tag has been lost or moved on the way; MJML writes some attributes twice."""
    tags = [number for number in range(len(aside.marks)) if not aside.is_output(number)]
    found = list(dict.fromkeys(number for number in aside.numbers(html) if not aside.is_output(number)))
    if found == tags:
        return
    wrong = next(number for number, other in zip(tags, [*found, -1], strict=False) if number != other)
    place = aside.text.index(f"{aside.prefix}{wrong}q")
    raise NotMjml(_("MJML has no room for a tag here: put it around a whole component."), _index(aside, place))


def _problem(error: ValueError) -> str:
    return _("MJML cannot read it: %(problem)s") % {"problem": _PLACE.sub("", str(error)).strip(" .:@")[:200]}


def _error_index(aside: Aside, pieces: list[Piece], error: ValueError) -> int:
    """Return the character of the template that the library complains about; -1 where it names none."""
    found = _PLACE.search(str(error))
    if found is None:
        return -1
    left = int(found[1])  # bytes of what the library was given
    for piece, given in zip(pieces, _protected(aside, pieces), strict=True):
        if left < len(given.encode()):
            return _index(aside, piece.start + min(left, len(piece.text) - 1))
        left -= len(given.encode())
    return -1


def _index(aside: Aside, place: int) -> int:
    """Return where in the template a character of the text with its tags set aside stands."""
    return len(aside.put_back(aside.text[:place]))
