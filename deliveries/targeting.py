"""The people of a delivery, and what the exclusions say of each: the queries that an analysis and an explanation run.

They yield one row per person, or per address where every address is written to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import (
    BooleanField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    FilteredRelation,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Coalesce

from profiles.channels import Channel
from profiles.models import Address, Profile, ProfileQuerySet, Subscription
from quarantine.models import QuarantinedAddress

from . import criteria
from .exclusions import IdRange, filtering_expression, reasons_expression, with_address, with_quarantine
from .models import AnalysisRun, Delivery, DeliveryException, ExceptionKind, MessageClass, Target
from .plan import Plan

DIGESTS = 1 << 16  # there are so many beginnings, of two bytes, of a digest


@dataclass(frozen=True, slots=True)
class DigestRange:
    """The digests whose first two bytes, as a number, are from `first` and below `upto`.

    Digests are spread evenly, so ranges of one width hold about as many each.
    """

    first: int
    upto: int

    def q(self, column: str) -> Q:
        """Say it of a column that holds digests."""
        whole = Q(**{f"{column}__gte": self.first.to_bytes(2, "big")})
        return whole if self.upto == DIGESTS else whole & Q(**{f"{column}__lt": self.upto.to_bytes(2, "big")})


@dataclass(frozen=True, slots=True)
class Targeting:
    """A delivery's target and exclusions at a moment, as a plan says; of a run, or (None) of nobody's but a question.

    A run reads the addresses in quarantine, and who is under pressure, from the exceptions that it has found before.
    Without a run both are looked up person by person, which is for a few.
    """

    delivery: Delivery
    plan: Plan
    at: datetime
    run: AnalysisRun | None = None

    @property
    def channel(self) -> Channel:
        return Channel(self.delivery.channel)

    @property
    def message_class(self) -> MessageClass:
        return MessageClass(self.delivery.message_class)

    def people(self, within: IdRange | None = None) -> ProfileQuerySet:
        """Return the people a delivery is for, before anybody is left out; of a range, or all of them."""
        people = Profile.objects.all() if within is None else Profile.objects.filter(within.q("pk"))
        match self.plan.target:
            case Target.SERVICE:
                runs = Subscription.objects.active_q(self.at, "subscriptions__")
                runs &= Q(subscriptions__service=self.plan.chosen)
                return people.filter(runs if within is None else runs & within.q("subscriptions__profile"))
            case Target.LIST:
                on = Q(list_memberships__people_list=self.plan.chosen)
                return people.filter(on if within is None else on & within.q("list_memberships__profile"))
            case Target.AUDIENCE:
                tree = criteria.read(self.plan.criteria)
                return people.filter(criteria.condition(tree, at=self.at, within=within))
        return people

    def judged(self, within: IdRange | None = None) -> Any:
        """Annotate the target with `bits`, the set of reasons; `rule`, the sending rule; `pressed`, the pressure's."""
        people = with_address(self.people(within), self.channel, every=self.plan.every, within=within)
        if self.run is None:
            people = with_quarantine(people, self.channel, self.at)
        elif self.plan.every:
            people = people.annotate(quarantine_cause=Subquery(self._found(ExceptionKind.QUARANTINED).values("cause")))
        else:
            people = people.annotate(left_out=self._joined(within, ExceptionKind.QUARANTINED))
            people = people.annotate(quarantine_cause=F("left_out__cause"))
        pressed: Any = Value(0, output_field=IntegerField())
        if self.run is not None and self.plan.fatigue:
            people = people.annotate(under=self._joined(within, ExceptionKind.FATIGUE))
            pressed = Coalesce(F("under__rule"), Value(0))
        by = self.plan.judging(self.channel, at=self.at, within=within)
        return people.annotate(
            bits=reasons_expression(by, self.message_class),
            rule=filtering_expression(by, self.message_class),
            pressed=pressed,
        )

    def rows(self, after: int, upto: int) -> QuerySet[Any, Any]:
        """Yield (id, position, address, digest, bits, rule, pressed, duplicate) of the people of a range."""
        within = IdRange(after, upto)
        people = self.judged(within)
        if self.plan.every:
            people = people.annotate(duplicate=Exists(self._found(ExceptionKind.DUPLICATE)))
        else:
            people = people.annotate(twin=self._joined(within, ExceptionKind.DUPLICATE)).annotate(
                duplicate=ExpressionWrapper(Q(twin__id__isnull=False), output_field=BooleanField())
            )
        found: QuerySet[Any, Any] = people.values(
            "id", "bits", "rule", "pressed", "duplicate", position=Coalesce(F("addr__position"), 1),
            address=Coalesce(F("addr__value"), Value("")), digest=F("addr__digest"),
        )  # fmt: skip
        return found

    def addresses(self) -> Any:
        """Return the addresses of everybody, of the channel, that a message of this delivery could go to."""
        held = Address.objects.filter(channel=self.channel)
        return held if self.plan.every else held.filter(position=1)

    def quarantined(self, among: DigestRange | None) -> QuerySet[Any, Any]:
        """Yield (profile_id, position, cause) of addresses in quarantine: in a range of digests, or of the target."""
        blocking = QuarantinedAddress.objects.blocking(self.at).filter(channel=self.channel)
        held = self.addresses()
        if among is None:
            held = held.filter(profile__in=self.people().values("pk"))
        else:
            blocking, held = blocking.filter(among.q("digest")), held.filter(among.q("digest"))
        entries = QuarantinedAddress.objects.blocking(self.at).filter(channel=self.channel, digest=OuterRef("digest"))
        cause = Subquery(entries.order_by("cause").values("cause")[:1])
        found: Any = held.filter(digest__in=blocking.values("digest")).annotate(cause=cause)
        rows: QuerySet[Any, Any] = found.values("profile_id", "position", "cause")
        return rows

    def shared_digests(self, among: DigestRange | None) -> list[bytes]:
        """Return the digests that several addresses have: of everybody in a range of digests, or of the target.

        Of everybody, at any position: the index alone tells.
        """
        if among is None:
            held = self.addresses().filter(profile__in=self.people().values("pk"))
        else:
            held = Address.objects.filter(among.q("digest"), channel=self.channel)
        counted = held.values("digest").annotate(n=Count("*"))
        shared = counted.filter(n__gt=1).order_by("digest").values_list("digest", flat=True)
        return [bytes(digest) for digest in shared]

    def sharing(self, digests: Sequence[bytes]) -> QuerySet[Any, Any]:
        """Yield (id, position, digest, bits, pressed) of the target's addresses that have one of these digests."""
        # A filter on `addr` itself would join the addresses a second time.
        people: Any = self.judged().annotate(digest=F("addr__digest")).filter(digest__in=digests)
        found: QuerySet[Any, Any] = people.values("id", "bits", "pressed", "digest", position=F("addr__position"))
        return found

    def size_upto(self, most: int) -> int:
        """Return how many people are targeted, counting up to `most`."""
        return self.people().order_by()[:most].count()

    def _found(self, kind: ExceptionKind) -> QuerySet[Any, Any]:
        """Return the exception of a kind for one address of the outer query."""
        mine = DeliveryException.objects.filter(run=self.run, kind=kind, profile=OuterRef("pk"))
        return mine.filter(position=OuterRef("addr__position"))

    def _joined(self, within: IdRange | None, kind: ExceptionKind) -> FilteredRelation:
        """Join the exceptions of the run, of one kind: at most one a person."""
        which = Q(delivery_exceptions__run=self.run, delivery_exceptions__kind=kind)
        if within is not None:
            which &= within.q("delivery_exceptions__profile")
        return FilteredRelation("delivery_exceptions", condition=which)
