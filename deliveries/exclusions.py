"""Who is left out, and why: one ordered list, used by the analysis, at hand-off and to explain.

An exclusion says *when* it applies as a Q over a profile annotated by `annotate`: its primary address of the
channel (`addr`), and the cause for which that address is quarantined (`quarantine_cause`). The order is that of
`Reason`; the first that applies is *the* reason, and all that apply are kept as a bit set. Adding an exclusion is
one line here, one line in the oracle of the tests, and one test.

Duplicates, control groups and size limits look at the other people of the target, so they are not here but in
`analysis`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, FilteredRelation, IntegerField, OuterRef, Q, Subquery, Value, When
from django.db.models.expressions import Combinable

from profiles.addresses import Validity
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.models import Profile, ProfileQuerySet
from quarantine.models import Cause, QuarantinedAddress

from .models import MessageClass, Reason


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One rule: the reason it gives, when it applies on a channel, and whether transactional messages obey it."""

    reason: Reason
    when: Callable[[Channel], Q]
    transactional: bool = True


@dataclass(frozen=True, slots=True)
class IdRange:
    """The profiles with after < id <= upto.

    A query that joins tables says it of each of them: PostgreSQL passes an equality on to the tables joined by it,
    but not an inequality, and would read the whole of each table for every range.
    """

    after: int
    upto: int

    def q(self, profile: str) -> Q:
        """Say it of the column that holds the profile."""
        return Q(**{f"{profile}__gt": self.after, f"{profile}__lte": self.upto})


def _quarantined_for(cause: Cause) -> Callable[[Channel], Q]:
    return lambda channel: Q(quarantine_cause=cause)


EXCLUSIONS: tuple[Exclusion, ...] = (
    Exclusion(Reason.ADDRESS_MISSING, lambda channel: Q(addr__id__isnull=True)),
    Exclusion(Reason.ADDRESS_INVALID, lambda channel: Q(addr__validity=Validity.INVALID)),
    Exclusion(Reason.BLACKLISTED, lambda channel: Q(**{FLAGS[None]: True}), transactional=False),
    Exclusion(Reason.BLACKLISTED_CHANNEL, lambda channel: Q(**{FLAGS[channel]: True}), transactional=False),
    Exclusion(Reason.QUARANTINED_BOUNCE, _quarantined_for(Cause.BOUNCE)),
    Exclusion(Reason.QUARANTINED_COMPLAINT, _quarantined_for(Cause.COMPLAINT)),
    Exclusion(Reason.QUARANTINED_STOP, _quarantined_for(Cause.STOP)),
    Exclusion(Reason.QUARANTINED_PERSON, _quarantined_for(Cause.PERSON)),
    Exclusion(Reason.QUARANTINED_OPERATOR, _quarantined_for(Cause.OPERATOR)),
    Exclusion(Reason.QUARANTINED_IMPORT, _quarantined_for(Cause.IMPORT)),
)
QUARANTINE_REASONS = {
    Cause.BOUNCE: Reason.QUARANTINED_BOUNCE,
    Cause.COMPLAINT: Reason.QUARANTINED_COMPLAINT,
    Cause.STOP: Reason.QUARANTINED_STOP,
    Cause.PERSON: Reason.QUARANTINED_PERSON,
    Cause.OPERATOR: Reason.QUARANTINED_OPERATOR,
    Cause.IMPORT: Reason.QUARANTINED_IMPORT,
}
# Found by comparing people of the target with each other, after the exclusions above.
AMONG_SURVIVORS = (Reason.DUPLICATE,)


def with_address(
    people: ProfileQuerySet, channel: Channel, digest: bytes | None = None, *, within: IdRange | None = None
) -> ProfileQuerySet:
    """Join each person's primary address of a channel, or the one with a digest, as `addr`; people without one stay.

    `within` says again, of the addresses, which people are read.
    """
    which = Q(addresses__position=1) if digest is None else Q(addresses__digest=digest)
    if within is not None:
        which &= within.q("addresses__profile")
    return people.annotate(addr=FilteredRelation("addresses", condition=Q(addresses__channel=channel) & which))


def with_quarantine(people: ProfileQuerySet, channel: Channel, at: datetime) -> ProfileQuerySet:
    """Look up, for each person, the cause for which their address is quarantined at a moment."""
    entries = QuarantinedAddress.objects.blocking(at).filter(channel=channel, digest=OuterRef("addr__digest"))
    return people.annotate(quarantine_cause=Subquery(entries.order_by("cause").values("cause")[:1]))


def reasons_expression(channel: Channel, message_class: MessageClass) -> Combinable:
    """Return the bit set of the reasons that apply to an annotated profile."""
    total: Combinable = Value(0, output_field=IntegerField())
    for rule in rules_of(message_class):
        bit = Value(rule.reason.bit, output_field=IntegerField())
        total = total + Case(When(rule.when(channel), then=bit), default=Value(0), output_field=IntegerField())
    return total


def rules_of(message_class: MessageClass) -> tuple[Exclusion, ...]:
    """Return the exclusions that a class of messages obeys."""
    return tuple(r for r in EXCLUSIONS if r.transactional or message_class == MessageClass.MARKETING)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the exclusions say of one profile on one channel: every reason that applies, and the address."""

    profile: int
    reasons: frozenset[Reason]
    address: str
    digest: bytes | None

    @property
    def reason(self) -> Reason:
        """Return *the* reason: the first that applies, or NONE."""
        return min(self.reasons, default=Reason.NONE)


def verdict(
    profile: int,
    channel: Channel,
    *,
    at: datetime,
    message_class: MessageClass = MessageClass.MARKETING,
    digest: bytes | None = None,
) -> Verdict | None:
    """Return what the exclusions say of one profile, or None when it does not exist. One query.

    Of its primary address of the channel, or of the address with this digest.
    """
    return verdicts([profile], channel, at=at, message_class=message_class, digest=digest).get(profile)


def verdicts(
    profiles: Collection[int],
    channel: Channel,
    *,
    at: datetime,
    message_class: MessageClass = MessageClass.MARKETING,
    digest: bytes | None = None,
) -> dict[int, Verdict]:
    """Return what the exclusions say of each of a few profiles; of one that does not exist, nothing. One query."""
    people = with_quarantine(with_address(Profile.objects.filter(pk__in=profiles), channel, digest), channel, at)
    rows = people.annotate(bits=reasons_expression(channel, message_class))
    return {
        pk: Verdict(pk, reasons_of(bits), value or "", bytes(found) if found else None)
        for pk, bits, value, found in rows.values_list("pk", "bits", "addr__value", "addr__digest")
    }


def reasons_of(bits: int) -> frozenset[Reason]:
    """Return the reasons that a bit set stands for."""
    return frozenset(reason for reason in Reason if reason and bits & reason.bit)


def quarantine_reason(channel: Channel, digest: bytes, *, at: datetime) -> Reason:
    """Return the reason for which an address that belongs to no profile is left out, or NONE. One query."""
    entries = QuarantinedAddress.objects.blocking(at).filter(channel=channel, digest=digest)
    cause = entries.order_by("cause").values_list("cause", flat=True).first()
    return QUARANTINE_REASONS[Cause(cause)] if cause else Reason.NONE
