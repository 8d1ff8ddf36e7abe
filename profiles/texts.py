"""Texts shown in several languages: JSON objects {language: text} over LANGUAGES."""

from collections.abc import Mapping

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import get_language
from django.utils.translation import gettext as _


def pick(texts: Mapping[str, str], language: str = "") -> str:
    """Return the text in the language asked for, else in the default language, else in any."""
    wanted = (language or get_language() or settings.LANGUAGE_CODE).split("-")[0]
    return texts.get(wanted) or texts.get(settings.LANGUAGE_CODE) or next((text for text in texts.values() if text), "")


def own(texts: Mapping[str, str]) -> str:
    """Return the text in the active language, or nothing: for texts where Campaign has its own in every language."""
    return texts.get((get_language() or settings.LANGUAGE_CODE).split("-")[0], "")


def lacking(texts: Mapping[str, str]) -> list[str]:
    """Return the names of the languages in which a text is not written, although it is in another."""
    if not any(texts.values()):
        return []
    return [str(name) for code, name in settings.LANGUAGES if not texts.get(code)]


def supported(language: str) -> str:
    """Return the language if Campaign speaks it, else the default one."""
    code = language.lower().replace("_", "-").split("-")[0]
    return code if code in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


def validate_texts(value: object) -> None:
    """Refuse anything but an object of known languages and texts."""
    known = dict(settings.LANGUAGES)
    if not isinstance(value, dict) or any(
        code not in known or not isinstance(text, str) for code, text in value.items()
    ):
        raise ValidationError(_("Give one text per language: %(languages)s.") % {"languages": ", ".join(known)})
