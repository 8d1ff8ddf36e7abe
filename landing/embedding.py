"""The form of a published page as plain HTML, to be copied into another site.

It cannot hold the sealed moment at which a form is shown, so what comes from it is never stored: the page is shown,
filled in, and the person presses its button. There they also read, and tick, what they agree to.
"""

from datetime import datetime

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import get_language_info, override

from . import wording
from .forms import EMBEDDED, PageForm
from .models import Kind, LandingPage, PageState

KINDS = (Kind.OPT_IN, Kind.SUBSCRIPTION, Kind.UNSUBSCRIPTION)


def forms_of(page: LandingPage, *, at: datetime) -> list[tuple[str, str]]:
    """Return (name of a language, HTML) for each language; nothing for a page that has no form to copy."""
    if page.state != PageState.PUBLISHED or page.kind not in KINDS:
        return []
    return [(get_language_info(code)["name_translated"], _html(page, code, at)) for code, _name in settings.LANGUAGES]


def _html(page: LandingPage, language: str, at: datetime) -> str:
    version = page.published
    if version is None:
        return ""
    with override(language):
        words = wording.words(page, version)
        form = PageForm(page, version.fields, words, at=at)
        form.auto_id = False  # its inputs stand in their labels: no id can be one of the other site
        form.fields.pop("agreed", None)
        values = {"form": form, "words": words, "mark": EMBEDDED, "action": f"{page.public_address}?lang={language}"}
        return render_to_string("landing/embedded.html", values).strip()
