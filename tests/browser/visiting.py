"""A visitor of the public pages, in a real browser, who notes all that no page may do; and the mail they get.

    visit.to("/p/letter/")                     open an address
    visit.write("Email address", "a@b.org")    fill in a field, named by its English words
    visit.press("Subscribe")                   press a button
    visit.reads("Confirmed.")                  wait until the page says so

Words are given in English and looked for in the language of the visitor. One who uses the keyboard only gets to
everything by Tab, and finds a visible frame around what has the focus.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext, override

from deliveries import confirmations
from landing.tasks import handle_requests
from tests.sink import Caught, Sink

BANNED = re.compile(r"black\W?list|deny\W?list|quarantin", re.IGNORECASE)
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
URL = re.compile(r"https?://[^\s<>\"')]+")
FOCUS = """() => { const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2; }"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass(frozen=True)
class Kind:
    """One kind of visitor."""

    language: str = "en"
    phone: bool = False
    scripts: bool = True
    keyboard: bool = False

    def __str__(self) -> str:
        parts = [self.language, "phone" if self.phone else "desktop"]
        return "-".join([*parts, *["no scripts"] * (not self.scripts), *["keyboard"] * self.keyboard])


# Every two of their properties meet in one of them.
KINDS = [
    Kind("en", phone=False, scripts=True),
    Kind("fr", phone=True, scripts=False),
    Kind("en", phone=True, scripts=False, keyboard=True),
    Kind("fr", phone=False, scripts=True, keyboard=True),
]


@dataclass
class Visit:
    """A visitor with a browser of their own."""

    context: Any
    kind: Kind
    root: str
    sink: Sink
    foreign: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    actions: int = 0

    def __post_init__(self) -> None:
        self.context.on("request", self._note_request)
        self.page = self.context.new_page()
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    # -- what a visitor does -------------------------------------------------------------------------------------------

    def to(self, url: str) -> None:
        self.actions += 1
        self.page.goto(url)
        self.look_around()

    def press(self, name: str, **names: str) -> None:
        self.actions += 1
        with self.page.expect_navigation():
            self._use(self.page.get_by_role("button", name=self.words(name, **names), exact=True))
        self.look_around()

    def follow(self, name: str) -> None:
        self.actions += 1
        with self.page.expect_navigation():
            self._use(self.page.get_by_role("link", name=self.words(name), exact=True))
        self.look_around()

    def unfold(self, name: str) -> None:
        self.actions += 1
        summary = self.page.locator("summary", has_text=self.words(name))
        self._use(summary)
        assert summary.evaluate("element => element.parentElement.open")

    def write(self, label: str, text: str) -> None:
        box = self.page.get_by_label(self.words(label), exact=True)
        if self.kind.keyboard:
            self._reach(box)
            self.page.keyboard.press("Control+a")
            self.page.keyboard.type(text)
        else:
            box.fill(text)

    def tick(self, label: str, **names: str) -> None:
        self._box(label, **names, ticked=True)

    def untick(self, label: str, **names: str) -> None:
        self._box(label, **names, ticked=False)

    def address(self, name: str) -> str:
        """Return an address that no visitor of another language has."""
        return f"{name}.{self.kind.language}@example.org"

    # -- what a visitor finds ------------------------------------------------------------------------------------------

    def words(self, english: str, **names: str) -> str:
        """Return some words in the language of the visitor."""
        with override(self.kind.language):
            return gettext(english) % names

    def reads(self, english: str, **names: str) -> None:
        self.page.get_by_text(self.words(english, **names)).first.wait_for()

    def is_ticked(self, label: str) -> bool:
        return bool(self._checkbox(label).is_checked())

    def has(self, role: str, name: str) -> bool:
        return bool(self.page.get_by_role(role, name=self.words(name), exact=True).count())

    def texts(self) -> Iterator[str]:
        """Yield what can be read or heard of the page, line by line: also names of pictures and of groups.

        But for the countries of a list, whose names may be alike.
        """
        yield self.page.title()
        chosen = self.page.eval_on_selector_all("option[value]:not([value=''])", "all => all.map(one => one.text)")
        lines = {line.strip() for line in self.page.locator("body").inner_text().split("\n")}
        yield from lines - {"", *chosen}
        yield from self.page.evaluate(
            """() => [...document.querySelectorAll('[alt],[title],[aria-label],[placeholder]')].flatMap(
                element => ['alt', 'title', 'aria-label', 'placeholder'].map(name => element.getAttribute(name)))
                .filter(Boolean)"""
        )

    # -- the mail ------------------------------------------------------------------------------------------------------

    def mail(self) -> EmailMessage:
        """Have the worker do what is to do, and return the one message that has come by it."""
        before = len(self.sink.caught)
        handle_requests()
        confirmations.drain()
        caught = self.sink.caught[before:]
        assert len(caught) == 1, [one.message["Subject"] for one in caught]
        assert not BANNED.search(everything_of(caught[0]))
        return caught[0].message

    def no_mail(self) -> None:
        before = len(self.sink.caught)
        handle_requests()
        confirmations.drain()
        assert self.sink.caught[before:] == []

    # -- what no page may do -------------------------------------------------------------------------------------------

    def look_around(self) -> None:
        """Check what holds for every page."""
        assert self.page.evaluate(OVERFLOW) <= 0, f"{self.page.url} is wider than the screen"
        assert not BANNED.search(self.page.url)
        assert not BANNED.search(self.page.content())
        assert "?" not in self.page.url or re.search(r"\?lang=(en|fr)$", self.page.url), self.page.url

    def leave(self) -> None:
        """Check what holds for the whole visit: no cookie, nothing asked of others, nothing to complain about."""
        kept = self.context.cookies()
        stored = self.context.storage_state()["origins"]
        self.context.close()
        assert (kept, stored, self.foreign, self.complaints) == ([], [], set(), [])

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self.root + "/", "data:")):
            self.foreign.add(request.url)

    def _note_console(self, message: Any) -> None:
        # Chromium notes the status of a page that says "not found" or "closed", which is what it should be.
        is_page = message.location.get("url") == self.page.url
        if not (
            is_page and message.text.startswith("Failed to load resource: the server responded with a status of 4")
        ):
            self.complaints.append(message.text)

    # -- fingers -------------------------------------------------------------------------------------------------------

    def _checkbox(self, label: str, **names: str) -> Any:
        """Return a box by how its label begins: a line or two of explanation may follow."""
        return self.page.get_by_role("checkbox", name=re.compile("^" + re.escape(self.words(label, **names))))

    def _box(self, label: str, *, ticked: bool, **names: str) -> None:
        box = self._checkbox(label, **names)
        assert box.is_checked() is not ticked
        if self.kind.keyboard:
            self._reach(box)
            self.page.keyboard.press("Space")
        else:
            box.locator("xpath=ancestor::label").click()
        assert box.is_checked() is ticked

    def _use(self, element: Any) -> None:
        if self.kind.keyboard:
            self._reach(element)
            self.page.keyboard.press("Enter")
        else:
            element.click()

    def _reach(self, element: Any) -> None:
        """Get to an element by the Tab key, as often as it takes."""
        element.wait_for()
        for _press in range(60):
            if element.evaluate("element => element === document.activeElement"):
                assert self.page.evaluate(FOCUS), "nothing shows what has the focus"
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not lead to {element}")


def texts_of(message: EmailMessage) -> tuple[str, str]:
    """Return the plain text and the document of a message."""
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def everything_of(caught: Caught) -> str:
    """Return all that can be read of a message."""
    headers = [f"{name}: {value}" for name, value in caught.message.items()]
    return "\n".join([*headers, *texts_of(caught.message)])


def link_in(message: EmailMessage, under: str) -> str:
    """Return the link of a message to a page under /c/, /m/ or /o/: the same in its text and in its document."""
    found = [
        {url for url in URL.findall(text) if urlsplit(url).path.startswith(f"/{under}/")} for text in texts_of(message)
    ]
    assert found[0] == found[1]
    (url,) = found[0]
    return url
