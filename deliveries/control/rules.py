"""The control rules: one function each, which yields the places where the rule does not hold."""

import re
from collections.abc import Callable, Iterator

from django.utils.translation import gettext as _

from deliveries import personalisation, rendering, sms
from deliveries.models import Delivery, MessageClass
from deliveries.specimens import Specimen, names_of_parts
from profiles import brands
from profiles.channels import Channel

from . import markup
from .findings import Draft, Place

Check = Callable[[Draft], Iterator[Place]]
# Gmail shows the first 102 kB of a message and hides the rest behind a link, the opt-out link with it.
GMAIL_SHOWS = 102 * 1024
BIGGEST_HTML = 1_000_000  # bytes
MOST_SEGMENTS = 10
NAMED_AT_MOST = 5
_FOLLOWED = re.compile(r"(https?://|mailto:|tel:|sms:)\S", re.IGNORECASE)
_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_BODY = ("html", "text")


def _each(rule: Callable[[Draft, Specimen], Iterator[dict[str, object]]]) -> Check:
    """Make a rule about one language a rule about all of a message."""

    def check(draft: Draft) -> Iterator[Place]:
        for specimen in draft.specimens:
            for details in rule(draft, specimen):
                yield Place(specimen.content, details)

    return check


def no_content(draft: Draft) -> Iterator[Place]:
    if not draft.specimens:
        yield Place()


def brand(draft: Draft) -> Iterator[Place]:
    """A marketing message says who writes, and where they can be reached."""
    if _is_marketing(draft.delivery) and not brands.is_ready(draft.delivery.brand):
        yield Place(details={"problem": str(brands.incomplete(draft.delivery.brand))})


@_each
def template(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    for error in specimen.refused.values():
        yield {"problem": str(error)}


@_each
def no_subject(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    if specimen.parts.get("subject") == "":
        yield {}


@_each
def risky_subject(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    """Judge what was typed, not the names that are put in."""
    if "subject" not in specimen.parts:
        return
    typed = _LIQUID.sub(" ", specimen.content.subject)
    letters = [char for char in typed if char.isalpha()]
    shouted = len(letters) >= 8 and not any(char.islower() for char in letters)
    if shouted or "!!" in typed or typed.count("!") >= 3:
        yield {}


@_each
def empty(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    for name, text in _readable(specimen):
        if not text.strip():
            yield _part(name)


@_each
def opt_out_link(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    """A marketing message lets people leave, from each of its two parts."""
    if not _is_marketing_mail(draft.delivery):
        return
    for name, text in _bodies(specimen):
        links = {link.address for link in markup.read(text).links} if name == "html" else text
        if specimen.opt_out_url not in links:
            yield _part(name)


@_each
def postal_address(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    """A marketing message says where its sender can be found."""
    if not _is_marketing_mail(draft.delivery):
        return
    wanted = _words(draft.delivery.brand.postal_address)
    for name, text in _readable(specimen):
        if not wanted or wanted not in _words(text):
            yield _part(name)


@_each
def html_clipped(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    size = len(specimen.parts.get("html", "").encode())
    if GMAIL_SHOWS < size <= BIGGEST_HTML:
        yield {"size": size // 1024}


@_each
def html_too_big(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    size = len(specimen.parts.get("html", "").encode())
    if size > BIGGEST_HTML:
        yield {"size": size // 1024}


@_each
def unknown_field(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    for name in names_of_parts(draft.delivery.channel):
        for found in personalisation.unknown(name, getattr(specimen.content, name), draft.declared):
            nearest = _("Did you mean {{ %(name)s }}?") % {"name": found.nearest} if found.nearest else ""
            yield {"part": rendering.field_label(name), "line": found.line, "name": found.name, "nearest": nearest}


@_each
def link(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    found = markup.read(specimen.content.html if draft.delivery.channel == Channel.EMAIL else "")
    broken = [
        _("“%(link)s” (line %(line)s)") % {"link": (one.address or "")[:60], "line": one.line}
        for one in found.links
        if not _leads_somewhere(one.address or "", found.anchors)
    ]
    if broken:
        yield {"links": _some(broken)}


@_each
def alt_text(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    pictures = markup.read(specimen.content.html if draft.delivery.channel == Channel.EMAIL else "").pictures
    lines = [_("line %(line)s") % {"line": one.line} for one in pictures if not one.has_alt]
    if lines:
        yield {"lines": _some(lines)}


@_each
def sms_segments(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    length = _sms_length(draft.delivery, specimen)
    if 1 < length.segments <= MOST_SEGMENTS:
        yield {"segments": length.segments, "why": _why_long(length)}


@_each
def sms_too_long(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    length = _sms_length(draft.delivery, specimen)
    if length.segments > MOST_SEGMENTS:
        yield {"segments": length.segments, "most": MOST_SEGMENTS, "why": _why_long(length)}


@_each
def sms_stop(draft: Draft, specimen: Specimen) -> Iterator[dict[str, object]]:
    """A marketing SMS says how to leave: in capitals, because "stop" is also an ordinary word."""
    is_sms = draft.delivery.channel == Channel.SMS and _is_marketing(draft.delivery)
    if is_sms and "text" in specimen.parts and not re.search(r"\bSTOP\b", specimen.parts["text"]):
        yield {}


def _is_marketing(delivery: Delivery) -> bool:
    return delivery.message_class == MessageClass.MARKETING


def _is_marketing_mail(delivery: Delivery) -> bool:
    return _is_marketing(delivery) and delivery.channel == Channel.EMAIL


def _bodies(specimen: Specimen) -> Iterator[tuple[str, str]]:
    """Yield the parts below the subject that could be rendered: name, text."""
    yield from ((name, specimen.parts[name]) for name in _BODY if name in specimen.parts)


def _readable(specimen: Specimen) -> Iterator[tuple[str, str]]:
    """Yield the same parts as people read them, without tags."""
    for name, text in _bodies(specimen):
        yield name, " ".join(markup.read(text).words) if name == "html" else text


def _part(name: str) -> dict[str, object]:
    """Return the details of a part: what it is called, and the two fields that it needs, as they are written there."""
    in_html = name == "html"
    return {
        "part": rendering.field_label(name),
        "address": "{{ brand.postal_address | newline_to_br }}" if in_html else "{{ brand.postal_address }}",
        "link": '<a href="{{ opt_out_url }}">…</a>' if in_html else "{{ opt_out_url }}",
    }


def _leads_somewhere(address: str, anchors: set[str]) -> bool:
    """Say whether a link can be followed. One that a field begins is only known when it is rendered."""
    if address.startswith(("{{", "{%")):
        return True
    if address.startswith("#"):
        return address[1:] in anchors
    return bool(_FOLLOWED.match(address))


def _some(texts: list[str]) -> str:
    """Join the first of some texts, and say that there are more."""
    return ", ".join(texts[:NAMED_AT_MOST]) + (", …" if len(texts) > NAMED_AT_MOST else "")


def _sms_length(delivery: Delivery, specimen: Specimen) -> sms.Length:
    text = specimen.parts.get("text", "") if delivery.channel == Channel.SMS else ""
    return sms.measure(text.strip())


def _why_long(length: sms.Length) -> str:
    """Say which characters make every other one count double."""
    if not length.other:
        return ""
    return _("These characters make the whole text count double: %(characters)s.") % {
        "characters": " ".join(length.other[:NAMED_AT_MOST])
    }


def _words(text: str) -> str:
    return " ".join(text.split())
