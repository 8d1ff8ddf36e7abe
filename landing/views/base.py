"""What every public view shares: its language, its headers, and what it says when there is nothing to show.

Public views read no session, no cookie and no user (but for the preview, which is for those who are logged in), and
set no cookie. What they do is authorised by the link or by the form itself. So there is no authority that another
site could borrow, and nothing for a CSRF token to protect: that is why they are exempt. It is also what lets them
work for mail programs, without cookies, and from a page that was left open for a day.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, QueryDict, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation.trans_real import parse_accept_lang_header
from django.views.decorators.csrf import csrf_exempt

from landing.colors import codes_of
from landing.double_opt_in import Visit
from landing.limits import HOUR, Room
from landing.models import Kind, LandingPage
from profiles.models import Brand
from profiles.texts import pick

View = Callable[..., HttpResponse]
_PORT = re.compile(r"^(\[.*\]|[0-9.]+):\d+$")  # some proxies write it behind the address
UNREADABLE = (BadRequest, SuspiciousOperation, MultiPartParserError, UnreadablePostError)


def public() -> Callable[[View], View]:
    """Make a view public: GET, HEAD, POST and OPTIONS, in the visitor's language, kept by nobody, without a cookie."""

    def decorate(view: View) -> View:
        @csrf_exempt  # no ambient authority: see above
        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            language = _language(request)
            with translation.override(language):
                response = _answer(view, request, args, kwargs)
            return _with_headers(request, response, language)

        return wrapper

    return decorate


def visit(request: HttpRequest) -> Visit:
    """Return from where somebody acts, for the ledger."""
    return Visit(
        ip=client_ip(request),
        user_agent=request.headers.get("User-Agent", "").replace("\x00", "")[:300],
        language=translation.get_language() or settings.LANGUAGE_CODE,
    )


def client_ip(request: HttpRequest) -> str:
    """Return the network address of the visitor: behind a proxy, the one that the proxy saw and wrote last."""
    seen = request.headers.get("X-Forwarded-For", "").rpartition(",")[2] if settings.BEHIND_PROXY else ""
    address = seen.strip() or request.META.get("REMOTE_ADDR", "")
    return _PORT.sub(r"\1", address).strip("[]").replace("\x00", "")[:45]


def posted(request: HttpRequest) -> QueryDict:
    """Return the fields of a form; none when the body cannot be read as one."""
    try:
        return request.POST
    except UNREADABLE:
        return QueryDict()


def show(
    request: HttpRequest, template: str, brand: Brand | None, values: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Return a page in the look of a brand."""
    brand = brand or Brand.objects.order_by("pk").first()
    current = translation.get_language() or settings.LANGUAGE_CODE
    kept = request.GET.copy()
    switch = []
    for code, _name in settings.LANGUAGES:
        kept["lang"] = code
        switch.append((code, translation.get_language_info(code)["name_local"].capitalize(), f"?{kept.urlencode()}"))
    context = {
        "brand": brand,
        "language": current,
        # What answers a form is not at its address: the link to another language would lead away from it.
        "languages": [entry for entry in switch if entry[0] != current and request.method != "POST"],
        "style": reverse("landing:accent", args=[codes_of(brand.color, brand.page_color) if brand else codes_of("")]),
        "logo": brand.logo_path if brand else "",
        "privacy": pick(brand.privacy_notice) if brand else "",
        "contact": brand.contact if brand else "",
        "contact_url": _contact_url(brand.contact if brand else ""),
        # Forms are sent to where they are, in the language in which they are read.
        "here": f"{request.path}?lang={current}",
        **values,
    }
    return render(request, f"landing/{template}.html", context, status=status)


def say(
    request: HttpRequest, brand: Brand | None, *, title: str, text: str, status: int = 200, **values: Any
) -> HttpResponse:
    """Return a page that only tells something."""
    return show(request, "say", brand, {"title": title, "text": text, **values}, status=status)


def try_later(request: HttpRequest, brand: Brand | None, room: Room, *, stopping: bool = False) -> HttpResponse:
    """Say that a form was not recorded because too many come in, and what helps meanwhile."""
    if room == Room.SITE_FULL:
        status, text = 503, _("So many forms are coming in that yours could not be recorded.")
    else:
        status = 429
        text = _("Many forms have come from your network within an hour. Yours has not been recorded.")
    if stopping:
        text += " " + _("The link at the end of each of our messages works at any time.")
    response = say(request, brand, status=status, title=_("Please try again later"), text=text)
    response["Retry-After"] = str(int(HOUR.total_seconds()))
    return response


def not_found(request: HttpRequest) -> HttpResponse:
    """Say kindly that an address leads nowhere, and where everything can be stopped all the same."""
    return say(
        request, None, status=404, title=_("This page does not exist"),
        text=_("The address may have been cut in two by a mail program: try to copy the whole of it."),
        stop_page=stop_page(),
    )  # fmt: skip


def stop_page() -> LandingPage | None:
    """Return the page on which everything can be stopped, where there is one."""
    return LandingPage.objects.open(timezone.now()).filter(kind=Kind.OPT_OUT_ALL).order_by("pk").first()


def _answer(view: View, request: HttpRequest, args: Any, kwargs: Any) -> HttpResponse:
    if request.method in ("GET", "HEAD", "POST"):
        return view(request, *args, **kwargs)
    response = HttpResponse(status=200 if request.method == "OPTIONS" else 405)
    response["Allow"] = "GET, HEAD, OPTIONS, POST"
    return response


def _language(request: HttpRequest) -> str:
    """Return the language asked for by `?lang=`, else by the browser; a cookie is not looked at."""
    asked = request.GET.get("lang", "")
    known: dict[str, Any] = dict(settings.LANGUAGES)
    if asked in known:
        return asked
    accepted = parse_accept_lang_header(request.headers.get("Accept-Language", "")[:500])
    spoken = (code.split("-")[0] for code, _weight in accepted)
    return next((code for code in spoken if code in known), str(settings.LANGUAGE_CODE))


def _with_headers(request: HttpRequest, response: HttpResponse, language: str) -> HttpResponse:
    response["Content-Language"] = language
    response.headers.setdefault("Cache-Control", "no-store")
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    patch_vary_headers(response, ["Accept-Language"])
    # Django answers a malformed CSRF cookie with a new one, and a session that has ended with one that deletes it.
    request.META.pop("CSRF_COOKIE_NEEDS_UPDATE", None)
    request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
    return response


def _contact_url(contact: str) -> str:
    """Return where a contact leads when it is one plain email or web address; empty for anything else."""
    if contact.startswith(("https://", "http://")) and " " not in contact:
        return contact
    plain = "@" in contact and not any(char in contact for char in " <>,;?&/\"'")
    return f"mailto:{contact}" if plain else ""
