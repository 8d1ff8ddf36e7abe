"""What a message will look like, while it is being written: drawn from the form as it stands, saved or not.

The button of the form sends it to a frame of the same page. The answer stores nothing, sends nothing, and may run
nothing: the frame is sandboxed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.loader import render_to_string
from django.utils.datastructures import MultiValueDict
from django.views.decorators.clickjacking import xframe_options_sameorigin

from profiles import outbox, own_words
from profiles.models import Brand, Confirmation, OutboxMessage, Service
from profiles.texts_forms import TextsWidget


@dataclass(frozen=True, slots=True)
class Draft:
    """One message of a form: when it is sent, by which template, which choice is made and the own words."""

    title: str
    template: str
    choice: str
    subjects: dict[str, str]
    texts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One message as it is read in one language; `message` is None where none is sent."""

    title: str
    language: str = ""
    language_name: str = ""
    message: outbox.Rendering | None = None


def draft(title: str, template: str, data: Any, names: tuple[str, str, str]) -> Draft:
    """Read one message from what a form holds, or from an object: names of its choice, its subjects and its texts."""
    choice, subjects, texts = names
    if isinstance(data, QueryDict):
        return Draft(
            title, template, data.get(choice) or Confirmation.NONE, _texts(data, subjects), _texts(data, texts)
        )
    return Draft(title, template, getattr(data, choice), getattr(data, subjects), getattr(data, texts))


def document(drafts: Sequence[Draft], *, brand: Brand | None, service: Service | None) -> str:
    """Return a page that shows messages in each of their languages."""
    samples = [sample for one in drafts for sample in _samples(one, brand or Brand(name="…"), service)]
    return render_to_string("admin/profiles/messages_preview.html", {"samples": samples})


@xframe_options_sameorigin
def answer(request: HttpRequest, drafts: Sequence[Draft], *, brand: Brand | None, service: Service | None) -> Any:
    """Answer with such a page, for a frame of ours."""
    return HttpResponse(document(drafts, brand=brand, service=service))


def chosen_brand(data: Any) -> Brand | None:
    """Return the brand that a form names."""
    return Brand.objects.filter(pk=_number(data.get("brand"))).first()


def typed_service(data: Any, brand: Brand | None) -> Service:
    """Return the service that a form describes."""
    days = _number(data.get("validity_days"))
    return Service(label=_texts(data, "label"), validity_days=days, brand=brand or Brand())


def _samples(one: Draft, brand: Brand, service: Service | None) -> Iterator[Sample]:
    if one.choice == Confirmation.NONE:
        yield Sample(one.title)
        return
    seen = set()
    for code, _name in settings.LANGUAGES:
        words = own_words.chosen(one.choice, one.subjects, one.texts, code)
        language = words.language if words else code
        if language in seen:
            continue
        seen.add(language)
        message = OutboxMessage(
            template=one.template, brand=brand, service=service, language=language,
            subject=words.subject if words else "", text=words.text if words else "",
        )  # fmt: skip
        yield Sample(one.title, language, _language_name(language), outbox.render(message))


def _language_name(code: str) -> str:
    return str(dict(settings.LANGUAGES)[code])


def _texts(data: Any, name: str) -> dict[str, str]:
    values = TextsWidget().value_from_datadict(data, MultiValueDict(), name)
    return {code: text for (code, _name), text in zip(settings.LANGUAGES, values, strict=True) if text}


def _number(text: Any) -> int | None:
    return int(text) if str(text or "").isdecimal() and len(str(text)) < 10 else None
