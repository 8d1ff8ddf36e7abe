"""Control rules: what is checked about the message itself before it may leave. Errors block, warnings do not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from html import unescape

from django.utils.html import strip_tags
from django.utils.translation import gettext as _

from profiles import brands
from profiles.channels import Channel
from profiles.models import Profile
from profiles.tokens import OptOutLink

from . import messages, rendering
from .errors import TemplateRefused
from .models import Delivery, DeliveryContent, MessageClass


class Code(StrEnum):
    NO_CONTENT = "no_content"
    TEMPLATE = "template"
    NO_SUBJECT = "no_subject"
    EMPTY = "empty"
    OPT_OUT_LINK = "opt_out_link"
    POSTAL_ADDRESS = "postal_address"
    BRAND = "brand"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: what is wrong, where, and what to do."""

    code: Code
    text: str
    language: str = ""
    blocks: bool = True


@dataclass(frozen=True, slots=True)
class _Message:
    """A message rendered for nobody in particular, with the links and texts that rules look for."""

    delivery: Delivery
    content: DeliveryContent
    rendered: rendering.Rendered
    opt_out_url: str

    @property
    def where(self) -> str:
        return str(self.content.get_language_display())


def check(delivery: Delivery) -> list[Finding]:
    """Return what the control rules find in each language of a message."""
    contents, found = list(delivery.contents.all()), list(_brand(delivery))
    if not contents:
        return [*found, Finding(Code.NO_CONTENT, _("Write the message in at least one language."))]
    return found + [finding for content in contents for finding in _check_content(delivery, content)]


def _brand(delivery: Delivery) -> Iterator[Finding]:
    """A marketing message says who writes, and where they can be reached."""
    if delivery.message_class == MessageClass.MARKETING and not brands.is_ready(delivery.brand):
        yield Finding(Code.BRAND, str(brands.incomplete(delivery.brand)))


def _check_content(delivery: Delivery, content: DeliveryContent) -> Iterator[Finding]:
    try:
        message = _specimen(delivery, content)
    except TemplateRefused as error:
        told = _("%(where)s: %(problem)s") % {"where": content.get_language_display(), "problem": error}
        yield Finding(Code.TEMPLATE, told, content.language)
        return
    for rule in RULES:
        yield from rule(message)


def _specimen(delivery: Delivery, content: DeliveryContent) -> _Message:
    link = OptOutLink(channel=delivery.channel, digest=bytes(16), delivery=delivery.pk or 0)
    url = messages.opt_out_urls(delivery.brand, link).page
    values = rendering.values_for(
        profile=Profile(first_name="Camille", last_name="Martin"), address="camille@example.org", brand=delivery.brand,
        service=delivery.service, opt_out_url=url, language=content.language,
    )  # fmt: skip
    return _Message(delivery, content, rendering.render(content, values), url)


def _subject(message: _Message) -> Iterator[Finding]:
    if not message.rendered.subject.strip():
        yield Finding(
            Code.NO_SUBJECT, _("%(language)s: write a subject.") % {"language": message.where}, message.content.language
        )


def _not_empty(message: _Message) -> Iterator[Finding]:
    for part, text in ((_("HTML"), strip_tags(message.rendered.html)), (_("Text"), message.rendered.text)):
        if not text.strip():
            yield Finding(
                Code.EMPTY,
                _("%(language)s: the part “%(part)s” is empty.") % {"language": message.where, "part": part},
                message.content.language,
            )


def _opt_out_link(message: _Message) -> Iterator[Finding]:
    """A marketing message lets people leave, from each of its two parts."""
    if message.delivery.message_class != MessageClass.MARKETING or message.delivery.channel != Channel.EMAIL:
        return
    linked = f'href="{message.opt_out_url}"' in unescape(message.rendered.html).replace("'", '"')
    for part, present in ((_("HTML"), linked), (_("Text"), message.opt_out_url in message.rendered.text)):
        if not present:
            text = _("%(language)s: the part “%(part)s” has no opt-out link. Add {{ opt_out_url }} to it.")
            yield Finding(Code.OPT_OUT_LINK, text % {"language": message.where, "part": part}, message.content.language)


def _postal_address(message: _Message) -> Iterator[Finding]:
    """A marketing message says where its sender can be found."""
    if message.delivery.message_class != MessageClass.MARKETING or message.delivery.channel != Channel.EMAIL:
        return
    wanted = _words(message.delivery.brand.postal_address)
    html = _words(strip_tags(unescape(message.rendered.html).replace("<", " <")))
    for part, text in ((_("HTML"), html), (_("Text"), _words(message.rendered.text))):
        if not wanted or wanted not in text:
            remedy = _(
                "%(language)s: the part “%(part)s” lacks the postal address. Add {{ brand.postal_address }} to it."
            )
            yield Finding(
                Code.POSTAL_ADDRESS, remedy % {"language": message.where, "part": part}, message.content.language
            )


RULES: tuple[Callable[[_Message], Iterator[Finding]], ...] = (_subject, _not_empty, _opt_out_link, _postal_address)


def _words(text: str) -> str:
    return " ".join(text.split())
