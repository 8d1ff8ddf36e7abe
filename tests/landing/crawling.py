"""A scanner of links: reads what a message or a page holds, and opens all of it, as the filters of mail servers do."""

import pickle
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urlencode, urljoin, urlsplit

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import Client

from landing import counting
from tests.landing.visitors import tables, visitor

CACHE_TABLE = "campaign_cache"
LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src", "source": "src", "area": "href"}
URL = re.compile(r"https?://[^\s<>\"'\\]+")
TOKEN = re.compile(r"[A-Za-z0-9_-]{30,}")
COLOUR = re.compile(r"(?<=/accent/).*(?=\.css)")
# Of what is met on pages only: of one shape, so many are opened. What stands in messages is opened whole.
OF_A_SHAPE = 10


class Reader(HTMLParser):
    """Collects where a document leads: its links, and each of its forms as if it were sent by GET."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._action: str | None = None
        self._fields: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in LINKS and values.get(LINKS[tag]):
            self.found.append(values[LINKS[tag]])
        if tag == "form":
            self._action, self._fields = values.get("action", ""), []
        if tag in ("input", "button", "select", "textarea") and values.get("name"):
            self._fields.append((values["name"], values.get("value") or "1"))

    def handle_endtag(self, tag: str) -> None:
        if tag != "form" or self._action is None:
            return
        path, _question, query = self._action.partition("?")
        self.found.append(self._action)
        for fields in ([], self._fields, *([field] for field in self._fields)):
            self.found.append(f"{path}?{urlencode([*parse_qsl(query), *fields])}")
        self._action = None


def in_page(html: str) -> list[str]:
    """Return where a page leads, with every web address in it, wherever it stands."""
    reader = Reader()
    reader.feed(html)
    return reader.found + URL.findall(html.replace("&amp;", "&"))


def in_message(message: EmailMessage) -> set[str]:
    """Return every web address of a message: of its headers, its text and its document."""
    found = {url for value in message.values() for url in URL.findall(str(value))}
    for part in message.walk():
        if part.get_content_maintype() == "text":
            content = part.get_content()
            found |= set(in_page(content) if part.get_content_subtype() == "html" else URL.findall(content))
    return {url for url in found if url.startswith("http")}


def path_of(url: str) -> str:
    """Return the path of an address without its tokens, numbers and colours: what it is, and not for whom."""
    return re.sub(r"\d+", "#", COLOUR.sub("<colour>", TOKEN.sub("<token>", urlsplit(url).path)))


def shape(url: str) -> str:
    """Return the path of an address and the names of what it asks."""
    asked = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    return f"{path_of(url)}?{'&'.join(sorted(name for name, _value in asked))}"


class Scanner:
    """Opens addresses of one host by GET, HEAD and OPTIONS, then those on the pages reached, until none is new."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.opened_whole: set[str] = set()
        self.foreign: set[str] = set()
        self.paths: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self.scripts = 0
        self._shapes: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._turn = 0
        self._clients = [visitor("en"), visitor("fr")]

    def scan(self, urls: Iterable[str]) -> None:
        waiting = list(dict.fromkeys(self._ours(self.root, urls)))
        self.opened_whole = {self.root + url for url in waiting}
        self._seen.update(waiting)
        while waiting:
            url = waiting.pop()
            self.paths.add(path_of(url))
            for link in self._links(url):
                if link not in self._seen and self._shapes[shape(link)] < OF_A_SHAPE:
                    self._shapes[shape(link)] += 1
                    self._seen.add(link)
                    waiting.append(link)

    def _links(self, url: str) -> list[str]:
        """Open an address by GET, and by HEAD or OPTIONS in turn; return the addresses of our host that it leads to."""
        self._turn += 1
        client = self._clients[self._turn // 2 % 2]
        response, content = self._open(client, "get", url)
        # The files of the web server know GET and HEAD only.
        self._open(client, "head" if self._turn % 2 or url.startswith(settings.STATIC_URL) else "options", url)
        links = [response.headers["Location"]] if "Location" in response.headers else []
        if response.headers.get("Content-Type", "").startswith("text/html"):
            html = content.decode()
            self.scripts += html.lower().count("<script")
            links += in_page(html)
        return list(self._ours(self.root + url, links))

    def _open(self, client: Client, method: str, url: str) -> Any:
        response = getattr(client, method)(url)
        content = b"".join(response.streaming_content) if response.streaming else response.content
        self.statuses[response.status_code] += 1
        assert not response.cookies
        return response, content

    def _ours(self, base: str, urls: Iterable[str]) -> Iterator[str]:
        for url in urls:
            whole = urldefrag(urljoin(base, url)).url
            if whole.startswith(self.root + "/"):
                yield whole.removeprefix(self.root)
            elif whole.startswith("http"):
                self.foreign.add(whole)


def in_cache() -> dict[str, Any]:
    """Return all that the shared cache holds; on Valkey, all that the broker holds too."""
    if settings.TEST_ENGINE == "postgres":
        client = cache._cache.get_client()  # the one of redis-py
        return {key.decode(): client.dump(key) for key in client.scan_iter()}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT cache_key, value FROM {CACHE_TABLE}")
        return {key: pickle.loads(b64decode(value)) for key, value in cursor.fetchall()}


def state() -> tuple[dict[str, str], dict[str, Any]]:
    """Return a digest of every table and all of the cache, but for the counts of what is looked at."""
    stored = {name: digest for name, digest in tables().items() if name != CACHE_TABLE}
    return stored, {key: value for key, value in in_cache().items() if counting.PREFIX not in key}


def counts() -> dict[str, Any]:
    """Return what of the cache may change when somebody looks."""
    return {key: value for key, value in in_cache().items() if counting.PREFIX in key}
