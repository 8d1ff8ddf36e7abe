"""The models of the app, by subject."""

from .consent import (
    Act,
    Confirmation,
    ConsentEvent,
    ErasedOptOut,
    Service,
    ServiceQuerySet,
    Source,
    Subscription,
    SubscriptionQuerySet,
    Wording,
)
from .people import Address, AddressQuerySet, Brand, Profile, ProfileQuerySet
from .work import ImportJob, ImportNote, OutboxMessage

__all__ = [
    "Act",
    "Address",
    "AddressQuerySet",
    "Brand",
    "Confirmation",
    "ConsentEvent",
    "ErasedOptOut",
    "ImportJob",
    "ImportNote",
    "OutboxMessage",
    "Profile",
    "ProfileQuerySet",
    "Service",
    "ServiceQuerySet",
    "Source",
    "Subscription",
    "SubscriptionQuerySet",
    "Wording",
]
