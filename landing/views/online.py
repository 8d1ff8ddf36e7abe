"""A message as a page, for those whose mail program shows it badly."""

from csp.constants import NONE, UNSAFE_INLINE
from csp.decorators import csp
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils.translation import gettext as _

from deliveries import online_page
from profiles.errors import TokenRefused

from .base import not_found, public, say, stop_page

# What marketers wrote stands on our host: it may lead somewhere, and run, send and frame nothing.
SANDBOX = ("allow-popups", "allow-popups-to-escape-sandbox")
_POLICY = {
    "sandbox": list(SANDBOX), "default-src": [NONE], "img-src": ["https:", "data:"], "style-src": [UNSAFE_INLINE],
    "form-action": [NONE], "base-uri": [NONE], "frame-ancestors": [NONE],
}  # fmt: skip


@public()
def view_online(request: HttpRequest, token: str) -> HttpResponse:
    """Show the message that a link comes from; say kindly when it is no longer kept."""
    if request.method == "POST":
        return HttpResponseNotAllowed(["GET", "HEAD", "OPTIONS"])
    try:
        page = online_page.page(token)
    except TokenRefused:
        return not_found(request)
    if page is None:
        return say(
            request, None, status=410, title=_("This message is no longer kept"),
            text=_("Messages can be read online for a limited time."),
            stop_page=stop_page(),
        )  # fmt: skip
    return _sandboxed(request, page.html)


def _sandboxed(request: HttpRequest, html: str) -> HttpResponse:
    response = HttpResponse(html)
    csp(_POLICY)(lambda _request: response)(request)
    return response
