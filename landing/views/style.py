"""The accent of a brand as a style sheet: pages allow no inline style (see the content policy in the settings)."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from landing.colors import accent as readable

from .base import public


@public()
@require_safe
def accent(request: HttpRequest, code: str) -> HttpResponse:
    """Return the style sheet of a colour; the colour is in its address, so it never changes."""
    found = readable(code)
    sheet = (
        f":root{{--accent:{found.light};--on-accent:#fff}}"
        f"@media (prefers-color-scheme:dark){{:root{{--accent:{found.dark};--on-accent:#14171a}}}}"
    )
    response = HttpResponse(sheet, content_type="text/css; charset=utf-8")
    response["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
