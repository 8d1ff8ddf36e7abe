"""The models of the app, by subject."""

from .delivery import (
    DRAW_PRIME,
    Addresses,
    Delivery,
    DeliveryContent,
    DeliveryQuerySet,
    InDoubtPolicy,
    MessageClass,
    State,
    Target,
)
from .outcomes import LogStatus, Reason
from .proofs import Proof, ProofRecipient
from .runs import (
    AnalysisRun,
    DeliveryException,
    DeliveryLog,
    ExceptionKind,
    Lease,
    RunReason,
    RunRule,
    SendingMinute,
)
from .targets import Audience, ListMember, PeopleList
from .typologies import RuleKind, RuleSeverity, Typology, TypologyRule

__all__ = [
    "DRAW_PRIME",
    "Addresses",
    "AnalysisRun",
    "Audience",
    "Delivery",
    "DeliveryContent",
    "DeliveryException",
    "DeliveryLog",
    "DeliveryQuerySet",
    "ExceptionKind",
    "InDoubtPolicy",
    "Lease",
    "ListMember",
    "LogStatus",
    "MessageClass",
    "PeopleList",
    "Proof",
    "ProofRecipient",
    "Reason",
    "RuleKind",
    "RuleSeverity",
    "RunReason",
    "RunRule",
    "SendingMinute",
    "State",
    "Target",
    "Typology",
    "TypologyRule",
]
