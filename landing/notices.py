"""The messages that tell people what has become of their request, where a page or its service wants one sent.

One request brings one message at most. What is set on the page goes out at each use of the page; what is set on a
service goes out when somebody subscribes for the first time, or leaves. Where both are set, it is the page's.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from profiles import outbox, own_words
from profiles.channels import Channel
from profiles.consent import Change
from profiles.models import Act, Address, Confirmation, ConsentEvent, Service
from profiles.texts import supported

from .models import Kind, LandingPageVersion

TEMPLATES = {
    Kind.OPT_IN: "opted_in",
    Kind.SUBSCRIPTION: "subscribed",
    Kind.UNSUBSCRIPTION: "unsubscribed",
    Kind.OPT_OUT_ALL: "opted_out",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whom a message is for: the profile, the address, and the language in which they used the page."""

    profile: int
    address: str
    digest: bytes
    language: str


def subscribed_before(profile: int, service: Service) -> bool:
    """Say whether somebody has ever been subscribed to a service: its message is for the first time only."""
    return ConsentEvent.objects.filter(profile_id=profile, service_id=service.pk, act=Act.SUBSCRIBE).exists()


def tell_joined(version: LandingPageVersion, reader: Reader, *, first: bool, at: datetime) -> None:
    """Post the message about a request that has just been fulfilled, in the transaction that does it."""
    page = version.page
    if page.channel != Channel.EMAIL:
        return
    if version.confirmation != Confirmation.NONE:
        _tell_of_page(version, reader, at)
    elif page.kind == Kind.SUBSCRIPTION and page.service and first:
        _tell_of_service("subscribed", page.service, reader, at)


def tell_subscribed(
    profile: int, service: Service, *, address: str, digest: bytes, language: str, at: datetime
) -> None:
    """Post the message of a service for a first subscription that was made on no page of its own."""
    if service.channel == Channel.EMAIL:
        reader = Reader(profile=profile, address=address, digest=digest, language=language)
        _tell_of_service("subscribed", service, reader, at)


def tell_left(version: LandingPageVersion, change: Change, *, digest: bytes, language: str, at: datetime) -> None:
    """Post the message about an opt-out by a page; nothing when nobody has the address."""
    page = version.page
    if page.channel != Channel.EMAIL:
        return
    if version.confirmation != Confirmation.NONE:
        if reader := _holder(digest, language):
            _tell_of_page(version, reader, at)
    elif page.kind == Kind.UNSUBSCRIPTION and page.service:
        tell_unsubscribed(change, page.service, digest=digest, language=language, at=at)


def tell_unsubscribed(change: Change, service: Service, *, digest: bytes, language: str, at: datetime) -> None:
    """Post the message of a service to the address that left it; nothing when nobody was subscribed.

    An empty language is the person's own.
    """
    if not change.profiles or service.channel != Channel.EMAIL or service.on_unsubscribe == Confirmation.NONE:
        return
    if reader := _holder(digest, language, profile__in=change.profiles):
        _tell_of_service("unsubscribed", service, reader, at)


def _holder(digest: bytes, language: str, **only: Any) -> Reader | None:
    """Return who has an address; the message goes to it as they gave it to us, and not as a visitor typed it."""
    rows = Address.objects.with_digests([digest]).filter(**only).select_related("profile")
    held = rows.order_by("profile").first()
    if held is None:
        return None
    spoken = language or supported(held.profile.language)
    return Reader(profile=held.profile_id, address=held.value, digest=digest, language=spoken)


def _tell_of_page(version: LandingPageVersion, reader: Reader, at: datetime) -> None:
    page = version.page
    outbox.post(
        TEMPLATES[Kind(page.kind)], address=reader.address, digest=reader.digest, brand=page.brand,
        service=page.service, language=reader.language, profile_id=reader.profile, at=at,
        words=own_words.chosen(
            version.confirmation, version.confirmation_subject, version.confirmation_text, reader.language
        ),
        dedupe=_once_a_day("page", reader, page.pk, at),
    )  # fmt: skip


def _tell_of_service(template: str, service: Service, reader: Reader, at: datetime) -> None:
    joined = template == "subscribed"
    choice = service.on_subscribe if joined else service.on_unsubscribe
    if choice == Confirmation.NONE:
        return
    subjects = service.subscribe_subject if joined else service.unsubscribe_subject
    texts = service.subscribe_text if joined else service.unsubscribe_text
    outbox.post(
        template, address=reader.address, digest=reader.digest, brand=service.brand, service=service,
        language=reader.language, profile_id=reader.profile, at=at,
        words=own_words.chosen(choice, subjects, texts, reader.language),
        dedupe=_once_a_day(template, reader, service.pk, at),
    )  # fmt: skip


def _once_a_day(what: str, reader: Reader, number: int, at: datetime) -> str:
    return f"{what}:{reader.digest.hex()}:{number}:{at:%Y%m%d}"
