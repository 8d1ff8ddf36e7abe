"""A message as one person would get it, drawn from texts that may not be saved yet: for checks and for previews.

Each part is rendered by itself, so that a mistake in one hides no other.
"""

from dataclasses import dataclass

from profiles.channels import Channel
from profiles.models import Profile
from profiles.tokens import OptOutLink

from . import messages, rendering, view_online
from .errors import TemplateRefused
from .models import Delivery, DeliveryContent

# The digest of nobody: pressing the link of a specimen opts nobody out.
_NOBODY = bytes(16)
_MADE_UP = {Channel.EMAIL: "camille@example.org", Channel.SMS: "+33 6 00 00 00 00"}


@dataclass(frozen=True, slots=True)
class Specimen:
    """`parts` holds what was rendered, `refused` why something could not be; both by name: subject, html, text."""

    content: DeliveryContent
    parts: dict[str, str]
    refused: dict[str, TemplateRefused]
    opt_out_url: str


def names_of_parts(channel: int) -> tuple[str, ...]:
    """Return what a message of a channel is made of."""
    return ("subject", "html", "text") if channel == Channel.EMAIL else ("text",)


def made_up_address(channel: int) -> str:
    """Return the address of the made-up person; empty for channels that nobody writes messages for yet."""
    return _MADE_UP.get(Channel(channel), "")


def made_up_person(language: str) -> Profile:
    """Return the person for whom checks, previews and tests are drawn."""
    return Profile(first_name="Camille", last_name="Martin", language=language, country="")


def draw(delivery: Delivery, content: DeliveryContent, *, person: Profile | None = None, address: str = "") -> Specimen:
    """Render a content for a person, or for a made-up one."""
    link = OptOutLink(channel=delivery.channel, digest=_NOBODY, delivery=delivery.pk or 0)
    url = messages.opt_out_urls(delivery.brand, link).page
    values = rendering.values_for(
        profile=person or made_up_person(content.language),
        address=address if person else made_up_address(delivery.channel),
        brand=delivery.brand, service=delivery.service, opt_out_url=url, language=content.language,
        view_online_url=view_online.url(content, delivery.brand, view_online.SPECIMEN, 0),
    )  # fmt: skip
    parts: dict[str, str] = {}
    refused: dict[str, TemplateRefused] = {}
    for name in names_of_parts(delivery.channel):
        try:
            parts[name] = rendering.render_part(content, name, values, checking=True)
        except TemplateRefused as error:
            refused[name] = error
    return Specimen(content, parts, refused, url)
