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
from .domains import DomainSlot, MailDomain
from .outcomes import LogStatus, Reason, Reported
from .proofs import Proof, ProofRecipient
from .runs import (
    AnalysisRun,
    DeliveryException,
    DeliveryLog,
    ExceptionKind,
    Lease,
    RunDomain,
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
    "DomainSlot",
    "ExceptionKind",
    "InDoubtPolicy",
    "Lease",
    "ListMember",
    "LogStatus",
    "MailDomain",
    "MessageClass",
    "PeopleList",
    "Proof",
    "ProofRecipient",
    "Reason",
    "Reported",
    "RuleKind",
    "RuleSeverity",
    "RunDomain",
    "RunReason",
    "RunRule",
    "SendingMinute",
    "State",
    "Target",
    "Typology",
    "TypologyRule",
]
