"""What becomes of some texts, saved or not: the inbox, the message in several lights, and what the checks say."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from deliveries import control, messages, rendering, sms, specimens
from deliveries.control import markup
from deliveries.models import Delivery, DeliveryContent
from profiles.channels import Channel
from profiles.models import Address, Profile

# What the frame gets after the message. Mail programs darken mails each in their own way; this is like the hardest
# of them: every colour turned over, pictures left alone. A link does nothing: the frame may open no window.
_STILL = '<base target="_blank">'
_DARKENED = (
    "<style>html { background: #fff; filter: invert(.9) hue-rotate(180deg) } "
    "img, svg, video { filter: invert(1) hue-rotate(180deg) }</style>"
)
INBOX_SHOWS = 140  # characters of the message after the subject


def context(request: HttpRequest, delivery: Delivery, language: str, texts: dict[str, str]) -> dict[str, Any]:
    """Return what the fragment shows. The person is in the body of the request: addresses stay out of URLs."""
    person, address, problem = chosen(request, delivery)
    content = DeliveryContent(delivery=delivery, language=language, **texts)
    specimen = specimens.draw(delivery, content, person=person, address=address)
    findings = control.check_texts(delivery, language, content.subject, content.html, content.text)
    parts = specimen.parts
    document = ""
    if "html" in parts:
        # No title, which a frame does not show: the frame then stays as it is while the subject is typed.
        document = messages.document(parts["html"], language, "") + _STILL
    return {
        "delivery": delivery,
        "is_mail": delivery.channel == Channel.EMAIL,
        "language": language,
        "subject": parts.get("subject", ""),
        "snippet": " ".join(" ".join(markup.read(parts.get("html", "")).words).split())[:INBOX_SHOWS],
        "document": document,
        "darkened": document + _DARKENED if document else "",
        "text": parts.get("text"),
        "text_is_derived": rendering.text_is_derived(content),
        "refused": specimen.refused,
        "length": sms.measure(parts.get("text", "").strip()),
        "person": person,
        "person_address": address,
        "person_problem": problem,
        "person_typed": request.POST.get("person", ""),
        "may_choose": request.user.has_perm("profiles.view_profile"),
        "errors": [finding for finding in findings if finding.blocks],
        "warnings": [finding for finding in findings if not finding.blocks],
    }


def chosen(request: HttpRequest, delivery: Delivery) -> tuple[Profile | None, str, str]:
    """Return the person whose number or address was typed, the address written to, and a problem."""
    typed = request.POST.get("person", "").strip()
    if not typed or not request.user.has_perm("profiles.view_profile"):
        return None, "", ""
    person = Profile.objects.filter(pk=int(typed)).first() if typed.isdecimal() and len(typed) < 18 else None
    if person is None:
        digest = Address.make(Channel(delivery.channel), typed).digest
        person = Profile.objects.having(bytes(digest)).order_by("pk").first()
    if person is None:
        return None, "", _("Nobody has the number or address “%(typed)s”.") % {"typed": typed}
    own = person.addresses.filter(channel=delivery.channel).order_by("position").first()
    return person, own.value if own else "", ""
