"""What a page looks like: the colours of its brand as a style sheet, and the logo.

Pages allow no inline style (see the content policy in the settings). Both addresses say what is behind them, so it
never changes and may be kept for ever.
"""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from landing.colors import Colors, look
from profiles import logos

from .base import not_found, public

FOR_EVER = "public, max-age=31536000, immutable"


@public()
@require_safe
def accent(request: HttpRequest, codes: str) -> HttpResponse:
    """Return the style sheet of one or two colours."""
    color, _dash, page = codes.partition("-")
    found = look(color, page)
    sheet = (
        f":root{{{_variables(found.light, '#fff')}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{_variables(found.dark, '#14171a')}}}}}"
    )
    response = HttpResponse(sheet, content_type="text/css; charset=utf-8")
    response["Cache-Control"] = FOR_EVER
    return response


@public()
@require_safe
def logo(request: HttpRequest, digest: str, extension: str) -> HttpResponse:
    """Return the picture of a brand: as that and nothing else, whatever is in it."""
    found = logos.find(digest, extension)
    if found is None:
        return not_found(request)
    response = HttpResponse(bytes(found.data), content_type=found.kind)
    response["Cache-Control"] = FOR_EVER
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"  # messages show it wherever they are read
    return response


def _variables(colors: Colors, on_accent: str) -> str:
    return f"--accent:{colors.accent};--on-accent:{on_accent};--page:{colors.page}"
