"""The messages that tell people what has become of their subscription, where the service wants one sent."""

from datetime import datetime

from profiles import outbox
from profiles.channels import Channel
from profiles.consent import Change
from profiles.models import Act, Address, Confirmation, ConsentEvent, Service


def subscribed_before(profile: int, service: Service) -> bool:
    """Say whether somebody has ever been subscribed to a service: the message is for the first time only."""
    return ConsentEvent.objects.filter(profile_id=profile, service_id=service.pk, act=Act.SUBSCRIBE).exists()


def tell_subscribed(
    profile: int, service: Service, *, address: str, digest: bytes, language: str, at: datetime
) -> None:
    """Post the message of a first subscription, in the transaction that makes it."""
    if service.channel != Channel.EMAIL or service.on_subscribe == Confirmation.NONE:
        return
    outbox.post(
        "subscribed", address=address, digest=digest, brand=service.brand, service=service, language=language,
        profile_id=profile, at=at, dedupe=_once_a_day("subscribed", digest, service, at),
    )  # fmt: skip


def tell_unsubscribed(change: Change, service: Service, *, digest: bytes, language: str, at: datetime) -> None:
    """Post the message of an unsubscription to the address that left; nothing when nobody was subscribed.

    It goes to the address as its owner gave it to us, and not as a visitor typed it.
    """
    if not change.profiles or service.channel != Channel.EMAIL or service.on_unsubscribe == Confirmation.NONE:
        return
    held = Address.objects.filter(digest=digest, profile__in=change.profiles).order_by("profile").first()
    if held is not None:
        outbox.post(
            "unsubscribed", address=held.value, digest=digest, brand=service.brand, service=service,
            language=language, profile_id=held.profile_id, at=at,
            dedupe=_once_a_day("unsubscribed", digest, service, at),
        )  # fmt: skip


def _once_a_day(template: str, digest: bytes, service: Service, at: datetime) -> str:
    return f"{template}:{digest.hex()}:{service.pk}:{at:%Y%m%d}"
