"""What the message of a page looks like, while it is being written."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from landing.models import Kind, LandingPage
from landing.notices import TEMPLATES
from profiles.admin import own_messages
from profiles.admin.own_messages import Draft
from profiles.models import Brand, Service

NAMES = ("confirmation", "confirmation_subject", "confirmation_text")


def of_page(page: LandingPage | None) -> str:
    """Return the message of a page as it is stored."""
    shown = page or LandingPage(kind=Kind.SUBSCRIPTION)
    brand, service = (page.brand, page.service) if page else (None, None)
    return own_messages.document([_draft(shown.kind, shown)] if _has_one(shown.kind) else [], **_of(brand, service))


def answer(request: HttpRequest) -> HttpResponse:
    """Return the message of a form, with the brand and the service that it names."""
    data = request.POST
    # Of a published page, the form no longer holds what it is about.
    page = _row(LandingPage, request.GET.get("page"))
    kind = data.get("kind") or (page.kind if page else Kind.SUBSCRIPTION)
    service = _row(Service, data.get("service") or (page.service_id if page else None))
    drafts = [_draft(kind, data)] if _has_one(kind) else []
    found: HttpResponse = own_messages.answer(request, drafts, **_of(own_messages.chosen_brand(data), service))
    return found


def _row(model: Any, number: Any) -> Any:
    text = str(number or "")
    return model.objects.filter(pk=int(text)).first() if text.isdecimal() and len(text) < 10 else None


def _has_one(kind: str) -> bool:
    return kind in TEMPLATES


def _draft(kind: str, data: Any) -> Draft:
    return own_messages.draft(_("When somebody has used the page"), TEMPLATES[Kind(kind)], data, NAMES)


def _of(brand: Brand | None, service: Service | None) -> dict[str, Any]:
    return {"brand": brand, "service": service or Service(label={"en": "…"})}
