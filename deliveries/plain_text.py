"""The text part of a message, written from its HTML template where nobody has written one.

It is a template too: the Liquid tags stay where they are, so that it speaks to each person as the HTML does. They
take no room of their own, which is why a line break that comes before one is written before it.
"""

import re
from html import unescape

from .aside import OPENING, Aside
from .pieces import Kind, Piece, read

_UNSEEN = frozenset(
    [
        "head",
        "style",
        "script",
        "title",
        "template",
        "select",
        "noscript",
        "xmp",
        "iframe",
        "noembed",
        "noframes",
        "textarea",
    ]
)  # fmt: skip
_HIDDEN = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)
_PARAGRAPHS = frozenset(
    [
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "dl",
        "table",
        "blockquote",
        "pre",
        "form",
        "figure",
        "header",
        "footer",
        "section",
    ]
)  # fmt: skip
_LINES = frozenset(
    [
        "div",
        "li",
        "tr",
        "dt",
        "dd",
        "address",
        "article",
        "main",
        "nav",
        "aside",
        "center",
        "figcaption",
        "caption",
        "body",
    ]
)  # fmt: skip
_UNDERLINES = {"h1": "=", "h2": "-"}
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_SOFT = str.maketrans("", "", "\u00ad\u200b\ufeff")
# Around the address of a link, until it is known whether anything follows it on its line.
_LINK_BEGINS, _LINK_ENDS = "\x01", "\x02"
_LINK = re.compile(f"{_LINK_BEGINS}([^{_LINK_BEGINS}{_LINK_ENDS}]*){_LINK_ENDS}")
# French sets a colon apart, with a blank at which no line breaks.
_COLONS = {"fr": "\u00a0: "}
_BREAKS = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")


def derive(html: str, language: str = "en") -> str:
    """Return the text template of an HTML template. It may be unreadable where tags cross elements oddly."""
    aside = Aside(html)
    writer = _Writer(aside, colon=_COLONS.get(language, ": "))
    for piece in read(aside.text):
        writer.take(piece)
    return aside.word.sub(lambda found: _in_text(aside, int(found[1])), writer.result())


def tidy(text: str) -> str:
    """Return a rendered text without the empty lines and the blanks that tags without effect left behind."""
    return _BREAKS.sub("\n\n", text).strip() + "\n"


def _in_text(aside: Aside, number: int) -> str:
    """Return a mark as it is written in a text: line breaks stay line breaks, and nothing is an entity."""
    mark = aside.marks[number]
    if aside.name(number) == "comment":
        return ""
    return unescape(re.sub(r"\|\s*newline_to_br\b\s*", "", mark))


class _Writer:
    """Writes lines. `breaks` line breaks are due before what comes next, of which `done` are written already."""

    def __init__(self, aside: Aside, *, colon: str) -> None:
        self.aside, self.colon = aside, colon
        self.written: list[str] = []
        self.breaks, self.done, self.blank = 0, 2, True
        self.unseen: list[str] = []  # the elements that are not shown, and those of the same name in them
        self.lists: list[int] = []  # the number of the next item; 0 in a list without numbers
        self.link: tuple[str, int] | None = None
        self.heading = 0

    def take(self, piece: Piece) -> None:
        if self.unseen:
            if piece.name == self.unseen[0] and piece.kind in (Kind.OPEN, Kind.CLOSE):
                self.unseen = self.unseen[:-1] if piece.kind == Kind.CLOSE else [*self.unseen, piece.name]
            self._tags_only(piece.text if piece.kind not in (Kind.OPEN, Kind.CLOSE) else "")
        elif piece.kind == Kind.TEXT:
            self._words(piece.text)
        elif piece.kind == Kind.OPEN:
            self._opens(piece)
        elif piece.kind == Kind.CLOSE:
            self._closes(piece.name)
        else:
            self._tags_only(piece.text)

    def result(self) -> str:
        # A link at the end of its line stands after a colon, another one in brackets.
        text = "".join(self.written)
        tags = rf"(?:{self.aside.word.pattern})"
        closing = re.compile(rf"[:\s]*{_LINK.pattern}(?=(?:{tags})*[ \t]*(?:\n|$))")
        text = closing.sub(lambda found: f"{self.colon}{found[1]}", text)
        text = _LINK.sub(lambda found: f" ({found[1]})", text)
        return text.strip() + "\n" if text.strip() else ""

    def _opens(self, piece: Piece) -> None:
        name, values = piece.name, {name: value for name, value, _quoted in piece.attributes()}
        hidden = "hidden" in values or _HIDDEN.search(unescape(values.get("style", "")))
        if (name in _UNSEEN or hidden) and not piece.is_closed:
            self.unseen = [name]
        elif name == "br":
            self._write("\n", breaks=True)
        elif name == "hr":
            self._break(2)
            self._write("-" * 40)
            self._break(2)
        elif name == "img":
            self._words(values.get("alt", ""))
        elif name == "a":
            self.link = (unescape(values.get("href", "")).strip(), len(self.written))
        elif name in ("td", "th"):
            self._words(" ")
        elif name in ("ul", "ol"):
            self._break(1 if self.lists else 2)
            self.lists.append(int(name == "ol"))
        else:
            self._break(2 if name in _PARAGRAPHS else 1 if name in _LINES else 0)
            if name == "li":
                self._item()
            self.heading = len(self.written) if name in _UNDERLINES else self.heading

    def _closes(self, name: str) -> None:
        if name == "a" and self.link:
            self._end_link(*self.link)
            self.link = None
        elif name in _UNDERLINES:
            words = self.aside.word.sub("x" * 10, "".join(self.written[self.heading :])).strip("\n")
            if words.strip():
                self._write("\n" + _UNDERLINES[name] * min(60, len(words.strip())))
        elif name in ("ul", "ol") and self.lists:
            self.lists.pop()
            self._break(1 if self.lists else 2)
            return
        self._break(2 if name in _PARAGRAPHS else 1 if name in _LINES else 0)

    def _item(self) -> None:
        number = self.lists[-1] if self.lists else 0
        sign = f"{number}. " if number else "- "
        if number:
            self.lists[-1] += 1
        self._write("  " * (len(self.lists) - 1) + sign)
        self.blank = True

    def _end_link(self, address: str, since: int) -> None:
        shown = "".join(self.written[since:]).strip()
        plain = re.sub(r"^(?:mailto|tel|sms):", "", address, flags=re.IGNORECASE)
        if not address or address.startswith("#") or address.lower().startswith("javascript:"):
            return
        if not shown:
            self._words(address)
        elif shown not in (address, plain):
            self._write(f"{_LINK_BEGINS}{address}{_LINK_ENDS}")

    def _words(self, text: str) -> None:
        """Write words with single blanks between them; a tag takes no room."""
        text = _BLANKS.sub(" ", unescape(text)).translate(_SOFT).replace(_LINK_BEGINS, "").replace(_LINK_ENDS, "")
        parts = self.aside.word.split(text.replace("{{", "{ {").replace("{%", "{ %"))
        for position, part in enumerate(parts):
            if position % 2:
                self._mark(int(part))
                continue
            words = part.lstrip(" ") if self.blank or self._due() else part
            if words:
                self._write(words)
                self.blank = words.endswith(" ")

    def _mark(self, number: int) -> None:
        word = f"{self.aside.prefix}{number}q"
        if self.aside.is_output(number):
            self._write(word)
            self.blank = False
        else:
            # What opens belongs to what follows, what closes to what comes before: each after the breaks that are due.
            if self.aside.name(number) in OPENING or self._due():
                self._flush()
            self.written.append(word)

    def _tags_only(self, text: str) -> None:
        """Keep the tags of what is not shown, so that each keeps its end; what stands between them is left out."""
        for number in self.aside.numbers(text):
            if not self.aside.is_output(number):
                self.written.append(f"{self.aside.prefix}{number}q")

    def _break(self, lines: int) -> None:
        self.breaks = max(self.breaks, lines)

    def _due(self) -> int:
        return max(0, self.breaks - self.done)

    def _flush(self) -> None:
        due = self._due()
        if due:
            self.written.append("\n" * due)
            self.done, self.blank = self.done + due, True
        self.breaks = 0

    def _write(self, text: str, *, breaks: bool = False) -> None:
        self._flush()
        self.written.append(text)
        if breaks:
            self.done, self.blank = min(2, self.done + 1), True
        else:
            self.done, self.blank = 0, False
