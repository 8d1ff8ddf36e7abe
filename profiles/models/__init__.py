"""The models of the app, by subject."""

from .consent import (
    Act,
    Confirmation,
    ConsentEvent,
    ConsentSeal,
    ErasedOptOut,
    Service,
    ServiceQuerySet,
    Source,
    Subscription,
    SubscriptionQuerySet,
    UnsealedEvent,
    Wording,
)
from .fields import CustomField, FieldKind
from .people import Address, AddressQuerySet, Brand, BrandLogo, Profile, ProfileQuerySet
from .work import AuditEvent, ImportJob, ImportNote, OutboxMessage

__all__ = [
    "Act",
    "Address",
    "AddressQuerySet",
    "AuditEvent",
    "Brand",
    "BrandLogo",
    "Confirmation",
    "ConsentEvent",
    "ConsentSeal",
    "CustomField",
    "ErasedOptOut",
    "FieldKind",
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
    "UnsealedEvent",
    "Wording",
]
