"""The messages that the mail server of the demonstration caught, as a mail program would show them.

They exist on one machine only: where Campaign is in production, these pages are not found.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp
from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import Resolver404, resolve, reverse
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin

from campaign.demo import caught
from campaign.demo.caught import Caught
from profiles.addresses import search_text
from profiles.admin_base import recall_search, remember_search

PER_PAGE = 50
# What the frame of a message may do: lead somewhere in a new tab. It runs no script, sends no form, loads nothing.
FRAME = ("allow-popups", "allow-popups-to-escape-sandbox")
_LINK = re.compile(r"https?://[^\s<>\"]+")
_FIRST = (
    "from", "to", "reply-to", "subject", "date", "message-id", "list-unsubscribe", "list-unsubscribe-post",
    "feedback-id", "dkim-signature",
)  # fmt: skip
_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)

View = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of the list."""

    name: str
    at: datetime
    recipients: str
    sender: str
    subject: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where a link leads, the words that are pressed, and what it is for where we made it."""

    address: str
    label: str
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a message holds: its parts, the links of both, and the address of its unsubscribe button."""

    html: str
    text: str
    links: Sequence[Link]
    one_click: str
    attachments: Sequence[str]


def on_this_machine_only(view: View) -> View:
    """Let a page exist where the demonstration runs, and nowhere else."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if settings.ENVIRONMENT != "local":
            raise Http404
        return view(request, *args, **kwargs)

    return guarded


@on_this_machine_only
def index(request: HttpRequest) -> HttpResponse:
    """List the messages, the newest first; what is searched for is posted, and never stands in an address."""
    if request.method == "POST":
        text = request.POST.get("q", "").strip()
        address = reverse("admin:caught_mail")
        return HttpResponseRedirect(f"{address}?q={remember_search(request, text)}" if text else address)
    mark = request.GET.get("q", "")
    search = recall_search(request, mark)
    where, before = caught.folder(), request.GET.get("before", "")
    names = [name for name in caught.names(where) if not before or name < before]
    found = _matching(where, names, search)
    context = {
        **admin.site.each_context(request),
        "title": _("Caught mail"),
        "messages_shown": found[:PER_PAGE],
        "older": found[PER_PAGE - 1].name if len(found) > PER_PAGE else "",
        "first_page": not before,
        "q": search,
        "mark": mark if search else "",
    }
    return TemplateResponse(request, "admin/caught_mail/index.html", context)


@on_this_machine_only
def message(request: HttpRequest, name: str) -> HttpResponse:
    """Show one message: its envelope and headers, its parts, where its links lead."""
    found = _read(name)
    context = {
        **admin.site.each_context(request),
        "title": _subject(found) or _("No subject"),
        "caught": found,
        "headers": [(key, _folded(str(value))) for key, value in _ordered(found)],
        "parts": _parts(found),
        "frame": " ".join(FRAME),
    }
    return TemplateResponse(request, "admin/caught_mail/message.html", context)


@csp({"sandbox": list(FRAME), "default-src": [NONE], "style-src": [UNSAFE_INLINE], "img-src": [SELF, "data:"],
      "form-action": [NONE], "frame-ancestors": [SELF]})  # fmt: skip
@xframe_options_sameorigin
@on_this_machine_only
def html_part(request: HttpRequest, name: str) -> HttpResponse:
    """Return the HTML part alone, for a frame: sandboxed by its own policy, also when it is opened by itself."""
    html = _parts(_read(name)).html
    base = '<base target="_blank">'
    framed, replaced = _HEAD.subn(lambda head: head[0] + base, html, count=1)
    return HttpResponse(framed if replaced else base + html)


def _read(name: str) -> Caught:
    try:
        return caught.read(caught.folder(), name)
    except FileNotFoundError as error:
        raise Http404 from error


def _matching(where: Path, names: Sequence[str], search: str) -> list[Shown]:
    """Return one page of lines and one more, which tells whether another page follows."""
    words, found = search_text(search).split(), []
    for name in names:
        message = caught.read(where, name)
        recipients, subject = ", ".join(message.recipients), _subject(message)
        if all(word in search_text(recipients, subject) for word in words):
            found.append(Shown(name, message.at, recipients, message.sender, subject))
        if len(found) > PER_PAGE:
            break
    return found


def _subject(found: Caught) -> str:
    return str(found.headers.get("Subject", ""))


def _parts(found: Caught) -> Parts:
    message = found.message
    html, text = (message.get_body((kind,)) for kind in ("html", "plain"))
    contents = [str(part.get_content()) if part else "" for part in (html, text)]
    collector = _Links()
    collector.feed(contents[0])
    labels = {address: " ".join(words.split()) for address, words in collector.found}
    links = labels | {link: labels.get(link, "") for link in (one.rstrip(".,;)") for one in _LINK.findall(contents[1]))}
    buttons = _LINK.findall(str(message.get("List-Unsubscribe", "")))
    return Parts(
        html=contents[0],
        text=contents[1],
        links=tuple(Link(address, label, _purpose(address)) for address, label in links.items()),
        one_click=buttons[0] if buttons and "List-Unsubscribe-Post" in message else "",
        attachments=tuple(part.get_filename() or part.get_content_type() for part in message.iter_attachments()),
    )


def _ordered(found: Caught) -> list[tuple[str, Any]]:
    """Return the headers, those first by which mail programs and their providers judge a message."""
    ranks = {name: rank for rank, name in enumerate(_FIRST)}
    return sorted(found.headers.items(), key=lambda header: ranks.get(header[0].lower(), len(ranks)))


def _folded(value: str) -> str:
    """Return a header with the addresses of a list each on its line."""
    return value.replace(">, <", ">,\n<")


def _purpose(address: str) -> str:
    """Say what a link of our own is for."""
    try:
        name = resolve(urlsplit(address).path).view_name
    except Resolver404:
        return ""
    purposes = {
        "landing:opt_out": _("Opt-out"), "landing:one_click": _("Unsubscribe button"),
        "landing:view_online": _("Read online"), "landing:confirm": _("Confirmation"),
        "landing:preferences": _("Preferences"),
    }  # fmt: skip
    return purposes.get(name, "")


class _Links(HTMLParser):
    """Collects where the links of a page lead, and their words; other schemes than those of the web are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        target = values.get("href") if tag == "a" else None
        if target and _LINK.fullmatch(target):
            self.found.append((target, ""))
            self.inside = True
        elif tag == "img" and values.get("alt"):
            self.handle_data(f" {values['alt']} ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            address, words = self.found.pop()
            self.found.append((address, words + data))
