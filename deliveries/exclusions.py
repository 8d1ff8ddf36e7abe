"""Who is left out, and why: one ordered list, used by the analysis, at hand-off and to explain.

An exclusion says *when* it applies as a Q over a profile with its address of the channel (`with_address`: `addr`),
and the cause for which that address is quarantined (`quarantine_cause`). The order is that of `Reason`; the first
that applies is *the* reason, and all that apply are kept as a bit set. Adding an exclusion is one line here, one line
in the oracle of the tests, and one test.

Contact pressure, duplicates, the control group and the size limit are found among those who are left, so they are
not here but in `pressure`, `analysis` and `draw`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import (
    BooleanField,
    Case,
    FilteredRelation,
    Func,
    IntegerField,
    OuterRef,
    Q,
    Subquery,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Right
from django.db.models.lookups import In

from profiles import addresses
from profiles.addresses import Validity
from profiles.blacklist import FLAGS
from profiles.channels import Channel
from profiles.models import Profile, ProfileQuerySet
from quarantine.models import BlockedDomain, Cause, QuarantinedAddress

from .models import MessageClass, Reason


@dataclass(frozen=True, slots=True)
class Judging:
    """What the exclusions go by besides the person: the channel, and what is configured.

    `blocked` holds endings of addresses: "@example.org" for a domain, ".example.org" for those below it.
    `filtering` holds the sending rules that leave out people, as (number of the rule, whom it means).
    """

    channel: Channel
    blocked: Sequence[str] = ()
    ascii_only: bool = False
    filtering: Sequence[tuple[int, Q]] = ()

    @classmethod
    def now(cls, channel: Channel) -> "Judging":
        """Return what is configured for a channel, without the rules that are a matter of the analysis. One query."""
        return cls(channel, blocked_endings(channel), is_ascii_only(channel))


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One rule: the reason it gives, when it applies, and whether transactional messages obey it.

    `when` returns None where the rule has nothing to look at, so that it costs nothing.
    """

    reason: Reason
    when: Callable[[Judging], Q | None]
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


class _BeyondAscii(Func):
    """Whether a text holds a letter beyond ASCII: in UTF-8 it then has more bytes than letters."""

    output_field = BooleanField()
    template = "octet_length(%(expressions)s) <> char_length(%(expressions)s)"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        template = "length(CAST(%(expressions)s AS BLOB)) <> length(%(expressions)s)"
        return self._twice(super().as_sql(compiler, connection, template=template, **context))

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        return self._twice(super().as_sql(compiler, connection, **context))

    @staticmethod
    def _twice(compiled: tuple[str, Any]) -> tuple[str, Any]:
        return compiled[0], [*compiled[1], *compiled[1]]


def _quarantined_for(cause: Cause) -> Callable[[Judging], Q]:
    return lambda by: Q(quarantine_cause=cause)


def _blocked(by: Judging) -> Q | None:
    """Compare the end of the address, per length: a set of constants is looked up, however many there are."""
    found = Q()
    for length in sorted({len(ending) for ending in by.blocked}):
        endings = [ending for ending in by.blocked if len(ending) == length]
        found |= Q(In(Right("addr__key", length), endings))
    return found or None


def _beyond_ascii(by: Judging) -> Q | None:
    return Q(_BeyondAscii("addr__key")) if by.ascii_only else None


def _filtered(by: Judging) -> Q | None:
    found = Q()
    for _rule, people in by.filtering:
        found |= people
    return found or None


EXCLUSIONS: tuple[Exclusion, ...] = (
    Exclusion(Reason.ADDRESS_MISSING, lambda by: Q(addr__id__isnull=True)),
    Exclusion(Reason.ADDRESS_INVALID, lambda by: Q(addr__validity=Validity.INVALID)),
    Exclusion(Reason.BLACKLISTED, lambda by: Q(**{FLAGS[None]: True}), transactional=False),
    Exclusion(Reason.BLACKLISTED_CHANNEL, lambda by: Q(**{FLAGS[by.channel]: True}), transactional=False),
    Exclusion(Reason.QUARANTINED_BOUNCE, _quarantined_for(Cause.BOUNCE)),
    Exclusion(Reason.QUARANTINED_COMPLAINT, _quarantined_for(Cause.COMPLAINT)),
    Exclusion(Reason.QUARANTINED_STOP, _quarantined_for(Cause.STOP)),
    Exclusion(Reason.QUARANTINED_PERSON, _quarantined_for(Cause.PERSON)),
    Exclusion(Reason.QUARANTINED_OPERATOR, _quarantined_for(Cause.OPERATOR)),
    Exclusion(Reason.QUARANTINED_IMPORT, _quarantined_for(Cause.IMPORT)),
    Exclusion(Reason.BLOCKED_DOMAIN, _blocked),
    Exclusion(Reason.ENCODING, _beyond_ascii),
    Exclusion(Reason.FILTERING_RULE, _filtered, transactional=False),
)
QUARANTINE_REASONS = {
    Cause.BOUNCE: Reason.QUARANTINED_BOUNCE,
    Cause.COMPLAINT: Reason.QUARANTINED_COMPLAINT,
    Cause.STOP: Reason.QUARANTINED_STOP,
    Cause.PERSON: Reason.QUARANTINED_PERSON,
    Cause.OPERATOR: Reason.QUARANTINED_OPERATOR,
    Cause.IMPORT: Reason.QUARANTINED_IMPORT,
}
# Found among those whom no exclusion above concerns, each among those whom the former left.
AMONG_SURVIVORS = (Reason.FATIGUE_RULE, Reason.DUPLICATE, Reason.CONTROL_GROUP, Reason.SIZE_LIMIT)


def blocked_endings(channel: Channel) -> tuple[str, ...]:
    """Return the ends of the addresses of blocked domains; none where addresses have no domain. One query."""
    if channel != Channel.EMAIL:
        return ()
    found = []
    for domain, subdomains in BlockedDomain.objects.order_by("domain").values_list("domain", "subdomains"):
        found += [f"@{domain}", f".{domain}"] if subdomains else [f"@{domain}"]
    return tuple(found)


def is_ascii_only(channel: Channel) -> bool:
    """Say whether the provider cannot carry addresses with other letters than ASCII (RFC 6531)."""
    return channel == Channel.EMAIL and not settings.EMAIL_SMTPUTF8


def with_address(
    people: ProfileQuerySet,
    channel: Channel,
    digest: bytes | None = None,
    *,
    every: bool = False,
    within: IdRange | None = None,
) -> ProfileQuerySet:
    """Join each person's primary address of a channel, or the one with a digest, as `addr`; people without one stay.

    With `every`, all their addresses, on a row each. `within` says again, of the addresses, which people are read.
    """
    which = Q() if every else Q(addresses__position=1) if digest is None else Q(addresses__digest=digest)
    if within is not None:
        which &= within.q("addresses__profile")
    return people.annotate(addr=FilteredRelation("addresses", condition=Q(addresses__channel=channel) & which))


def with_quarantine(people: ProfileQuerySet, channel: Channel, at: datetime) -> ProfileQuerySet:
    """Look up, for each person, the cause for which their address is quarantined at a moment."""
    entries = QuarantinedAddress.objects.blocking(at).filter(channel=channel, digest=OuterRef("addr__digest"))
    return people.annotate(quarantine_cause=Subquery(entries.order_by("cause").values("cause")[:1]))


def reasons_expression(by: Judging, message_class: MessageClass) -> Combinable:
    """Return the bit set of the reasons that apply to an annotated profile."""
    total: Combinable = Value(0, output_field=IntegerField())
    for rule in rules_of(message_class):
        when = rule.when(by)
        if when is not None:
            bit = Value(rule.reason.bit, output_field=IntegerField())
            total = total + Case(When(when, then=bit), default=Value(0), output_field=IntegerField())
    return total


def something_applies(by: Judging, message_class: MessageClass) -> Combinable:
    """Say of an annotated profile whether any exclusion concerns it: a bit set that is not empty, at less cost.

    The quarantine is looked up once, and not once for each cause.
    """
    any_of = Q(quarantine_cause__isnull=False)
    for rule in rules_of(message_class):
        if rule.reason not in QUARANTINE_REASONS.values() and (when := rule.when(by)) is not None:
            any_of |= when
    return Case(When(any_of, then=Value(True)), default=Value(False), output_field=BooleanField())


def filtering_expression(by: Judging, message_class: MessageClass) -> Combinable:
    """Return the number of the first sending rule that leaves out an annotated profile; 0 for none."""
    none: Combinable = Value(0, output_field=IntegerField())
    if not by.filtering or message_class != MessageClass.MARKETING:
        return none
    cases = [When(people, then=Value(rule)) for rule, people in by.filtering]
    return Case(*cases, default=none, output_field=IntegerField())


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
    by: Judging | None = None,
) -> Verdict | None:
    """Return what the exclusions say of one profile, or None when it does not exist.

    Of its primary address of the channel, or of the address with this digest. One query, and one more without `by`.
    """
    found = verdicts([profile], channel, at=at, message_class=message_class, digest=digest, by=by)
    return found.get(profile)


def verdicts(
    profiles: Collection[int],
    channel: Channel,
    *,
    at: datetime,
    message_class: MessageClass = MessageClass.MARKETING,
    digest: bytes | None = None,
    by: Judging | None = None,
) -> dict[int, Verdict]:
    """Return what the exclusions say of each of a few profiles; of one that does not exist, nothing.

    One query, and one more without `by`.
    """
    by = by or Judging.now(channel)
    people = with_quarantine(with_address(Profile.objects.filter(pk__in=profiles), channel, digest), channel, at)
    rows = people.annotate(bits=reasons_expression(by, message_class))
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


def blocked_reason(address: str) -> Reason:
    """Return BLOCKED_DOMAIN for an email address to whose domain nothing is sent, else NONE. One query."""
    key = addresses.read(Channel.EMAIL, address).key
    return Reason.BLOCKED_DOMAIN if key.endswith(blocked_endings(Channel.EMAIL)) else Reason.NONE
