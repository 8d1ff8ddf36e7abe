"""The words of a message that marketers write themselves: a subject and plain paragraphs, per language.

words_in(subjects, texts, language)     the words in that language, else in another one that has both
flaws(choice, subjects, texts)          what is missing, for the forms in which they are written

They are picked when a message is posted and kept with it, so that editing them changes no message on its way.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .models import Confirmation

LONGEST_SUBJECT = 200
LONGEST_TEXT = 10_000
Texts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Words:
    """What an own message says, and in which language."""

    subject: str
    text: str
    language: str


def words_in(subjects: Texts, texts: Texts, language: str) -> Words | None:
    """Return the words in a language, else in the default one, else in any; None where no language has both parts."""
    known = [code for code, _name in settings.LANGUAGES]
    for code in (language.split("-")[0], settings.LANGUAGE_CODE, *known):
        subject, text = subjects.get(code, "").strip(), texts.get(code, "").strip()
        if subject and text:
            return Words(subject, text, code)
    return None


def chosen(choice: str, subjects: Texts, texts: Texts, language: str) -> Words | None:
    """Return the own words where the choice is an own message; None means the default message."""
    return words_in(subjects, texts, language) if choice == Confirmation.OWN else None


def flaws(choice: str, subjects: Texts, texts: Texts) -> tuple[list[str], list[str]]:
    """Return what is wrong with the subjects and with the texts of a choice, one sentence each."""
    of_subjects, of_texts = _too_long(subjects, LONGEST_SUBJECT), _too_long(texts, LONGEST_TEXT)
    if choice != Confirmation.OWN:
        return of_subjects, of_texts
    if not any(subjects.values()) and not any(texts.values()):
        return [*of_subjects, _("Write the subject of your message, in at least one language.")], [
            *of_texts, _("Write your message, in at least one language.")
        ]  # fmt: skip
    for code, name in settings.LANGUAGES:
        subject, text = subjects.get(code, "").strip(), texts.get(code, "").strip()
        if text and not subject:
            of_subjects.append(_("%(language)s: write a subject.") % {"language": name})
        if subject and not text:
            of_texts.append(_("%(language)s: write the message.") % {"language": name})
    return of_subjects, of_texts


def _too_long(texts: Texts, limit: int) -> list[str]:
    told = ngettext("Use at most %(limit)d character.", "Use at most %(limit)d characters.", limit) % {"limit": limit}
    return [told] if any(len(text) > limit for text in texts.values()) else []
