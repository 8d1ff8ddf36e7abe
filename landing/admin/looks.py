"""What public pages add to the page of a brand: how they look in its colours."""

from collections.abc import Sequence

from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from landing.colors import look
from profiles.admin import hooks
from profiles.models import Brand

# Of public.css: the card, and the text upon it.
LIGHT_CARD, LIGHT_INK = "#fff", "#1c2024"
DARK_CARD, DARK_INK = "#1e2124", "#e8eaec"


def looks_of(brand: Brand) -> Sequence[SafeString]:
    """Return a public page of a brand, drawn small, in light and in dark."""
    found, logo = look(brand.color, brand.page_color), brand.logo_path
    light = {
        "title": _("In light"),
        "colors": found.light,
        "card": LIGHT_CARD,
        "text": LIGHT_INK,
        "on": "#fff",
        "plate": "",
    }
    dark = {
        "title": _("In dark"),
        "colors": found.dark,
        "card": DARK_CARD,
        "text": DARK_INK,
        "on": "#14171a",
        "plate": "#fff",
    }
    return [
        render_to_string("admin/landing/look.html", {"brand": brand, "logo": logo, **side}) for side in (light, dark)
    ]


hooks.brand_looks.append(looks_of)
