"""What an analysis would say of one person now, by the queries of the analysis itself.

>>> for_person(delivery, 12, at=timezone.now())
[AddressVerdict(position=1, address='zoe@example.org', reasons=frozenset({<Reason.BLACKLISTED: 3>}), ...)]
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Value
from django.db.models.functions import Coalesce

from . import draw, plan, pressure
from .exclusions import reasons_of
from .models import Delivery, Reason
from .plan import Plan
from .targeting import Targeting

MOST_SHARING = 1_000  # people with one address who are looked at


@dataclass(frozen=True, slots=True)
class AddressVerdict:
    """What is said of one address: every reason that applies, *the* reason, and the sending rule or person behind it.

    A person without an address has one verdict, of position 1 and with an empty address.
    """

    position: int
    address: str
    reasons: frozenset[Reason]
    rule: int = 0
    keeper: int = 0  # to whom the message goes instead, for a duplicate

    @property
    def reason(self) -> Reason:
        return min(self.reasons, default=Reason.NONE)


def for_person(delivery: Delivery, profile: int, *, at: datetime, going_by: Plan | None = None) -> list[AddressVerdict]:
    """Return what an analysis would say of each address of one person; nothing for who is not in the target.

    But for a control group of a certain number of people and for the size limit, which are drawn among all.
    """
    targeting = Targeting(delivery, going_by or plan.make(delivery, at=at), at)
    rows = targeting.judged().filter(pk=profile).annotate(place=Coalesce(F("addr__position"), 1)).order_by("place")
    found = rows.values_list("place", Coalesce(F("addr__value"), Value("")), "addr__digest", "bits", "rule")
    return [_verdict(targeting, profile, *row) for row in found]


def _verdict(
    targeting: Targeting, profile: int, position: int, address: str, digest: bytes | None, bits: int, rule: int
) -> AddressVerdict:
    reasons = reasons_of(bits)
    if reasons or digest is None:
        counts = min(reasons, default=Reason.NONE) == Reason.FILTERING_RULE
        return AddressVerdict(position, address, reasons, rule if counts else 0)
    if under := pressure.first_rule(targeting.plan, targeting.people(), profile):
        return AddressVerdict(position, address, frozenset([Reason.FATIGUE_RULE]), under)
    if keeper := _earlier(targeting, profile, position, bytes(digest)):
        return AddressVerdict(position, address, frozenset([Reason.DUPLICATE]), keeper=keeper)
    if draw.number(profile, targeting.plan.salt) < draw.threshold(targeting.plan.control_parts):
        return AddressVerdict(position, address, frozenset([Reason.CONTROL_GROUP]))
    return AddressVerdict(position, address, frozenset())


def _earlier(targeting: Targeting, profile: int, position: int, digest: bytes) -> int:
    """Return who comes before, with the same address, and could get the message; 0 for nobody."""
    sharing = targeting.sharing([digest]).filter(bits=0).order_by("id", "position")
    for row in sharing[:MOST_SHARING]:
        if (row["id"], row["position"]) >= (profile, position):
            return 0
        if not pressure.first_rule(targeting.plan, targeting.people(), row["id"]):
            return int(row["id"])
    return 0
