"""What an HTML document, or its template, holds: links and pictures with their lines, and the words people read."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass(frozen=True, slots=True)
class Element:
    """A link or a picture: its address (None: it has none), the line where it begins, whether it has an `alt`."""

    address: str | None
    line: int
    has_alt: bool = False


@dataclass(frozen=True, slots=True)
class Markup:
    links: list[Element] = field(default_factory=list)
    pictures: list[Element] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = Markup()

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:  # in a style or a script
            self.found.words.append(data)

    def parse_html_declaration(self, i: int) -> int:
        """Take a declaration that the library does not know for a comment, as browsers do."""
        try:
            return super().parse_html_declaration(i)
        except AssertionError:
            return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values, line = dict(attrs), self.getpos()[0]
        self.found.anchors.update(value for name, value in attrs if name in ("id", "name") and value)
        if tag in ("a", "area") and "href" in values:
            self.found.links.append(Element((values["href"] or "").strip(), line))
        elif tag == "img":
            self.found.pictures.append(Element(values.get("src"), line, "alt" in values))


def read(html: str) -> Markup:
    """Read the tags of a document or of its template. Comments are left out."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found
